"""Runs with requirements and baselines, end to end: which exit code, and what is published all the same."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from bulklabel.model.images.decode import decode_whole
from bulklabel.model.images.demo_collages import collages
from bulklabel.pipelines.evaluate import main as evaluate
from bulklabel.pipelines.score import main as score_into
from bulklabel.transforms.run_directory.success import success_of
from tests.conftest import answers, collage_rows, metrics_of, part_of, png, predictions_of, score, write_parquet

HOLDING = ("--require=f1_micro>=0.05", "--require=recall[3]>=0.001", "--require=rejected_fraction<=0.01")
FAILING = ("--require=f1_micro>=0.9999", "--require=label_rate[3]>0.99", "--require=records==4800")


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run to do things to."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Larger images in another format, without truth; a fifth cannot be read."""
    images = [decode_whole(image).repeat(3, axis=0).repeat(3, axis=1) for image, _ in collages(40, 9, held_out=False)]
    files = [png(image, format="JPEG") for image in images]
    rows: list[dict[str, Any]] = [{"id": f"o{at}", "image": file, "labels": None} for at, file in enumerate(files)]
    for row in rows[::5]:
        row["image"] = b"no image"
    return write_parquet(tmp_path_factory.mktemp("other") / "other.parquet", rows)


def manifest_of(output: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output / "manifest.json").read_bytes())
    return content


def times(output: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in output.rglob("*")}


def test_a_finished_run_is_judged_anew_until_it_is_as_required(
    corpus: Path, model_directory: Path, finished: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {path: time for path, time in times(run).items() if path.suffix == ".parquet" and path.parent != run}
    for _ in range(2):
        assert score(corpus, model_directory, run, *FAILING) == 3
        error = capsys.readouterr().err
        f1 = metrics_of(run)["overall"]["f1_micro"]
        rate = metrics_of(run)["distributions"]["labels"][3]["label_rate"]
        assert error.count("\n") == 1
        values = f"f1_micro>=0.9999 (it is {f1:.4g}), label_rate[3]>0.99 (it is {rate:.4g})"
        assert f"failed requirements: {values}; see {run}" in error
        assert not (run / "_SUCCESS").exists()
        assert answers(run) == answers(finished)
        manifest = manifest_of(run)
        assert not manifest["accepted"]
        assert manifest["require"] == [flag.removeprefix("--require=") for flag in FAILING]
        assert [gate["passed"] for gate in manifest["gates"]] == [False, False, True]
        assert [gate["value"] for gate in manifest["gates"]] == [f1, rate, 4800]
        assert "2 of 3 requirements failed" in (run / "report.html").read_text()
    assert score(corpus, model_directory, run, *HOLDING) == 0
    out = capsys.readouterr().out
    assert out.count("\n  passed  ") == 3
    assert (run / "_SUCCESS").exists()
    assert manifest_of(run)["accepted"]
    assert answers(run) == answers(finished)
    assert "All requirements hold" in (run / "report.html").read_text()
    before = times(run)
    assert parts.items() <= before.items()
    assert score(corpus, model_directory, run, *HOLDING) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert times(run) == before


def test_a_finished_run_does_not_pass_unchecked(
    corpus: Path, model_directory: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(corpus, model_directory, run, "--max_rejected_fraction=0.0001", *FAILING) == 4
    error = capsys.readouterr().err
    assert "4 of 4,800 records were rejected" in error
    assert "Failed besides: f1_micro>=0.9999 (it is " in error
    assert not (run / "_SUCCESS").exists()
    (run / "manifest.json").write_text("{")
    (run / "_SUCCESS").touch()
    assert score(corpus, model_directory, run) == 0
    assert manifest_of(run)["gates"] == []


def test_a_baseline_is_the_limit_and_shows_what_drifted(
    corpus: Path, model_directory: Path, finished: Path, run: Path
) -> None:
    flags = (f"--baseline={finished}", "--require=f1_micro>=baseline-0.02", "--require=drift_probabilities_max<=0")
    assert score(corpus, model_directory, run, *flags) == 0
    f1 = metrics_of(finished)["overall"]["f1_micro"]
    assert manifest_of(run)["gates"][0] | {"limit": None} == {
        "requirement": "f1_micro>=baseline-0.02",
        "value": f1,
        "limit": None,
        "passed": True,
        "reason": None,
    }
    assert manifest_of(run)["gates"][0]["limit"] == pytest.approx(f1 - 0.02)
    found = metrics_of(run)
    assert set(found.pop("drift")["overall"].values()) == {0}
    assert found == metrics_of(finished)
    before = answers(run)
    (run / "_SUCCESS").unlink()
    lost = part_of(run, "predictions", 1), part_of(run, "rejected", 6)
    for path in lost:
        path.unlink()
    assert score(corpus, model_directory, run, *flags) == 0
    assert answers(run) == before


def test_distributions_are_those_of_the_predictions(finished: Path) -> None:
    table, found = predictions_of(finished), metrics_of(finished)["distributions"]
    given = table.column("predicted").to_pylist()
    for row in found["labels"]:
        assert row["predicted"] == sum(row["label"] in labels for labels in given)
        histogram, _ = np.histogram(table.column(f"prob_{row['label']}").to_numpy(), 16, (0, 1))
        assert row["histogram"] == histogram.tolist()
    assert found["formats"] == {"PNG": len(table)}
    assert found["sizes"] == {"32": len(table)}
    reasons = ("damaged_image", "empty_image", "missing_image", "not_an_image")
    assert found["rejected"] == dict.fromkeys(reasons, 1 / 4800)
    for path in finished.glob("predictions/*"):
        part = pq.ParquetFile(path)
        kinds = json.loads(part.schema_arrow.metadata[b"bulklabel.images"])
        assert kinds == [["PNG", 32, False, part.metadata.num_rows]]


def test_drift_needs_no_truth(
    other: Path, model_directory: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    flags = (f"--baseline={finished}", "--max_rejected_fraction=0.5", "--require=drift_label_rate[1]>=0")
    gates = ("--require=drift_formats<=0.2", "--require=drift_sizes<=0.2", "--require=f1_micro>=0")
    assert score(other, model_directory, run, *flags, *gates) == 3
    error = capsys.readouterr().err
    assert "drift_formats<=0.2 (it is 1), drift_sizes<=0.2 (it is 1), f1_micro>=0 (no value: " in error
    found = metrics_of(run)
    assert found["counts"]["with_truth"] == 0
    assert found["distributions"]["formats"] == {"JPEG": 32}
    assert found["distributions"]["sizes"] == {"64": 32}
    assert found["drift"]["overall"]["drift_rejected_fraction"] == pytest.approx(0.2 - 4 / 4800)
    both = [metrics["distributions"]["labels"] for metrics in (metrics_of(finished), found)]
    rates = [[row["label_rate"] for row in rows] for rows in both]
    changes = [abs(now - before) for before, now in zip(*rates, strict=True)]
    assert found["drift"]["overall"]["drift_label_rate_max"] == pytest.approx(max(changes))
    assert found["drift"]["most"]["drift_label_rate_max"] == str(np.argmax(changes))
    assert "What changed since the baseline" in (run / "report.html").read_text()
    assert (run / "manifest.json").exists()
    assert not (run / "_SUCCESS").exists()


def test_evaluate_is_judged_too(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again, stricter = tmp_path / "again", tmp_path / "stricter"
    assert evaluate([f"--input={finished}", f"--output={again}", *HOLDING]) == 0
    assert capsys.readouterr().out.count("\n  passed  ") == 3
    manifest = manifest_of(again)
    assert manifest["accepted"]
    assert [gate["passed"] for gate in manifest["gates"]] == [True] * 3
    assert manifest["counts"] == metrics_of(finished)["counts"]
    assert manifest["plan"] == manifest_of(finished)["plan"]
    assert "predictions" not in manifest
    assert (again / "_SUCCESS").read_bytes() == success_of((again / "manifest.json").read_bytes())
    shutil.copytree(again, stricter)  # an evaluation that is accepted, before one that is not
    flags = [f"--baseline={again}", "--require=recall_micro>=baseline", "--require=brier<=baseline*1.01"]
    assert evaluate([f"--input={finished}", f"--output={stricter}", "--threshold=0.9", *flags]) == 3
    recalls = [metrics_of(output)["overall"]["recall_micro"] for output in (stricter, again)]
    expected = f"failed requirements: recall_micro>=baseline (it is {recalls[0]:.4g}; the limit is {recalls[1]:.4g})"
    captured = capsys.readouterr()
    assert expected in captured.err
    assert "Micro F1" in captured.out
    assert [gate["passed"] for gate in manifest_of(stricter)["gates"]] == [False, True]
    assert not (stricter / "_SUCCESS").exists()
    assert metrics_of(stricter)["drift"]["overall"]["drift_probabilities_max"] == 0
    assert metrics_of(stricter)["drift"]["overall"]["drift_label_rate_max"] > 0


def test_what_cannot_be_judged_is_refused_before_any_work(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"damaged": b"[1", "older": b'{"counts": {}}', "labels": None}
    for name, content in names.items():
        (tmp_path / name).mkdir()
        metrics = metrics_of(finished)
        metrics["per_label"] = metrics["per_label"][:-1]
        (tmp_path / name / "metrics.json").write_bytes(content or json.dumps(metrics).encode())
    output = tmp_path / "run"
    commands = (
        (score_into, [f"--input={corpus}", f"--model={model_directory}"]),
        (evaluate, [f"--input={finished}"]),
    )
    for flag, words in {
        "--require=f1_mikro>=0.5": "'f1_mikro'; did you mean f1_micro",
        "--require=f1_micro=>0.5": "is not a requirement; write METRIC",
        "--require=recall[cat]>=0.5": "the model has no label 'cat'",
        "--require=f1_micro>=baseline": "give its output as --baseline",
        f"--baseline={tmp_path}": "metrics.json is missing; give the output of a finished",
        f"--baseline={tmp_path}/damaged/metrics.json": "metrics.json is missing",
        f"--baseline={tmp_path}/damaged": "metrics.json is damaged or of another version",
        f"--baseline={tmp_path}/older": "metrics.json is damaged or of another version (KeyError: 'overall')",
        f"--baseline={tmp_path}/labels": "has other labels ('9' is the model's alone)",
        f"--baseline={output}": "is the --output itself",
    }.items():
        for command, arguments in commands:
            assert command([*arguments, f"--output={output}", flag]) == 2
            error = capsys.readouterr().err
            assert words in error
            assert error.count("\n") == 1
    assert not output.exists()


def test_evaluate_does_not_write_into_a_run(finished: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = times(run)
    assert evaluate([f"--input={finished}", f"--output={run}"]) == 2
    assert "is a run, whose metrics are kept; give another place" in capsys.readouterr().err
    assert times(run) == before


def test_a_run_that_fails_at_once_has_everything_but_success(model_directory: Path, tmp_path: Path) -> None:
    path, run = write_parquet(tmp_path / "a.parquet", collage_rows(20)), tmp_path / "run"
    assert score(path, model_directory, run, "--require=scored>20") == 3
    published = {"manifest.json", "metrics.json", "report.html", "per_label.csv", "thresholds.json"}
    published |= {"threshold_curves.parquet", "plan.json", "predictions", "rejected"}
    assert {path.name for path in run.iterdir()} == published
    assert score(path, model_directory, run, "--require=scored>=20") == 0
    assert (run / "_SUCCESS").exists()
