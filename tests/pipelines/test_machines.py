"""What machines read: exit codes, JSON lines, the summary, the textfile."""

import argparse
import json
import logging
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from apache_beam.portability.api import beam_fn_api_pb2
from prometheus_client.parser import text_string_to_metric_families

from bulklabel.pipelines import cli, evaluate
from bulklabel.pipelines.console.prometheus import LAST_SUCCESS
from bulklabel.pipelines.console.worker_logs import LOGGER, OURS, TRACEBACK
from bulklabel.pipelines.run_command import run_command
from tests.conftest import ROOT, metrics_of, score

JSON = "--log_format=json"
KEYS = ["command", "state", "exit_code", "output", "plan", "counts", "metrics", "report", "seconds", "error"]

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def series(path: Path) -> Series:
    """Name and labels but `run`, which must be the file's name, to value."""
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        assert family.documentation
        assert family.type == "gauge"
        for sample in family.samples:
            assert sample.labels.pop("run") == path.stem
            assert sample.timestamp is None
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return found


def test_json_is_all_that_is_said(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "_SUCCESS").unlink()
    assert score(corpus, model_directory, run, JSON) == 0
    captured = capsys.readouterr()
    lines = lines_of(captured.err)
    assert lines.pop(3)["message"].startswith("truth: names in 'labels', such as ")
    begins = f"scoring {corpus} with {model_directory} into {run}", "4,800 images in 2 files of parquet, 8 shards"
    assert all(lines.pop(index)["message"].startswith(words) for index, words in zip((0, 1), begins, strict=True))
    assert [line["message"] for line in lines] == ["planned", "started", "published"]
    for line in lines:
        assert (line["level"], line["logger"], line["command"]) == ("info", "bulklabel", "score")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
    assert [(line["shards"], line["done"]) for line in lines[1:]] == [(8, 8), (8, 8)]
    (summary,) = lines_of(captured.out)
    assert list(summary) == KEYS
    metrics = metrics_of(run)
    assert summary["counts"] == metrics["counts"]
    assert summary["metrics"] == {
        name: metrics["overall"][name] for name in ("f1_micro", "f1_macro", "subset_accuracy", "hamming_loss")
    }
    assert summary["plan"] == json.loads((run / "plan.json").read_bytes())["digest"]
    assert Path(summary["report"]).exists()
    assert (summary["command"], summary["state"], summary["exit_code"]) == ("score", "finished", 0)
    assert (summary["output"], summary["error"]) == (str(run), None)
    assert summary["seconds"] > 0
    assert score(corpus, model_directory, run, JSON) == 0
    captured = capsys.readouterr()
    assert [line["message"].partition(": ")[2] for line in lines_of(captured.err)][2:] == [
        "nothing to do, this plan is finished."
    ]
    assert lines_of(captured.out)[0] | {"seconds": 0} == summary | {"state": "nothing_to_do", "seconds": 0}


def test_a_log_of_text_keeps_the_table_and_adds_the_summary(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main([f"--input={finished}", f"--output={tmp_path / 'e'}"]) == 0
    captured = capsys.readouterr()
    *table, summary = captured.out.splitlines()
    assert "Micro F1" in "".join(table)
    assert (json.loads(summary)["command"], json.loads(summary)["state"]) == ("evaluate", "finished")
    assert captured.err == ""


def test_too_many_rejected_are_counted(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "_SUCCESS").unlink()
    textfile = tmp_path / "nightly.prom"
    flags = ("--max_rejected_fraction=0.0001", f"--metrics_textfile={textfile}", JSON)
    assert score(corpus, model_directory, run, *flags) == 4
    captured = capsys.readouterr()
    (summary,) = lines_of(captured.out)
    assert (summary["state"], summary["exit_code"]) == ("too_many_rejected", 4)
    assert summary["counts"]["rejected"] == 4
    assert summary["error"] == lines_of(captured.err)[-1]["message"]
    found = series(textfile)
    assert found["bulklabel_exit_code", frozenset()] == 4
    assert found["bulklabel_records", frozenset({("state", "rejected")})] == 4
    assert found["bulklabel_rejected", frozenset({("reason", "not_an_image")})] == 1
    assert (LAST_SUCCESS, frozenset()) not in found


@pytest.mark.parametrize("flags", [["--log_format", "json"], [JSON, "--no_such_flag"]])
def test_a_bad_command_line_is_json_too(flags: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", *flags]) == 2
    captured = capsys.readouterr()
    (line,), (summary,) = lines_of(captured.err), lines_of(captured.out)
    assert (summary["command"], summary["state"], summary["exit_code"]) == ("compare", "bad_command", 2)
    assert line["level"] == "error"
    assert line["message"] == summary["error"]


def test_people_on_a_terminal_get_no_summary() -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "bulklabel.pipelines.cli", "package"],
        cwd=ROOT,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.startswith("bulklabel: error: ")) == (2, True)
    os.write(theirs, b"end")
    assert os.read(ours, 1000) == b"end"
    os.close(ours)
    os.close(theirs)


def broken(options: argparse.Namespace, _: object) -> None:
    """A command with a bug."""
    logging.getLogger("apache_beam.somewhere").error("Beam's own %s", "words")
    print("done", 7)
    raise KeyError(options.output)


def test_a_bug_of_ours_is_json_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulklabel.pipelines.demo.run", broken)
    assert run_command("demo", [JSON]) == 1
    captured = capsys.readouterr()
    _, beams, printed, error, bug = lines_of(captured.err)
    assert (beams["logger"], beams["message"]) == ("apache_beam.somewhere", "Beam's own words")
    assert (printed["level"], printed["message"]) == ("info", "done 7")
    assert error["message"].startswith("KeyError: ")
    assert "in broken" in bug["traceback"]
    assert lines_of(captured.out)[0]["state"] == "failed"
    with pytest.raises(KeyError):
        run_command("demo", [])
    captured = capsys.readouterr()
    assert captured.err.startswith("Beam's own words\nbulklabel: error: KeyError: ")
    assert json.loads(captured.out.splitlines()[-1])["exit_code"] == 1


def test_what_workers_log_becomes_a_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def log_as_workers(*_: object) -> None:
        for place in (f"{OURS}scorer.py:1", "/elsewhere/beam.py:1"):
            entry = beam_fn_api_pb2.LogEntry(message='out of "memory"\n100 %', log_location=place)
            printed = beam_fn_api_pb2.LogEntry(message=f"{TRACEBACK}:\n  in process", log_location=place)
            for level in (logging.INFO, logging.WARNING, logging.ERROR):
                for each in (entry, printed):
                    logging.getLogger(LOGGER).log(level, "Worker: %s", str(each).replace("\n", " "))

    monkeypatch.setattr("bulklabel.pipelines.demo.run", log_as_workers)
    assert run_command("demo", [JSON]) == 0
    lines = lines_of(capsys.readouterr().err)[1:]
    assert {line["message"] for line in lines} == {'out of "memory"\n100 %'}
    assert [(line["level"], line["logger"]) for line in lines] == [
        ("warning", "bulklabel"),
        ("error", "bulklabel"),
        ("error", LOGGER),
    ]


def test_the_textfile_keeps_the_last_success(finished: Path, tmp_path: Path) -> None:
    textfile = tmp_path / "nightly.prom"
    flags = [f"--input={finished}", f"--output={tmp_path / 'e'}", f"--metrics_textfile={textfile}"]
    assert evaluate.main([*flags, "--threshold=nothing"]) == 2
    failed = series(textfile)
    assert {name for name, _ in failed} == {"bulklabel_exit_code", "bulklabel_run_seconds"}
    assert failed["bulklabel_exit_code", frozenset()] == 2
    assert evaluate.main(flags) == 0
    first, metrics = series(textfile), metrics_of(finished)
    assert first["bulklabel_records", frozenset({("state", "scored")})] == metrics["counts"]["scored"]
    assert first["bulklabel_metric", frozenset({("name", "f1_micro")})] == metrics["overall"]["f1_micro"]
    assert textfile.stat().st_mtime - 60 < first[LAST_SUCCESS, frozenset()] <= textfile.stat().st_mtime + 1
    assert evaluate.main([*flags, "--no_such_flag"]) == 2
    again = series(textfile)
    assert again[LAST_SUCCESS, frozenset()] == first[LAST_SUCCESS, frozenset()]
    assert ("bulklabel_records", frozenset({("state", "scored")})) not in again
    textfile.write_text("no metrics\x00{")
    assert evaluate.main([*flags, "--no_such_flag"]) == 2
    assert (LAST_SUCCESS, frozenset()) not in series(textfile)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e", "nightly.prom"]


@pytest.mark.parametrize(
    ("name", "words"), [("night.txt", "does not end in .prom"), ("none/night.prom", "there is no folder")]
)
def test_a_textfile_nobody_would_read_is_refused(
    name: str, words: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--input={finished}", f"--output={tmp_path / 'e'}", f"--metrics_textfile={tmp_path / name}"]
    assert evaluate.main(flags) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_commands_of_the_page_run(
    corpus: Path,
    model_directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "machines.md").read_text()
    shell = "\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    shell = shell.replace("demo/corpus/heldout", str(corpus)).replace("demo/model", str(model_directory))
    commands = re.findall(r"^\.venv/bin/bulklabel ([^>|\n]+)", shell, re.MULTILINE)
    Path("my").mkdir()
    assert [cli.main(line.split()) for line in commands] == [0, 0]
    assert list(json.loads(capsys.readouterr().out.splitlines()[-1])) == KEYS
    (shown,) = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert list(json.loads(shown)) == KEYS
    names = {name for name, _ in series(Path("my/bulklabel.prom"))}
    assert names == set(re.findall(r"^\| `(bulklabel_\w+)", page, re.MULTILINE))
