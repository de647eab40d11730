"""`score` end to end: its answers against scikit-learn, its honesty, and that nothing but the plan decides them."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import apache_beam as beam
import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from sklearn import metrics as oracle

from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.model_directory import Model
from bulklabel.model.network.keras_archive import network_bytes
from bulklabel.pipelines.runners.choose import PRISM_RUNNER
from bulklabel.transforms.files import files
from bulklabel.transforms.scoring.model_files import save_model
from tests.conftest import (
    FILES,
    GROUP,
    RECORDS,
    answers,
    collage_rows,
    metrics_of,
    part_of,
    png,
    predictions_of,
    rejected_of,
    score,
    write_parquet,
)
from tests.durability.forked import forked
from tests.support import servers

SHARDS = FILES * RECORDS // GROUP


def truth_and_answers(output: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, predicted labels and probabilities of the records with truth, from the run's own Parquet."""
    names = [row["label"] for row in metrics_of(output)["per_label"]]
    table = predictions_of(output)
    table = table.filter(table.column("labels").is_valid())
    truth, predicted = (
        np.array([[name in row for name in names] for row in table.column(column).to_pylist()], int)
        for column in ("labels", "predicted")
    )
    return truth, predicted, np.stack([table.column(f"prob_{name}").to_numpy() for name in names], axis=1)


ROUNDING = 1e-12
"""The same number, computed in another order."""

AREAS = {"roc_auc": oracle.roc_auc_score, "average_precision": oracle.average_precision_score}


def test_metrics_equal_scikit_learn_on_the_runs_own_parquet(finished: Path) -> None:
    truth, predicted, probabilities = truth_and_answers(finished)
    found = metrics_of(finished)
    overall = found["overall"]
    expected = {
        "subset_accuracy": oracle.accuracy_score(truth, predicted),
        "label_accuracy": np.mean(truth == predicted),
        "hamming_loss": oracle.hamming_loss(truth, predicted),
        "support": truth.sum(),
        "log_loss": oracle.log_loss(truth.ravel(), probabilities.astype(float).ravel()),
        "brier": np.mean((truth - probabilities.astype(float)) ** 2),
        "label_ranking_average_precision": oracle.label_ranking_average_precision_score(truth, probabilities),
        "coverage_error": oracle.coverage_error(truth, probabilities),
        "label_ranking_loss": oracle.label_ranking_loss(truth, probabilities),
        "one_error": 1 - np.mean(truth[np.arange(len(truth)), probabilities.argmax(axis=1)]),
    }
    functions = [oracle.precision_score, oracle.recall_score, oracle.f1_score, oracle.jaccard_score]
    for name, function in zip(("precision", "recall", "f1", "jaccard"), functions, strict=True):
        for average in ("micro", "macro", "weighted", "samples"):
            expected[f"{name}_{average}"] = function(truth, predicted, average=average, zero_division=0)
        for row, value in zip(
            found["per_label"], function(truth, predicted, average=None, zero_division=0), strict=True
        ):
            assert row[name] == pytest.approx(value, abs=1e-9)
    for name, value in expected.items():
        assert overall[name] == pytest.approx(float(value), abs=1e-9), name
    loss = keras.losses.BinaryCrossentropy()(truth.astype("float32"), probabilities)
    assert overall["binary_crossentropy"] == pytest.approx(float(loss), rel=1e-5)
    for average in ("micro", "macro", "weighted"):
        for name, function in AREAS.items():
            low, high = overall[f"{name}_{average}_bounds"]
            assert low - ROUNDING <= function(truth, probabilities, average=average) <= high + ROUNDING
            assert low <= overall[f"{name}_{average}"] <= high
    for row, column, scores in zip(found["per_label"], truth.T, probabilities.T, strict=True):
        for name, function in AREAS.items():
            low, high = row[f"{name}_bounds"]
            assert low - ROUNDING <= function(column, scores) <= high + ROUNDING
            assert high - low < 1e-3
        assert row["brier"] == pytest.approx(oracle.brier_score_loss(column, scores.astype(float)), abs=1e-9)
        assert row["coverage"] == found["counts"]["with_truth"] / found["counts"]["scored"]
    assert {name for name in overall if overall[name] is None} == set()
    assert set(found["intervals"]) == {name for name in overall if not name.endswith("_bounds")} - {"support"}
    confusion = oracle.multilabel_confusion_matrix(truth, predicted)
    found_confusion = [[[row["tn"], row["fp"]], [row["fn"], row["tp"]]] for row in found["per_label"]]
    assert np.array_equal(confusion, found_confusion)


def test_every_record_is_accounted_for(finished: Path) -> None:
    found = metrics_of(finished)
    counts = found["counts"]
    assert counts == {
        "records": 4800,
        "scored": 4796,
        "rejected": 4,
        "with_truth": counts["with_truth"],
        "truncated": 0,
        "duplicate_ids": 0,
    }
    table = predictions_of(finished)
    assert counts["scored"] == len(table)
    assert counts["with_truth"] == len(table) - table.column("labels").null_count
    rejected = rejected_of(finished)
    reasons = Counter((row["stage"], row["reason"]) for row in rejected)
    assert reasons == {(row["stage"], row["reason"]): row["records"] for row in found["rejected"]}
    assert set(reasons) == {
        ("read", "missing_image"),
        ("read", "empty_image"),
        ("decode", "not_an_image"),
        ("decode", "damaged_image"),
    }
    assert all(row["detail"] for row in rejected)
    places = [
        (row["source"], row["position"]) for row in [*table.select(["source", "position"]).to_pylist(), *rejected]
    ]
    assert len(places) == len(set(places)) == FILES * RECORDS
    strange = sum("zebra" in (labels or []) for labels in table.column("labels").to_pylist())
    assert found["unknown_labels"] == {"zebra": strange}


def test_the_manifest_reconciles_with_the_parts(finished: Path) -> None:
    manifest = json.loads((finished / "manifest.json").read_bytes())
    for kind in ("predictions", "rejected"):
        names = [f"{kind}/part-{i:05d}-of-{SHARDS:05d}-{manifest['plan'][:8]}.parquet" for i in range(SHARDS)]
        assert [entry["name"] for entry in manifest[kind]] == names
        for entry in manifest[kind]:
            parquet = pq.ParquetFile(finished / entry["name"])
            assert parquet.metadata.num_rows == entry["rows"]
            assert (finished / entry["name"]).stat().st_size == entry["bytes"]
            assert parquet.schema_arrow.metadata[b"bulklabel.plan"].decode() == manifest["plan"]
            assert parquet.schema_arrow.metadata[b"bulklabel.model"].decode() == manifest["model_digest"]
    totals = [sum(entry["rows"] for entry in manifest[kind]) for kind in ("predictions", "rejected")]
    assert totals == [manifest["counts"]["scored"], manifest["counts"]["rejected"]]
    assert json.loads((finished / "plan.json").read_bytes())["digest"] == manifest["plan"]
    assert not [path for path in finished.rglob("*") if path.name.endswith(".tmp")]


def test_predictions_have_the_columns_of_the_design(finished: Path) -> None:
    schema = predictions_of(finished).schema
    assert schema.names == ["id", "source", "position", "labels", "predicted", *(f"prob_{i}" for i in range(10))]
    assert {str(schema.field(f"prob_{i}").type) for i in range(10)} == {"float"}
    assert [str(schema.field(name).type) for name in schema.names[:3]] == ["string", "string", "int64"]


def test_the_answers_are_the_networks(finished: Path, model_directory: Path, corpus: Path) -> None:
    import io

    from PIL import Image

    images: dict[tuple[str, int], bytes] = {}
    for path in sorted(corpus.glob("*.parquet")):
        images |= {(str(path), i): image for i, image in enumerate(pq.read_table(path).column("image").to_pylist())}
    table = predictions_of(finished)
    some = table.take(list(range(0, len(table), 97)))
    pixels = np.stack(
        [
            np.asarray(Image.open(io.BytesIO(images[place])))
            for place in zip(some.column("source").to_pylist(), some.column("position").to_pylist(), strict=True)
        ]
    )
    network = keras.saving.load_model(model_directory / "model.keras")
    expected = network.predict(pixels.astype(np.float32), verbose=0)
    found = np.stack([some.column(f"prob_{i}").to_numpy() for i in range(10)], axis=1)
    assert np.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    "flags",
    [
        ("--direct_running_mode=in_memory",),
        ("--direct_running_mode=multi_threading", "--direct_num_workers=2"),
        ("--runner=FnApiRunner", "--direct_running_mode=multi_threading", "--direct_num_workers=1"),
    ],
)
def test_no_mode_of_the_runner_changes_a_byte(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    assert score(corpus, model_directory, tmp_path / "run", *flags) == 0
    assert answers(tmp_path / "run") == answers(finished)


@pytest.mark.parametrize(
    "flags", [("--direct_running_mode=multi_processing", "--direct_num_workers=2"), ("--runner=DirectRunner",)]
)
def test_no_process_of_its_own_changes_a_byte(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    arguments = (f"--input={corpus}", f"--model={model_directory}", *flags)
    run = forked(arguments, tmp_path / "run", tmp_path / "log")
    assert run.end() == 0, run.said
    assert answers(run.output) == answers(finished)


def test_running_again_has_nothing_to_do(
    corpus: Path, model_directory: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert score(corpus, model_directory, finished) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


@pytest.mark.parametrize("damage", ["delete predictions", "delete rejected", "truncate", "overwrite", "another plan's"])
def test_a_run_that_lacks_a_part_makes_only_that_part_again(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path, damage: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "_SUCCESS").unlink()
    part = part_of(run, "predictions", 3)
    name = part.name
    if damage == "truncate":
        part.write_bytes(part.read_bytes()[:-100])
    elif damage == "overwrite":
        content = part.read_bytes()
        part.write_bytes(content[:60] + bytes(40) + content[100:])
    elif damage == "another plan's":
        table = pq.read_table(part)
        pq.write_table(table.replace_schema_metadata(table.schema.metadata | {b"bulklabel.plan": b"other"}), part)
    else:
        part = run / damage.split()[1] / name
        part.unlink()
    others = {path: path.stat().st_mtime_ns for path in run.glob("*/*.parquet") if path.name != name}
    assert score(corpus, model_directory, run) == 0
    assert answers(run) == answers(finished)
    assert (run / "_SUCCESS").exists()
    assert {path: path.stat().st_mtime_ns for path in others} == others


def test_another_plan_is_refused_in_words(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    more = tmp_path / "more.parquet"
    write_parquet(more, collage_rows(10))
    for flags, words in {
        ("--threshold=0.4",): "thresholds changed",
        ("--layout=list",): "layout changed from wide to list",
        (f"--input={more}",): "1 input file added",
    }.items():
        assert score(corpus, model_directory, run, *flags) == 2
        error = capsys.readouterr().err
        assert words in error
        assert "--overwrite" in error
    assert answers(run) == answers(finished)


def test_overwrite_leaves_nothing_of_the_other_plan(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    more = tmp_path / "more.parquet"
    write_parquet(more, collage_rows(10))
    assert score(more, model_directory, run, "--overwrite") == 0
    assert [*run.glob("predictions/*")] == [*run.glob("predictions/part-00000-of-00001-*.parquet")]
    assert len([*run.glob("predictions/*")]) == 1
    assert score(corpus, model_directory, run, "--overwrite") == 0
    assert answers(run) == answers(finished)


def test_parts_without_a_plan_are_refused(
    corpus: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run" / "predictions").mkdir(parents=True)
    (tmp_path / "run" / "predictions" / "mine.parquet").touch()
    for flags in ([], ["--overwrite"]):
        assert score(corpus, model_directory, tmp_path / "run", *flags) == 2
        assert "holds predictions/mine.parquet, which no run has made; give another --output" in capsys.readouterr().err


def test_too_many_rejected_publishes_all_but_success(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert score(corpus, model_directory, run, "--max_rejected_fraction=0") == 4
    captured = capsys.readouterr()
    assert "4 of 4,800 records were rejected" in captured.err
    assert "Traceback" not in captured.err
    assert answers(run) == answers(finished)
    assert not (run / "_SUCCESS").exists()
    assert not json.loads((run / "manifest.json").read_bytes())["accepted"]
    assert score(corpus, model_directory, run) == 0
    assert (run / "_SUCCESS").exists()


def test_a_run_without_truth_succeeds_and_says_so(
    model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_parquet(tmp_path / "a.parquet", [row | {"labels": None} for row in collage_rows(20)])
    assert score(path, model_directory, tmp_path / "run") == 0
    assert "no record has truth" in capsys.readouterr().out
    assert metrics_of(tmp_path / "run")["overall"]["f1_micro"] is None
    assert "No record has truth" in (tmp_path / "run" / "report.html").read_text()


def test_a_shard_of_bad_records_only(model_directory: Path, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", [row | {"image": b"bad"} for row in collage_rows(20)])
    assert score(path, model_directory, tmp_path / "run", "--max_rejected_fraction=1") == 0
    assert metrics_of(tmp_path / "run")["counts"] == {
        "records": 20,
        "scored": 0,
        "rejected": 20,
        "with_truth": 0,
        "truncated": 0,
        "duplicate_ids": 0,
    }


def test_a_file_with_a_wrong_schema_is_rejected_record_by_record(model_directory: Path, tmp_path: Path) -> None:
    import pyarrow as pa

    pq.write_table(pa.Table.from_arrays([pa.array([b"x"] * 3)] * 2, ["image", "image"]), tmp_path / "b.parquet")
    write_parquet(tmp_path / "a.parquet", collage_rows(20))
    assert score(tmp_path, model_directory, tmp_path / "run", "--max_rejected_fraction=1") == 0
    rows = rejected_of(tmp_path / "run")
    assert [(row["id"], row["stage"], row["reason"]) for row in rows] == [
        (f"{tmp_path}/b.parquet#{position}", "read", "duplicate_column") for position in range(3)
    ]
    assert metrics_of(tmp_path / "run")["counts"]["scored"] == 20


def test_the_list_layout_holds_the_same_numbers(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path
) -> None:
    assert score(corpus, model_directory, tmp_path / "run", "--layout=list") == 0
    lists, wide = predictions_of(tmp_path / "run"), predictions_of(finished)
    block = np.stack([wide.column(f"prob_{i}").to_numpy() for i in range(10)], axis=1)
    assert np.array_equal(np.array(lists.column("probabilities").to_pylist(), np.float32), block)
    assert lists.schema.metadata[b"bulklabel.labels"].decode() == json.dumps([str(i) for i in range(10)])
    assert metrics_of(tmp_path / "run") == metrics_of(finished)


def test_thresholds_decide_what_is_predicted(corpus: Path, model_directory: Path, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps({str(i): 0.05 * i for i in range(10)}))
    assert score(corpus, model_directory, tmp_path / "run", f"--threshold={tmp_path / 't.json'}") == 0
    table = predictions_of(tmp_path / "run")
    probabilities = np.stack([table.column(f"prob_{i}").to_numpy() for i in range(10)], axis=1)
    expected = probabilities >= np.array([0.05 * i for i in range(10)], np.float32)
    assert table.column("predicted").to_pylist() == [[str(i) for i in np.flatnonzero(row)] for row in expected]
    assert [row["threshold"] for row in metrics_of(tmp_path / "run")["per_label"]] == pytest.approx(
        [0.05 * i for i in range(10)]
    )


@pytest.mark.parametrize("runner", ["apache_beam.runners.portability.fn_api_runner.FnApiRunner", PRISM_RUNNER])
def test_the_graph_counts_what_it_does(runner: str, corpus: Path, model_directory: Path, tmp_path: Path) -> None:
    from bulklabel.model.metrics import Goal
    from bulklabel.pipelines.score import Job, build
    from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
    from bulklabel.transforms.evaluating.publication import Publication
    from bulklabel.transforms.planning.make_plan import make_plan
    from bulklabel.transforms.reading.records import Columns
    from bulklabel.transforms.reuse.earlier_runs import EarlierRuns
    from bulklabel.transforms.run_directory.manifest import launch_of, now, provenance_of
    from bulklabel.transforms.run_directory.run_directory import RunDirectory
    from bulklabel.transforms.scoring.load_scorer import load_scorer
    from bulklabel.transforms.scoring.model_files import load_model

    model, run = load_model(str(model_directory)), str(tmp_path / "run")
    plan = make_plan([str(corpus)], "auto", Columns(), model, run, EarlierRuns())
    flags = [f"--prism_location={servers.installed('prism')}"] if runner == PRISM_RUNNER else []
    root = beam.Pipeline(runner, PipelineOptions(flags))
    scorer = OncePerProcess(load_scorer, str(model_directory), model.digest)
    RunDirectory(run, plan.stamp).start(plan, overwrite=False)
    launch = launch_of({"model": str(model_directory)}, now())
    publication = Publication(
        run, plan.recipe.labels, plan.recipe.thresholds, provenance_of(plan, str(model_directory)), Goal()
    )
    build(root, Job(plan, scorer, launch, publication))
    result = root.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace("bulklabel"))
    counters = {item.key.metric.name: item.committed for item in found["counters"]}
    expected = {
        "records": 4800,
        "thumbnails_missing": 0,
        "rejected_missing_image": 1,
        "rejected_empty_image": 1,
        "rejected_not_an_image": 1,
        "rejected_damaged_image": 1,
    }
    if runner == PRISM_RUNNER:  # of bundles that end together before it knows a counter's name it keeps one
        assert counters.keys() <= expected.keys()
        assert 0 < counters["records"] <= 4800
        return
    assert counters == expected
    distributions = {item.key.metric.name: item.committed for item in found["distributions"]}
    assert distributions["batch_milliseconds"].count == SHARDS * -(-GROUP // 256)
    assert (distributions["images_at_once"].min, distributions["images_at_once"].max) == (256, 256)


def test_a_model_that_changes_while_the_run_goes_on_stops_it(model_directory: Path) -> None:
    from bulklabel.model.errors import UserError
    from bulklabel.transforms.scoring.load_scorer import load_scorer

    with pytest.raises(UserError, match="changed since the run was planned"):
        load_scorer(str(model_directory), "0" * 64)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("model.keras", "model.keras is missing"),
        ("model.json", "model.json is missing"),
        ("labels", "lists 9 labels"),
    ],
)
def test_a_bad_model_directory_is_one_line(
    corpus: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str, words: str
) -> None:
    copied = tmp_path / "model"
    shutil.copytree(model_directory, copied)
    if broken == "labels":
        content = json.loads((copied / "model.json").read_bytes())
        content["labels"] = content["labels"][:9]
        (copied / "model.json").write_text(json.dumps(content))
    else:
        (copied / broken).unlink()
    assert score(corpus, copied, tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_an_unwritable_output_is_one_line(
    corpus: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert score(corpus, model_directory, tmp_path / "file" / "run") == 2
    error = capsys.readouterr().err
    assert "cannot be written" in error
    assert error.count("\n") == 1


def test_a_store_that_fails_in_mid_run_is_one_line_and_continues(
    corpus: Path,
    model_directory: Path,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = files._put

    def full_disk(path: str, content: bytes) -> None:
        if "part-00005" in path:
            raise OSError(28, "No space left on device")
        put(path, content)

    monkeypatch.setattr(files, "_put", full_disk)
    assert score(corpus, model_directory, tmp_path / "run") == 1
    error = capsys.readouterr().err
    assert re.search(r"part-00005-of-00008-[0-9a-f]{8}\.parquet cannot be written \(No space left on device\)", error)
    assert error.count("\n") == 1
    assert not (tmp_path / "run" / "_SUCCESS").exists()
    monkeypatch.undo()
    assert score(corpus, model_directory, tmp_path / "run") == 0
    assert answers(tmp_path / "run") == answers(finished)


@pytest.mark.parametrize("flags", [("--treshold=0.4",), ("--direct_num_worker=2",), ("--max_rejected_fraction=2",)])
def test_a_bad_flag_is_one_line(
    corpus: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    assert score(corpus, model_directory, tmp_path / "run", *flags) == 2
    error = capsys.readouterr().err
    assert flags[0].split("=")[0] in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_airflows_labels_flag_passes_through(model_directory: Path, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", collage_rows(5))
    assert score(path, model_directory, tmp_path / "run", "--labels=airflow-version=v2-10-0") == 0


def test_a_run_below_its_own_input_does_not_find_itself(model_directory: Path, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", collage_rows(20))
    for _ in range(2):
        assert score(tmp_path, model_directory, tmp_path / "scores") == 0
    assert metrics_of(tmp_path / "scores")["counts"]["records"] == 20


@pytest.mark.parametrize(
    "name",
    ["image", "labels", "unknown", "predicted", "position", "prob_3", "probabilities", "bulklabel.kind", "content"],
)
@pytest.mark.parametrize(("flag", "layout"), [("--carry", "wide"), ("--slice_by", "list"), ("--group_by", "wide")])
def test_what_is_carried_needs_a_name_of_its_own(
    name: str, flag: str, layout: str, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = write_parquet(tmp_path / "a.parquet", collage_rows(2)), tmp_path / "scores"
    flags = ["--match=content"] if name == "content" else []
    assert score(path, model_directory, output, f"{flag}={name}", f"--layout={layout}", *flags) == 2
    error = capsys.readouterr().err
    assert (
        error
        == f"bulklabel: error: column {name}: records have a column of this name already; rename it in the input.\n"
    )
    assert not output.exists()


def test_what_is_carried_becomes_text(model_directory: Path, tmp_path: Path) -> None:
    names = ("price", "prob_", "bulklabel", "content", "Labels")
    rows = [row | dict.fromkeys(names, 5) for row in collage_rows(20)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    flags = [f"--carry={name}" for name in names]
    assert score(tmp_path / "a.parquet", model_directory, tmp_path / "scores", *flags) == 0
    assert all(predictions_of(tmp_path / "scores").column(name).to_pylist() == ["5"] * 20 for name in names)


def test_answers_that_are_no_probabilities_are_rejected(tmp_path: Path) -> None:
    pixels = keras.Input((32, 32, 3))
    dense = keras.layers.Dense(3, use_bias=False)
    network = keras.Model(pixels, dense(keras.layers.GlobalAveragePooling2D()(pixels)))
    dense.set_weights([np.diag([1 / 100, 1 / 254.99, 1e37]).astype(np.float32)])
    save_model(Model(("a", "b", "c"), Preprocessing(32, 32), network_bytes(network)), str(tmp_path / "model"))
    colours = {"good": (50, 255, 0), "large": (150, 0, 0), "infinite": (0, 0, 255)}
    rows = [
        {"id": name, "image": png(np.full((32, 32, 3), colour, np.uint8)), "labels": ["a"]}
        for name, colour in colours.items()
    ]
    write_parquet(tmp_path / "a.parquet", rows)
    run = tmp_path / "run"
    assert score(tmp_path / "a.parquet", tmp_path / "model", run, "--max_rejected_fraction=1") == 0
    assert [(row["id"], row["stage"], row["reason"]) for row in rejected_of(run)] == [
        ("large", "predict", "not_a_probability"),
        ("infinite", "predict", "not_finite"),
    ]
    good = predictions_of(run).to_pylist()[0]
    assert (good["id"], good["prob_a"], good["prob_b"]) == ("good", 0.5, 1)
