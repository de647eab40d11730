"""An evaluation is a run: `compare`, `verify`, `evaluate` and `--baseline` take its folder as they take a run's."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bulklabel.pipelines import compare, evaluate, verify
from tests.conftest import metrics_of, predictions_of
from tests.pipelines.conftest import RECORDS


@pytest.fixture(scope="module")
def strict(run: Path) -> Path:
    """The run judged by another threshold."""
    assert evaluate.main([f"--input={run}", f"--output={run.parent / 'strict'}", "--threshold=0.8"]) == 0
    return run.parent / "strict"


PICTURE = '<img src="data:image'


def compared(before: Path, after: Path, output: Path, *flags: str) -> dict[str, Any]:
    assert compare.main([str(before), str(after), f"--output={output}", *flags]) == 0
    content: dict[str, Any] = json.loads((output / "comparison.json").read_bytes())
    return content


def probabilities(run: Path) -> np.ndarray:
    table = predictions_of(run)
    return np.stack([table.column(f"prob_{label}").to_numpy() for label in ("cat", "dog")], axis=1)


def test_two_thresholds_of_a_run_are_compared(run: Path, strict: Path, tmp_path: Path) -> None:
    content = compared(run, strict, tmp_path / "changes")
    lost = (probabilities(run) >= 0.5) & (probabilities(run) < np.float32(0.8))
    assert [row["flips"]["became_absent"] for row in content["per_label"]] == lost.sum(axis=0).tolist()
    assert lost.sum() > 10
    for row, old, new in zip(
        content["per_label"],
        compared(run, run, tmp_path / "same")["per_label"],
        metrics_of(strict)["per_label"],
        strict=True,
    ):
        assert row["metrics"]["f1"]["before"] == old["metrics"]["f1"]["before"]
        assert row["metrics"]["f1"]["after"] == new["f1"]
        assert row["thresholds"] == {"before": 0.5, "after": 0.8}
    sides = content["runs"]
    assert sides["after"]["path"] == str(strict)
    assert sides["after"]["run"] == str(run)
    assert sides["after"]["counts"] == metrics_of(strict)["counts"]


def test_flipped_records_are_named_and_shown_with_their_pictures(run: Path, strict: Path, tmp_path: Path) -> None:
    content = compared(run, strict, tmp_path / "changes")
    numbers, table = probabilities(run), predictions_of(run)
    ids, truth = table.column("id").to_pylist(), table.column("labels").to_pylist()
    for label, name in enumerate(("cat", "dog")):
        lost = np.flatnonzero((numbers[:, label] >= 0.5) & (numbers[:, label] < np.float32(0.8)))
        clear = np.minimum(numbers[:, label] - np.float32(0.5), np.float32(0.8) - numbers[:, label])
        for kind, present in (("became_wrong", True), ("became_right", False)):
            order = sorted((-clear[row], ids[row]) for row in lost if (name in truth[row]) == present)
            shown = [row["id"] for row in content["flipped_records"] if (row["label"], row["kind"]) == (name, kind)]
            assert shown == [record for _, record in order][:6]
            assert shown
    page = (tmp_path / "changes" / "report.html").read_text()
    pictures = set(re.findall(r'<img src="data:image/[a-z]+;base64,[^"]+" alt="(r\d+)"', page))
    assert pictures == {row["id"] for row in content["flipped_records"]}


def test_pictures_are_from_the_run_that_has_images(run: Path, tmp_path: Path) -> None:
    predictions = f"--predictions={run / 'predictions'}"
    assert evaluate.main([predictions, f"--output={tmp_path / 'foreign'}", "--threshold=0.8"]) == 0
    content = compared(run, tmp_path / "foreign", tmp_path / "changes")
    assert content["flipped_records"]
    assert PICTURE in (tmp_path / "changes" / "report.html").read_text()
    assert evaluate.main([predictions, f"--output={tmp_path / 'half'}"]) == 0
    without = compared(tmp_path / "half", tmp_path / "foreign", tmp_path / "none")
    assert without["flipped_records"] == content["flipped_records"]
    assert PICTURE not in (tmp_path / "none" / "report.html").read_text()


def test_the_truth_of_an_evaluation_is_that_of_its_comparison(run: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("id,cat,dog\n" + "".join(f"r{i},1,0\n" for i in range(RECORDS)))
    judged = tmp_path / "judged"
    assert evaluate.main([f"--input={run}", f"--output={judged}", f"--truth={truth}"]) == 0
    content = compared(run, judged, tmp_path / "changes")
    assert [row["support"] for row in content["per_label"]] == [RECORDS, 0]
    assert content["records"]["other_truth"] == sum(i % 3 == 0 for i in range(RECORDS))
    again = tmp_path / "again"
    assert evaluate.main([f"--input={judged}", f"--output={again}", "--threshold=0.3"]) == 0
    assert [row["support"] for row in metrics_of(again)["per_label"]] == [RECORDS, 0]
    truth.write_text(truth.read_text().replace("1,0", "0,1"))
    assert compare.main([str(run), str(judged), f"--output={tmp_path / 'none'}"]) == 2


def test_an_evaluation_is_evaluated_and_a_baseline(run: Path, strict: Path, tmp_path: Path) -> None:
    flags = [f"--output={tmp_path / 'again'}", f"--baseline={strict}", "--require=f1_micro>=baseline"]
    assert evaluate.main([f"--input={strict}", *flags]) == 0
    assert metrics_of(tmp_path / "again")["per_label"] == metrics_of(strict)["per_label"]
    manifest = json.loads((tmp_path / "again" / "manifest.json").read_bytes())
    assert manifest["run"] == str(run)
    assert manifest["answers"]["run"] == str(run)
    assert manifest["answers"]["thresholds"] == [0.8, 0.8]


def test_an_evaluation_is_verified(run: Path, strict: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compared(run, strict, tmp_path / "changes")
    capsys.readouterr()
    for folder, command in ((strict, "evaluate"), (tmp_path / "changes", "compare")):
        assert verify.main([str(folder)]) == 0
        assert f"is as `bulklabel {command}` left it" in capsys.readouterr().out
        copy = tmp_path / f"damaged {command}"
        shutil.copytree(folder, copy)
        (copy / "report.html").write_text("nothing")
        (copy / "notes.txt").touch()
        assert verify.main([str(copy)]) == 1
        printed = capsys.readouterr()
        assert "report.html has 7 bytes" in printed.out
        assert "notes.txt does not belong to it" in printed.out
        assert f"run the same `bulklabel {command}` again" in printed.err
        assert "score" not in printed.err
        (copy / "manifest.json").unlink()
        assert verify.main([str(copy)]) == 1
        assert "manifest.json is missing" in capsys.readouterr().out
    assert verify.main([str(strict), "--sample=5"]) == 2
    assert f"its run {run}" in capsys.readouterr().err


def test_what_an_evaluation_was_made_of_must_be_there(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved, judged = tmp_path / "run", tmp_path / "judged"
    shutil.copytree(run, moved)
    assert evaluate.main([f"--input={moved}", f"--output={judged}"]) == 0
    moved.rename(tmp_path / "elsewhere")
    commands = (compare.main, [str(judged), str(run), f"--output={tmp_path / 'changes'}"]), (verify.main, [str(judged)])
    for main, flags in commands:
        capsys.readouterr()
        assert main(flags) in (1, 2)
        assert "is an evaluation of a run that no longer exists" in "".join(capsys.readouterr())
    assert not (tmp_path / "changes").exists()
