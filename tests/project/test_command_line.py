"""The command line as a whole: help, flags, and scripts."""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from bulklabel.model.errors import UserError
from bulklabel.pipelines.cli import COMMANDS, main
from bulklabel.pipelines.flags.score import parser
from bulklabel.pipelines.flags.values import read_label_file
from bulklabel.transforms.scoring.model_files import load_model
from tests.conftest import ROOT, command


@pytest.mark.parametrize("arguments", [("--help",), *((name, "--help") for name in COMMANDS)])
def test_help_answers_at_once(arguments: tuple[str, ...]) -> None:
    before = os.times()
    done = command(*arguments)
    after = os.times()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: bulklabel")
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    assert seconds < 2  # of the processor; Beam alone takes four to import


@pytest.mark.parametrize("name", COMMANDS)
def test_help_imports_neither_beam_nor_tensorflow(name: str) -> None:
    code = (
        f"import sys; from bulklabel.pipelines.flags.{name} import parser; parser().format_help(); "
        "sys.exit(bool({'apache_beam', 'tensorflow', 'pyarrow', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_an_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scor"]) == 2
    assert capsys.readouterr().err == "bulklabel: error: no command 'scor'; did you mean score?\n"
    assert main(["frobnicate"]) == 2
    assert "give one of demo, train" in capsys.readouterr().err
    assert main([]) == 0


def test_what_people_try_first_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bulklabel {version('bulklabel')}\n"
    assert main(["help"]) == 0
    assert capsys.readouterr().out.startswith("usage: bulklabel COMMAND")
    with pytest.raises(SystemExit, match="0"):
        main(["help", "score"])
    assert capsys.readouterr().out.startswith("usage: bulklabel score")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_help_are_good_command_lines(name: str) -> None:
    parser = importlib.import_module(f"bulklabel.pipelines.flags.{name}").parser()
    assert len(parser.examples) in (3, 4)
    shown = parser.format_help()
    for example in parser.examples:
        assert f"bulklabel {name} {example}".rstrip() in shown
        options, beam_flags = parser.parse_command(shlex.split(example))
        assert not beam_flags
        begins = parser.first_line(options)
        assert begins == "" if name == "verify" else options.output in begins
    assert "options:\n  -h, --help" in shown  # all others are in groups
    assert shown.split("options:")[1].split("\n\n")[0].count("--") == 1


@pytest.mark.parametrize(
    ("words", "inputs"),
    [
        ("a b --model m --output o", ["a", "b"]),
        ("--input a.jpg b.jpg --model m --output o --input c", ["a.jpg", "b.jpg", "c"]),
        ("a --input b --model m --output o --runner DirectRunner", ["a", "b"]),
    ],
)
def test_inputs_come_first_or_after_their_flag(words: str, inputs: list[str]) -> None:
    options, beam_flags = parser().parse_command(words.split())
    assert options.input == inputs
    assert options.output == "o"
    assert beam_flags in ([], ["--runner", "DirectRunner"])


def test_flags_may_have_hyphens() -> None:
    known = ["--input=a-b", "--model", "m", "--output=o"]
    options, beams = parser().parse_command([*known, "--max-rejected-fraction=0.5", "--no-label", "x-y", "--not-ours"])
    assert (options.input, options.max_rejected_fraction, options.no_label) == (["a-b"], 0.5, ["x-y"])
    assert beams == ["--not-ours"]


def test_a_file_of_a_model_directory_is_not_one(tmp_path: Path) -> None:
    (tmp_path / "model.keras").touch()
    with pytest.raises(UserError, match=r"model\.keras is a file of a model directory; give the folder that it is in"):
        load_model(f"{tmp_path}/model.keras")


def test_label_files_from_windows_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xef\xbb\xbfcat\r\ndog\r\n\r\n")
    assert read_label_file(str(path)) == ("cat", "dog")
    for encoding in ("utf-16", "utf-16-le", "latin-1"):
        path.write_bytes("Kätzchen\r\ndog\r\n".encode(encoding))
        with pytest.raises(UserError, match="is not text in UTF-8; give one with one label per line"):
            read_label_file(str(path))


SCRIPTS = """
import contextlib, io, json, os, runpy, sys
answers = []
for script in sys.argv[1:]:
    sys.path[0] = os.path.dirname(script)
    for flag in ("--help", "--no_such_flag"):
        sys.argv, code, said, errors = [script, flag], 0, io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
            try:
                runpy.run_path(script, run_name="__main__")
            except SystemExit as end:
                code = end.code
        answers.append([code, said.getvalue(), errors.getvalue()])
print(json.dumps(answers))
"""
"""Runs scripts as `python SCRIPT FLAG` would, in one process, since each imports Beam."""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[Any]]]:
    """Exit code, stdout and stderr of each command's script, for `--help` and for an unknown flag."""
    paths = [str(ROOT / "pipelines" / f"{name}.py") for name in COMMANDS]
    folder = tmp_path_factory.mktemp("elsewhere")
    done = subprocess.run([sys.executable, "-c", SCRIPTS, *paths], cwd=folder, capture_output=True, check=True)
    answers = json.loads(done.stdout)
    return {name: answers[2 * at : 2 * at + 2] for at, name in enumerate(COMMANDS)}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_also_a_script(name: str, scripts: dict[str, list[list[Any]]]) -> None:
    helped, refused = scripts[name]
    assert helped[0] == 0, helped
    assert helped[1].startswith(f"usage: bulklabel {name}")
    assert refused[0] == 2
    assert refused[2].startswith("bulklabel: error: ")
    assert refused[2].count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_flags_are_snake_case_and_never_beams(name: str) -> None:
    parser = importlib.import_module(f"bulklabel.pipelines.flags.{name}").parser()
    flags = {flag for action in parser._actions for flag in action.option_strings} - {"-h", "--help"}
    assert all(re.fullmatch(r"--[a-z]+(_[a-z]+)*", flag) for flag in flags)
    assert not flags & {"--labels", "--project", "--region", "--job_name", "--runner"}
    assert parser.allow_abbrev is False
    assert all(action.help for action in parser._actions)
