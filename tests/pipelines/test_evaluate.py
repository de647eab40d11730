"""`evaluate`: a finished run's metrics again, with other thresholds and other truth."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import f1_score

from bulklabel.pipelines.evaluate import main
from tests.conftest import answers, metrics_of, part_of, predictions_of


def evaluate(run: Path, output: Path, *flags: str) -> int:
    return main([f"--input={run}", f"--output={output}", *flags])


def test_the_same_thresholds_give_the_same_metrics(finished: Path, tmp_path: Path) -> None:
    before = answers(finished)
    assert evaluate(finished, tmp_path / "e") == 0
    assert (tmp_path / "e" / "metrics.json").read_bytes() == (finished / "metrics.json").read_bytes()
    assert evaluate(finished, tmp_path / "tuned", "--threshold=tuned") == 0
    assert metrics_of(tmp_path / "tuned") == metrics_of(finished)
    assert answers(finished) == before


def test_another_threshold(finished: Path, tmp_path: Path) -> None:
    assert evaluate(finished, tmp_path / "e", "--threshold=0.2") == 0
    table = predictions_of(finished)
    table = table.filter(table.column("labels").is_valid())
    names = [str(i) for i in range(10)]
    truth = np.array([[name in row for name in names] for row in table.column("labels").to_pylist()])
    predicted = np.stack([table.column(f"prob_{name}").to_numpy() for name in names], axis=1) >= 0.2
    found = metrics_of(tmp_path / "e")
    assert found["overall"]["f1_macro"] == pytest.approx(f1_score(truth, predicted, average="macro"), abs=1e-9)
    assert {row["threshold"] for row in found["per_label"]} == {0.2}


def test_truth_from_another_file_is_joined_by_id(finished: Path, tmp_path: Path) -> None:
    ids = predictions_of(finished).column("id").to_pylist()[:500]
    path = tmp_path / "truth.parquet"
    pq.write_table(pa.table({"key": [*reversed(ids), "not in the run"], "tags": [[3, 1]] * 501}), path)
    flags = (f"--truth={path}", "--id_column=key", "--labels_column=tags")
    assert evaluate(finished, tmp_path / "e", *flags) == 0
    found = metrics_of(tmp_path / "e")
    assert found["counts"]["with_truth"] == 500
    assert [row["support"] for row in found["per_label"]] == [0, 500, 0, 500, 0, 0, 0, 0, 0, 0]
    predicted = predictions_of(finished).column("predicted").to_pylist()[:500]
    assert found["per_label"][3]["tp"] == sum("3" in row for row in predicted)


def test_the_runs_own_truth_from_elsewhere_changes_nothing(finished: Path, corpus: Path, tmp_path: Path) -> None:
    assert evaluate(finished, tmp_path / "e", f"--truth={corpus}") == 0
    assert metrics_of(tmp_path / "e") | {"truth": None} == metrics_of(finished) | {"truth": None}


def test_bad_truth_and_bad_runs_are_one_line(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twice, wrong = tmp_path / "twice.parquet", tmp_path / "wrong.parquet"
    pq.write_table(pa.table({"id": ["a", "b", "a"], "labels": [["1"]] * 3}), twice)
    pq.write_table(pa.table({"id": ["a"], "labels": [{"1": 1}]}), wrong)
    (tmp_path / "text.parquet").write_text("text")
    another = tmp_path / "another"
    another.mkdir()
    (another / "plan.json").touch()
    for flags, words in {
        (f"--truth={twice}",): "'a' occurs twice",
        (f"--truth={wrong}",): "holds no labels, but values such as",
        (f"--truth={tmp_path}/text.parquet",): "not a Parquet file",
        (f"--truth={twice}", "--labels_column=tags"): "0 columns 'tags'",
        (f"--truth={tmp_path}/none.parquet",): "no file matches",
        ("--threshold=2",): "neither a number from 0 to 1",
        (f"--input={tmp_path}",): "is not a finished run",
        (f"--output={finished}",): "is the run itself",
        (f"--output={another}",): "is a run, whose metrics are kept",
    }.items():
        assert evaluate(finished, tmp_path / "e", *flags) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert not (tmp_path / "e").exists()


def test_a_missing_part_is_named(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(finished, run)
    part = part_of(run, "predictions", 2)
    part.unlink()
    assert evaluate(run, tmp_path / "e") == 2
    error = capsys.readouterr().err
    assert f"{part.name} is missing or damaged" in error
    assert error.count("\n") == 1
