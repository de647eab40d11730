"""Nothing that becomes of what is printed fails a command, and no name is too wild to be printed."""

import argparse
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from bulklabel.model.errors import UserError
from bulklabel.pipelines import cli
from bulklabel.pipelines.run_command import run_command
from tests.conftest import ROOT

JSON = "--log_format=json"

GOOD, BAD = "good", "bad"
"""What the command is given, and how it ends."""

WILD = "caf\udce9 – naïve\t\x1b[1m"
"""A name with a byte that is no character, with characters that ASCII lacks, and with some for terminals alone."""


def without_a_reader() -> TextIO:
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w", encoding="utf-8")


def full() -> TextIO:
    return open("/dev/full", "w", encoding="utf-8")


def closed() -> TextIO:
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS: list[tuple[Callable[[], TextIO], str]] = [
    (without_a_reader, ""),
    (full, "bulklabel: warning: stdout cannot be written (No space left on device); the run goes on\n"),
    (closed, ""),
]


def prints(options: argparse.Namespace, _: object) -> None:
    """A command that prints more than any buffer holds, and succeeds, unless it is told otherwise."""
    for number in range(2000):
        print(f"{number} of {options.output}")
    if options.input == BAD:
        raise UserError(f"{options.output}: no such thing; give another.")


def evaluate(given: str, *flags: str) -> int:
    """Run it."""
    return run_command("evaluate", [f"--input={given}", "--output=out", *flags])


@pytest.fixture(autouse=True)
def _printing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulklabel.pipelines.evaluate.run", prints)


@pytest.mark.parametrize("opened", STREAMS)
@pytest.mark.parametrize(("given", "exit_code"), [(GOOD, 0), (BAD, 2)])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_stdout_that_cannot_be_written_changes_no_exit_code(
    opened: tuple[Callable[[], TextIO], str],
    given: str,
    exit_code: int,
    log_format: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, warning = opened[0](), opened[1]
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        assert evaluate(given, f"--log_format={log_format}") == exit_code
    stream.close()  # nothing is left in it that would fail now
    if log_format == "text":
        assert capsys.readouterr().err.removesuffix("out: no such thing; give another.\n").startswith(warning)


def test_a_stdout_that_is_not_there_changes_no_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", None)
        patched.setattr(sys, "stderr", None)
        assert evaluate(GOOD) == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("flags", [(), (JSON,)])
def test_no_name_is_too_wild_for_a_strict_stream(
    encoding: str, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding, errors="strict") for _ in range(2))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", out)
        patched.setattr(sys, "stderr", err)
        assert evaluate(BAD, f"--output={WILD}", *flags) == 2
    written, errors = (stream.buffer.getvalue().decode(encoding) for stream in (out, err))
    assert "udce9" in written
    summary = json.loads(written.splitlines()[-1])
    assert summary["error"] == f"{WILD}: no such thing; give another.".replace("\udce9", "\\udce9")
    if flags:
        assert [json.loads(line)["level"] for line in errors.splitlines()][-1] == "error"
        assert errors.isascii()


def test_a_textfile_may_have_any_name(tmp_path: Path) -> None:
    textfile = tmp_path / "caf\udce9.prom"
    assert evaluate(GOOD, f"--metrics_textfile={textfile}") == 0
    assert 'bulklabel_exit_code{run="caf\\\\udce9"} 0.0' in textfile.read_text()


@pytest.mark.parametrize(
    "make", [lambda path: path.mkdir(), lambda path: path.parent.chmod(0o555), lambda path: path.symlink_to(path)]
)
def test_a_textfile_that_cannot_be_written_is_a_warning(
    make: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    textfile = tmp_path / "there" / "nightly.prom"
    textfile.parent.mkdir()
    make(textfile)
    assert evaluate(GOOD, f"--metrics_textfile={textfile}") == 0
    textfile.parent.chmod(0o755)
    error = capsys.readouterr().err
    assert not error or error.startswith(f"bulklabel: warning: {textfile} cannot be written (")


@pytest.mark.parametrize(
    ("redirected", "errors"),
    [(">/dev/full", 1), (">&-", 0), (">&- 2>&-", 0), ("2>/dev/full", 0), ("| true", 0), ("| head -c1 >/dev/null", 0)],
)
def test_the_process_itself_ends_as_its_command_does(redirected: str, errors: int) -> None:
    line = f"set -o pipefail; {sys.executable} -m bulklabel.pipelines.cli --help {redirected}"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    assert (done.returncode, len(done.stderr.splitlines())) == (0, errors), done.stderr


def test_an_unknown_command_may_have_any_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([WILD]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
