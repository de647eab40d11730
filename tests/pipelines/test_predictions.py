"""`evaluate --predictions`: other systems' probabilities, in the forms in which they come, against scikit-learn."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score

from bulklabel.model.labels.predictions import probabilities_of, truth_of
from bulklabel.pipelines import compare, evaluate, verify
from bulklabel.pipelines.flags.evaluate import parser
from bulklabel.transforms.answers.prediction_answers import find_predictions
from bulklabel.transforms.answers.replace_truth import ReplaceTruth, load_unchanged
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.predictions.choose_spec import PredictionOptions
from tests.conftest import ROOT, metrics_of
from tests.pipelines.test_evaluations import compared

LABELS = ("cat", "dog", "bird")

RECORDS = 90


@pytest.fixture(scope="module")
def answers() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Probabilities with ties, and the truth."""
    chance = np.random.default_rng(5)
    truth = chance.random((RECORDS, len(LABELS))) < (0.5, 0.3, 0.1)
    numbers = np.clip(truth * 0.3 + chance.random(truth.shape) * 0.7, 0, 1).round(2)
    return numbers, truth


def evaluated(output: Path, *flags: str) -> dict[str, Any]:
    assert evaluate.main([f"--output={output}", *flags]) == 0
    return metrics_of(output)


def ids() -> list[str]:
    return [f"r{row}" for row in range(RECORDS)]


def lists(values: npt.NDArray[Any]) -> list[list[Any]]:
    rows: list[list[Any]] = values.tolist()
    return rows


def named_truth(truth: npt.NDArray[np.bool_]) -> list[list[str]]:
    return [[LABELS[label] for label in np.flatnonzero(row)] for row in truth]


def columns(values: npt.NDArray[Any], name: str) -> dict[str, list[Any]]:
    return {name.format(label): values[:, at].tolist() for at, label in enumerate(LABELS)}


def parquet(folder: Path, content: dict[str, Any], **options: Any) -> Path:
    path = folder / "predictions.parquet"
    pq.write_table(pa.table(content), path, **options)
    return path


def text(folder: Path, name: str, lines: Sequence[str]) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def json_lines(folder: Path, name: str, values: Sequence[Any], truth: npt.NDArray[np.bool_]) -> Path:
    rows = zip(ids(), values, named_truth(truth), strict=True)
    lines = [json.dumps({"id": key, name: value, "labels": present}) for key, value, present in rows]
    return text(folder, "predictions.jsonl", lines)


def label_file(folder: Path) -> str:
    return f"--label_file={text(folder, 'labels.txt', LABELS)}"


Made = tuple[Path, list[str]]

Numbers = npt.NDArray[np.float64]

Truths = npt.NDArray[np.bool_]


def wide(folder: Path, numbers: Numbers, truth: Truths) -> Made:
    return parquet(folder, {"id": ids(), "labels": named_truth(truth)} | columns(numbers, "prob_{}")), []


def columns_of_truth(folder: Path, numbers: Numbers, truth: Truths) -> Made:
    """Truth and scores side by side, as scikit-learn's users write them; small row groups."""
    content = {"image_id": ids()} | columns(truth.astype(int), "{}") | columns(numbers, "{}_score")
    return parquet(folder, content, row_group_size=7), ["--probabilities=*_score"]


def list_column(folder: Path, numbers: Numbers, truth: Truths) -> Made:
    made = parquet(folder, {"id": ids(), "labels": named_truth(truth), "probabilities": lists(numbers)})
    return made, [label_file(folder)]


def half_precision(folder: Path, numbers: Numbers, truth: Truths) -> Made:
    halves = [pa.array(column.astype(np.float16)) for column in numbers.T]
    content = {"id": ids(), "labels": named_truth(truth)}
    return parquet(folder, content | {f"prob_{name}": half for name, half in zip(LABELS, halves, strict=True)}), []


def logits(folder: Path, numbers: Numbers, truth: Truths) -> Made:
    inside = numbers.clip(0.001, 0.999)
    content = {"id": ids(), "labels": named_truth(truth)} | columns(np.log(inside / (1 - inside)), "prob_{}")
    return parquet(folder, content), ["--outputs=logits"]


def bigquery(folder: Path, numbers: Numbers, truth: Truths) -> Made:
    """`ML.PREDICT`: an array of structs."""
    pairs = [[{"label": name, "prob": p} for name, p in zip(LABELS, row, strict=True)][::-1] for row in lists(numbers)]
    content = {"id": ids(), "labels": named_truth(truth), "predicted_label_probs": pairs}
    return parquet(folder, content), ["--probabilities=predicted_label_probs"]


def hugging_face(folder: Path, numbers: Numbers, truth: Truths) -> Made:
    """`pipeline("image-classification", top_k=None)`: labels with scores, the best first."""
    pairs = [
        sorted(
            ({"label": name, "score": p} for name, p in zip(LABELS, row, strict=True)), key=lambda each: -each["score"]
        )
        for row in lists(numbers)
    ]
    return json_lines(folder, "outputs", pairs, truth), ["--probabilities=outputs"]


def vertex(folder: Path, numbers: Numbers, truth: Truths) -> Made:
    """Vertex AI's batch prediction of images, as its documentation has it."""
    lines = [
        json.dumps(
            {
                "instance": {"content": key, "mimeType": "image/jpeg"},
                "prediction": {"ids": [1, 2, 3], "displayNames": LABELS, "confidences": row},
                "labels": present,
            }
        )
        for key, row, present in zip(ids(), lists(numbers), named_truth(truth), strict=True)
    ]
    path = text(folder, "prediction.results-00000-of-00001.jsonl", lines)
    return path, ["--probabilities=prediction", "--id_column=instance.content"]


def sagemaker(folder: Path, numbers: Numbers, truth: Truths) -> Made:
    """Batch transform, joined with its input."""
    lines = [
        json.dumps({"id": key, "labels": present, "SageMakerOutput": {"predictions": row}})
        for key, row, present in zip(ids(), lists(numbers), named_truth(truth), strict=True)
    ]
    return text(folder, "data.jsonl.out", lines), ["--probabilities=SageMakerOutput.predictions", label_file(folder)]


def spark(folder: Path, numbers: Numbers, truth: Truths) -> Made:
    """Spark's vectors, which are structs in Parquet."""
    kind = pa.struct(
        {"type": pa.int8(), "size": pa.int32(), "indices": pa.list_(pa.int32()), "values": pa.list_(pa.float64())}
    )
    vectors = pa.array([{"type": 1, "values": row} for row in lists(numbers)], kind)
    content = {"id": ids(), "labels": named_truth(truth), "probability": vectors}
    return parquet(folder, content), ["--probabilities=probability.values", label_file(folder)]


def json_objects(folder: Path, numbers: Numbers, truth: Truths) -> Made:
    objects = [dict(zip(LABELS, row, strict=True)) for row in lists(numbers)]
    return json_lines(folder, "probabilities", objects, truth), []


def chest_films(folder: Path, numbers: Numbers, truth: Truths) -> Made:
    """CSV of CheXpert's evaluation, `Path,Atelectasis,…`, with the truth in another of the same columns."""
    header = ",".join(["Path", *LABELS])
    rows = [",".join([key, *map(str, row)]) for key, row in zip(ids(), lists(numbers), strict=True)]
    facts = [",".join([key, *map(str, row)]) for key, row in zip(ids(), lists(truth.astype(float)), strict=True)]
    return text(folder, "predictions.csv", [header, *rows]), [
        "--probabilities=*",
        f"--truth={text(folder, 'groundtruth.csv', [header, *facts])}",
    ]


def pandas_index(folder: Path, numbers: Numbers, truth: Truths) -> Made:
    """CSV of a frame whose index has no name."""
    rows = [
        ",".join([key, *map(str, row), "|".join(present) or "|"])
        for key, row, present in zip(ids(), lists(numbers), named_truth(truth), strict=True)
    ]
    return text(folder, "p.csv", [",prob_cat,prob_dog,prob_bird,labels", *rows]), []


def csv_of_lists(folder: Path, numbers: Numbers, truth: Truths) -> Made:
    """What pandas writes of a column of numpy's arrays, next to texts of labels."""
    rows = [
        f'{key};"[{" ".join(map(str, row))}]";{"|".join(present) or "|"}'
        for key, row, present in zip(ids(), lists(numbers), named_truth(truth), strict=True)
    ]
    return text(folder, "p.csv", ["id;probabilities;labels", *rows]), [label_file(folder)]


FORMS: tuple[Callable[[Path, Numbers, Truths], Made], ...] = (
    wide,
    columns_of_truth,
    list_column,
    half_precision,
    logits,
    bigquery,
    hugging_face,
    vertex,
    sagemaker,
    spark,
    json_objects,
    chest_films,
    csv_of_lists,
    pandas_index,
)


def found_in(path: Path, flags: Sequence[str]) -> tuple[pa.Table, npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """What is read of predictions, without a pipeline."""
    options = parser().parse_command([f"--predictions={path}", "--output=none", *flags])[0]
    answers = evaluate.judged(evaluate.predictions_of(options), options)
    results = [result for shard in answers.reader.shards() for result in answers.reader.read(shard)]
    if answers.truth is not None:
        truth = OncePerProcess(load_unchanged, answers.truth, answers.labels)
        results = [replaced for result in results for replaced in ReplaceTruth(truth).process(result)]
    table = pa.concat_tables([result.predictions.table for result in results])
    order = [answers.labels.index(label) for label in LABELS]
    return table, probabilities_of(table, answers.labels)[:, order], truth_of(table, LABELS)[0]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_has_the_same_numbers_and_truth(
    form: Callable[[Path, Numbers, Truths], Made],
    answers: tuple[Numbers, Truths],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers, truth = answers
    monkeypatch.setattr("bulklabel.transforms.predictions.prediction_files.SHARD_ROWS", 16)
    monkeypatch.setattr("bulklabel.transforms.predictions.prediction_reader.BATCH_NUMBERS", 15)
    table, found, known = found_in(*form(tmp_path, numbers, truth))
    assert table.column("id").to_pylist() == ids()
    assert table.column("position").to_pylist() == list(range(RECORDS))
    assert (known == truth).all()
    expected = numbers.astype(np.float16) if form is half_precision else numbers
    if form is logits:
        assert np.allclose(found, numbers.clip(0.001, 0.999), atol=1e-7)
    else:
        assert (found == expected.astype(np.float32)).all()


@pytest.mark.parametrize("form", [wide, chest_films], ids=lambda form: form.__name__)
def test_metrics_are_those_of_scikit_learn(
    form: Callable[[Path, Numbers, Truths], Made], answers: tuple[Numbers, Truths], tmp_path: Path
) -> None:
    numbers, truth = answers[0].astype(np.float32), answers[1]
    path, flags = form(tmp_path, *answers)
    found = evaluated(tmp_path / "out", f"--predictions={path}", *flags)
    assert found["counts"]["scored"] == found["counts"]["with_truth"] == RECORDS
    predicted = numbers >= 0.5
    assert found["overall"]["f1_macro"] == pytest.approx(f1_score(truth, predicted, average="macro"), abs=1e-12)
    for label, row in enumerate(found["per_label"]):
        facts, scores = truth[:, label], numbers[:, label]
        assert (row["label"], row["support"]) == (LABELS[label], facts.sum())
        assert row["tp"] == (facts & predicted[:, label]).sum()
        assert row["roc_auc"] == pytest.approx(roc_auc_score(facts, scores), abs=1e-12)
        assert row["average_precision"] == pytest.approx(average_precision_score(facts, scores), abs=1e-12)
        assert row["log_loss"] == pytest.approx(log_loss(facts, scores.astype(float)), abs=1e-6)


@pytest.mark.parametrize("as_text", [False, True], ids=["parquet", "csv"])
def test_what_is_no_probability_is_a_rejected_record_with_its_reason(
    as_text: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[tuple[Any, Any, Any, str]] = [
        ("a", 0.5, 1.0, "cat"),
        ("b", float("nan"), 0.5, "cat"),
        ("c", 0.5, 1.5, "cat"),
        ("d", 0.5, -0.25, "cat"),
        ("e", None, 0.5, "cat"),
        (None, 0.25, 1 + 1e-8, "dog"),
        ("a", 0.0, 0.5, "dog"),
        *((f"r{row}", 0.5, 0.5, "dog") for row in range(40)),
    ]
    names = ("id", "prob_cat", "prob_dog", "labels")
    if as_text:
        cells = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
        path = text(tmp_path, "p.csv", [",".join(names), *cells, "torn,0.5"])
    else:
        path = tmp_path / "p.parquet"
        pq.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), path)
    found = evaluated(tmp_path / "out", f"--predictions={path}")
    reasons = {row["reason"]: row["records"] for row in found["rejected"]}
    expected = {"not_finite": 1, "not_a_probability": 2, "missing_probability": 1}
    assert reasons == expected | ({"damaged_record": 1} if as_text else {})
    assert found["counts"]["scored"] == 43
    details = pq.read_table(tmp_path / "out" / "rejected.parquet").select(["id", "position", "detail"]).to_pylist()
    assert details[1] == {"id": "c", "position": 2, "detail": "the probability of 'dog' is 1.5; expected 0 to 1"}
    assert [row["id"] for row in details[:4]] == ["b", "c", "d", "e"]
    assert verify.main([str(tmp_path / "out")]) == 0
    assert found["counts"]["duplicate_ids"] == 1
    assert found["duplicate_example"] == "a"
    assert "ids are from 'id'" in capsys.readouterr().out
    table, numbers, _ = found_in_two(path)
    assert table.column("id").to_pylist()[1] == f"{path}#5"
    assert numbers[1, 1] == 1


def found_in_two(path: Path) -> Any:
    answers = find_predictions([str(path)], PredictionOptions(), "/none")
    results = [result for shard in answers.reader.shards() for result in answers.reader.read(shard)]
    table = pa.concat_tables([result.predictions.table for result in results])
    return table, probabilities_of(table, answers.labels), truth_of(table, answers.labels)[0]


def test_predictions_are_compared_verified_and_a_baseline(
    answers: tuple[Numbers, Truths], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers, truth = answers
    for name, values in (("first", numbers), ("second", numbers**2)):
        (tmp_path / name).mkdir()
        site = {"site": ["north", "south"] * (RECORDS // 2)}
        parquet(tmp_path / name, {"id": ids(), "labels": named_truth(truth)} | columns(values, "prob_{}") | site)
    before = evaluated(tmp_path / "before", f"--predictions={tmp_path}/first", "--group_by=site")
    assert before["counts"]["groups"] == 2
    flags = (f"--baseline={tmp_path / 'before'}", "--require=recall[cat]<=baseline", "--slice_by=site")
    after = evaluated(tmp_path / "after", f"--predictions={tmp_path / 'second' / '*.parquet'}", *flags)
    assert {row["value"] for row in after["slices"]["site"]} == {"north", "south"}
    assert after["drift"]["overall"]["drift_label_rate_max"] > 0
    content = compared(tmp_path / "before", tmp_path / "after", tmp_path / "changes")
    assert content["records"]["both"] == RECORDS
    assert content["group_by"] == "site"
    lost = (numbers.astype(np.float32) >= 0.5) & ((numbers**2).astype(np.float32) < 0.5)
    assert [row["flips"]["became_absent"] for row in content["per_label"]] == lost.sum(axis=0).tolist()
    assert verify.main([str(tmp_path / "after")]) == 0
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "second" / "predictions.parquet")
    capsys.readouterr()
    assert verify.main([str(tmp_path / "after")]) == 1
    assert "predictions that have changed" in capsys.readouterr().out
    assert compare.main([str(tmp_path / "before"), str(tmp_path / "after"), f"--output={tmp_path / 'no'}"]) == 2


def test_the_output_may_lie_beside_the_predictions_and_the_page_tells_the_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "evaluate.md").read_text()
    (table,) = re.findall(r"```csv\n(.*?)```", page, re.DOTALL)
    text(tmp_path, "predictions.csv", [table.strip()])
    for _ in range(2):
        evaluated(tmp_path / "out", f"--predictions={tmp_path}")
        (lines,) = re.findall(r"```\n(probabilities of.*?)```", page, re.DOTALL)
        assert lines in capsys.readouterr().out


def test_a_runs_own_parts_are_predictions(run: Path, tmp_path: Path) -> None:
    found = evaluated(tmp_path / "out", f"--predictions={run / 'predictions'}")
    again = evaluated(tmp_path / "again", f"--input={run}")
    for entry in ("overall", "per_label", "counts", "intervals"):
        assert found[entry] == again[entry]
    content = compared(run, tmp_path / "out", tmp_path / "changes")
    assert content["changed_records"] == []
    assert content["records"]["both"] == found["counts"]["scored"]


REFUSED: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "nothing that is named like probabilities": (
        "p.csv",
        "id,cat,dog\na,0.5,0.5",
        (),
        "name the one of lists with --probabilities",
    ),
    "Kaggle's submission": ("p.csv", "image_name,tags\na,cat dog", (), "there are image_name, tags"),
    "logits": ("p.csv", "id,prob_cat,prob_dog\na,3.5,-2\nb,1,0", (), "say --outputs logits"),
    "per cent": ("p.csv", "id,prob_cat,prob_dog\na,35,60\nb,1,0", (), "divide them by 100"),
    "probabilities that are called logits": (
        "p.csv",
        "id,prob_cat\na,0.5",
        ("--outputs=logits",),
        "leave the flag out",
    ),
    "decimal commas": ("p.csv", "id;prob_cat\na;0,5", (), "is '0,5'; expected a number"),
    "lists without labels": (
        "p.jsonl",
        '{"id": 1, "probabilities": [0.5, 0.5]}',
        (),
        "say which labels they are of with --label_file",
    ),
    "the best labels alone": (
        "p.jsonl",
        '{"id": 1, "probabilities": [{"label": "cat", "score": 1}]}\n'
        '{"id": 2, "probabilities": [{"label": "dog", "score": 1}]}',
        (),
        "such as by top_k=None",
    ),
    "scikit-learn's two columns a label": (
        "p.jsonl",
        '{"id": 1, "probabilities": [[0.5, 0.5], [0.25, 0.75]]}',
        (),
        "a number for each label",
    ),
    "ids in objects": (
        "p.jsonl",
        '{"instance": {"content": "gs://a"}, "prob_cat": 1}',
        ("--id_column=instance",),
        "the ids in",
    ),
    "an array of JSON": ("p.json", '[{"id": 1, "prob_cat": 1}]', (), "jq -c"),
    "a row a label": ("p.csv", "id,label,score\na,cat,0.5", ("--probabilities=score",), "such as by pandas' pivot"),
    "CSV without a header": ("p.csv", "0.5,0.25\n0.1,0.9", ("--probabilities=*",), "give it a header"),
    "tuned thresholds": ("p.csv", "id,prob_cat\na,1", ("--threshold=tuned",), "predictions have no tuned thresholds"),
    "SageMaker's output": ("p.out", "[0.1, 0.9]", (), "give it a header"),
    "arrays of numpy": ("p.npz", "PK", (), "write arrays as Parquet"),
    "TFX's output": ("p.tfrecord", "x", (), "write its predictions as Parquet"),
    "text that is no table": ("p.parquet", "x", (), "not a Parquet file"),
    "no rows": ("p.csv", "id,prob_cat", (), "there is no row of predictions"),
    "several ids": ("p.csv", "path,filename,prob_cat\na,b,1", (), "name the one to use with --id_column"),
    "a column that is missing": ("p.csv", "id,prob_cat\na,1", ("--probabilities=p",), "has no such column"),
    "a slice that is missing": ("p.csv", "id,prob_cat\na,1", ("--slice_by=site",), "have no such column"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_one_line_that_helps(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, content, flags, words = REFUSED[case]
    path = text(tmp_path, name, [content])
    assert evaluate.main([f"--predictions={path}", f"--output={tmp_path / 'out'}", *flags]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_probabilities_of_softmax_are_named(
    answers: tuple[Numbers, Truths], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    numbers, truth = answers
    for shares in (numbers / numbers.sum(axis=1, keepdims=True), numbers):
        found_in(*wide(tmp_path, shares, truth))
    assert caplog.text.count("add up to 1, as those of softmax do") == 1


def test_columns_of_truth_among_those_of_probabilities_are_named(
    answers: tuple[Numbers, Truths], tmp_path: Path
) -> None:
    content = {"id": ids()} | columns(answers[0], "{}") | columns(answers[1].astype(int), "true_{}")
    answers_found = find_predictions([str(parquet(tmp_path, content))], PredictionOptions(probabilities="*"), "/none")
    assert "true_cat, true_dog, true_bird: these hold nothing but 0 and 1" in answers_found.truth_words["warnings"][0]


def test_flags_of_predictions_are_theirs_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main([f"--input={tmp_path}", "--output=o", "--label_file=labels.txt"]) == 2
    assert "--label_file says how --predictions are read" in capsys.readouterr().err
    assert evaluate.main(["--output=o"]) == 2
    assert "one of the arguments --input --predictions is required" in capsys.readouterr().err
