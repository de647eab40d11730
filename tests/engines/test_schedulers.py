"""The examples for schedulers: all ask for the same run, by flags that exist, and systemd takes them."""

import ast
import configparser
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bulklabel.pipelines.console.exit_codes import BAD_COMMAND, FAILED, TOO_MANY_REJECTED
from bulklabel.pipelines.flags.score import parser
from bulklabel.pipelines.score import main
from tests.conftest import ROOT, collage_rows, metrics_of

DAY = "2026-11-22"
UNITS = sorted((ROOT / "deploy" / "systemd").iterdir())
PROGRAM = "/opt/bulklabel/.venv/bin/bulklabel"


def asked_of_shell(script: str) -> list[str]:
    """The flags that a shell would give to `bulklabel score` on the night after the day."""
    assert PROGRAM in script
    assert "date -d yesterday" in script
    script = script.replace(PROGRAM, "/bin/echo").replace("date -d yesterday", f"date -d {DAY}")
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    command, *flags = done.stdout.split()
    assert command == "score"
    return flags


def asked_by_cron() -> list[str]:
    text = (ROOT / "docs" / "schedulers.md").read_text()
    (block,) = re.findall(r"^```crontab\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    line = block.splitlines()[-1]
    assert not re.search(r"(?<!\\)%", line), "to cron this is the end of the line"
    *when, command = line.split(maxsplit=5)
    assert when == ["30", "2", "*", "*", "*"]
    command, log = command.replace("\\%", "%").rsplit(" >> ", 1)
    assert log.startswith("/srv/bulklabel/")
    return asked_of_shell(command)


def asked_by_systemd() -> list[str]:
    line = sections_of("bulklabel-score.service")["Service"]["ExecStart"]
    shell, option, script = shlex.split(line.replace("$$", "$").replace("%%", "%"))
    assert (shell, option) == ("/bin/sh", "-c")
    return asked_of_shell(script)


def asked_by_airflow() -> list[str]:
    tree = ast.parse((ROOT / "deploy" / "airflow" / "score_dag.py").read_text())
    (value,) = (
        node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "pipeline_options"
    )
    options: dict[str, Any] = ast.literal_eval(value)
    flags = []
    for name, given in options.items():
        if given not in (None, False):
            flags += [
                f"--{name}={one}".replace("{{ ds }}", DAY) for one in (given if isinstance(given, list) else [given])
            ]
    assert {f"--{name}" for name in options} <= parser()._option_string_actions.keys()
    return flags


def sections_of(unit: str) -> configparser.ConfigParser:
    sections = configparser.ConfigParser(interpolation=None)
    sections.optionxform = str  # type: ignore[assignment, method-assign]
    sections.read(ROOT / "deploy" / "systemd" / unit)
    return sections


def test_all_schedulers_ask_for_the_same_run(model_directory: Path, tmp_path: Path) -> None:
    flags = asked_by_cron()
    assert asked_by_systemd() == flags
    assert asked_by_airflow() == flags
    images = tmp_path / "images" / f"ds={DAY}"
    images.mkdir(parents=True)
    for row in collage_rows(5):
        (images / f"{row['id']}.png").write_bytes(row["image"])
    (tmp_path / "model").symlink_to(model_directory)
    assert main([flag.replace("/srv/bulklabel", str(tmp_path)) for flag in flags]) == 0
    assert metrics_of(tmp_path / "scores" / f"ds={DAY}")["counts"]["scored"] == 5


def test_the_service_is_tried_again_only_where_that_helps() -> None:
    service = sections_of("bulklabel-score.service")["Service"]
    assert service["Restart"] == "on-failure"
    codes = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert {BAD_COMMAND, TOO_MANY_REJECTED} <= codes
    assert FAILED not in codes


def test_systemd_has_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        missing = "no systemd-analyze on the PATH: apt-get install systemd"
        if os.environ.get("CI"):
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    copies = [shutil.copy(unit, tmp_path) for unit in UNITS]
    done = subprocess.run([program, "verify", *copies], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    when = sections_of("bulklabel-score.timer")["Timer"]["OnCalendar"]
    subprocess.run([program, "calendar", when], capture_output=True, check=True)
