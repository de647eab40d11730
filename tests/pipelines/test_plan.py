"""`bulklabel plan`: what it says against what `score` then does, that it writes nothing, and that it refuses alike."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bulklabel.pipelines.cli import main
from bulklabel.pipelines.flags import plan as plan_flags
from bulklabel.pipelines.flags import score as score_flags
from bulklabel.transforms.demo_formats import write_layout
from tests.conftest import FILES, GROUP, RECORDS, collage_rows


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def planned(capsys: pytest.CaptureFixture[str], corpus: Path, model: Path, output: Path, *flags: str) -> dict[str, Any]:
    """The summary of `plan` that ended well."""
    capsys.readouterr()
    assert main(["plan", f"--input={corpus}", f"--model={model}", f"--output={output}", *flags]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    summary: dict[str, Any] = json.loads(last)
    return summary | {"lines": lines}


def test_what_is_forecast_is_what_the_run_then_is_and_nothing_is_written(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = planned(capsys, corpus, model_directory, tmp_path / "scores")
    assert not (tmp_path / "scores").exists()
    assert (summary["state"], summary["exit_code"], summary["report"]) == ("planned", 0, None)
    assert summary["plan"] == json.loads((finished / "plan.json").read_bytes())["digest"]
    expected = summary["forecast"]
    assert (expected["records"], expected["counted"]) == (FILES * RECORDS, True)
    assert expected["output_bytes"] == pytest.approx(sum(map(len, tree(finished).values())), rel=0.25)
    assert expected["seconds"] > expected["startup"] + expected["end"] > 0


def test_what_is_left_of_a_run_is_forecast_and_a_finished_one_has_nothing_left(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "_SUCCESS").unlink()
    parts = {kind: sorted((run / kind).iterdir()) for kind in ("predictions", "rejected")}
    for part in (parts["predictions"][0], parts["rejected"][1], parts["predictions"][2], parts["rejected"][2]):
        part.unlink()
    before = tree(run)
    summary = planned(capsys, corpus, model_directory, run)
    assert summary["forecast"]["records"] == 3 * GROUP
    assert f"{3 * GROUP:,} records in 3 of {FILES * RECORDS // GROUP} shards" in "\n".join(summary["lines"])
    assert tree(run) == before
    assert planned(capsys, corpus, model_directory, finished)["state"] == "nothing_to_do"


@pytest.mark.parametrize("input_format", ["tfrecord", "webdataset"])
def test_records_that_nobody_has_counted_are_estimated(
    input_format: str, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{name: row[name] for name in ("id", "image", "labels")} for row in collage_rows(600)]
    for number in range(2):
        write_layout(input_format, str(tmp_path / "in"), rows[number::2], number, 2)
    expected = planned(capsys, tmp_path / "in", model_directory, tmp_path / "out")["forecast"]
    assert expected["counted"] is False
    assert expected["records"] == pytest.approx(600, rel=0.05)


def test_it_refuses_what_score_refuses_in_the_same_words(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(finished)
    for flags in (
        [f"--input={tmp_path}/none", f"--model={model_directory}", f"--output={tmp_path}/out"],
        [f"--input={corpus}", f"--model={tmp_path}", f"--output={tmp_path}/out"],
        [f"--input={corpus}", f"--model={model_directory}", f"--output={finished}", "--threshold=0.9"],
        [f"--input={corpus}", f"--model={model_directory}", f"--output={tmp_path}/out", "--require=f9>1"],
    ):
        lines = []
        for command in ("plan", "score"):
            assert main([command, *flags]) == 2
            lines.append(capsys.readouterr().err.splitlines()[-1])
        assert lines[0] == lines[1]
    assert tree(finished) == before
    assert not (tmp_path / "out").exists()


def test_it_warns_of_a_deadline_that_does_not_suffice(
    corpus: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--input={corpus}", f"--model={model_directory}", f"--output={tmp_path / 'out'}"]
    for deadline, warned in (("0.1s", True), ("9h", False)):
        assert main(["plan", *flags, f"--deadline={deadline}"]) == 0
        assert ("would not be done by then" in capsys.readouterr().err) is warned


@pytest.mark.parametrize(("allowed", "warned"), [("0.9", True), ("1", False)])
def test_it_warns_where_too_much_of_the_sample_is_rejected(
    allowed: str, warned: bool, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.png").write_bytes(b"no image")
    flags = [f"--input={tmp_path / 'in'}", f"--model={model_directory}", f"--output={tmp_path / 'out'}"]
    assert main(["plan", *flags, f"--max_rejected_fraction={allowed}"]) == 0
    assert ("3 of 3 records of the sample were rejected" in capsys.readouterr().err) is warned


def test_its_flags_are_those_of_score_but_for_the_file_that_it_does_not_write() -> None:
    plan, score = (
        {flag for action in flags.parser()._actions for flag in action.option_strings}
        for flags in (plan_flags, score_flags)
    )
    assert score - plan == {"--metrics_textfile"}
    assert plan <= score
