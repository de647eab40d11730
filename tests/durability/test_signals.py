"""SIGTERM and SIGINT, to real processes: one line, soon, nobody left behind, and the same command goes on."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT, answers, score
from tests.durability.forked import forked
from tests.support import servers

SECONDS = 10
"""A run ends within."""

WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


def hear_everything() -> None:
    """Undo what whoever runs the tests has its processes ignore."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def running(*line: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process in a session of its own."""
    with subprocess.Popen(
        [sys.executable, *line],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_everything,
    ) as process:
        yield process


def wait_until(moment: Callable[[], object], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 120
    while not moment():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def alive(session: int) -> list[str]:
    """The command lines of what runs in a session."""
    found = []
    for folder in filter(lambda path: path.name.isdigit(), Path("/proc").iterdir()):
        try:
            words = (folder / "cmdline").read_text()  # empty where a process has ended
            if os.getsid(int(folder.name)) == session and words:
                found.append(words.replace("\0", " "))
        except OSError:
            continue
    return found


def test_a_run_is_stopped_while_tensorflow_is_imported(corpus: Path, model_directory: Path, tmp_path: Path) -> None:
    arguments = [f"--input={corpus}", f"--model={model_directory}", f"--output={tmp_path / 'run'}"]
    with running("-m", "bulklabel.pipelines.cli", "score", *arguments, "--log_format=json") as process:
        maps = Path(f"/proc/{process.pid}/maps")
        wait_until(lambda: "libtensorflow" in maps.read_text(), process)
        process.terminate()
        printed, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert json.loads(errors.splitlines()[-1])["message"].startswith("stopped by SIGTERM; run the same command")
    assert json.loads(printed)["state"] == "stopped"


def finished_shards(run: Path) -> set[str]:
    """The shards of which both parts are there, by the parts' name."""
    predictions, rejected = (
        {path.name for path in run.glob(f"{kind}/*.parquet")} for kind in ("predictions", "rejected")
    )
    return predictions & rejected


def test_a_run_is_stopped_among_its_shards_and_goes_on(
    corpus: Path, onnx_model: Path, finished_onnx: Path, tmp_path: Path
) -> None:
    run = forked([f"--input={corpus}", f"--model={onnx_model}"], tmp_path / "run", tmp_path / "log")
    servers.wait_until(lambda: finished_shards(run.output) or not run.is_alive, "a first shard")
    for _ in range(3):
        os.kill(run.process.pid, signal.SIGTERM)
    exit_code = run.end(SECONDS)
    done = len(finished_shards(run.output))
    said = re.search(r"(\d) of 8", run.errors)
    assert said is not None, run.errors
    assert 1 <= int(said[1]) <= done  # one may be finished while they are counted
    line = f"stopped by SIGTERM; {said[1]} of 8 shards are finished; run the same command again to continue."
    assert run.errors == f"bulklabel: error: {line}\n"
    summary = json.loads(run.log.read_text().splitlines()[-1])
    assert (exit_code, summary["exit_code"], summary["state"]) == (1, 1, "stopped")
    assert summary["error"] == line
    assert score(corpus, onnx_model, run.output) == 0
    assert answers(run.output) == answers(finished_onnx)


def test_ctrl_c_ends_worker_processes_too(corpus: Path, onnx_model: Path, tmp_path: Path) -> None:
    """A terminal sends SIGINT to all processes at once."""
    run = tmp_path / "run"
    arguments = [f"--input={corpus}", f"--model={onnx_model}", f"--output={run}", *WORKERS]
    with running("-m", "bulklabel.pipelines.cli", "score", *arguments) as process:
        wait_until(lambda: any(run.glob("predictions/*.parquet")), process)
        assert len(alive(process.pid)) >= 3
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert errors.startswith("bulklabel: error: stopped by SIGINT; ")
    assert errors.count("\n") == 1
    assert alive(process.pid) == []


STOPPED = """
import os, signal, sys, time
from bulklabel.pipelines.console import signals
signals.SECONDS_TO_STOP = 0.2
{before}
print("began", flush=True)
with signals.stoppable({stop}):
    os.kill(os.getpid(), signal.{name})
    {body}
print("went on")
"""


@pytest.mark.parametrize(
    ("pieces", "exit_code", "printed"),
    [
        ({"stop": "lambda name: 7", "body": "time.sleep(60)"}, 7, ""),
        ({"stop": "lambda name: time.sleep(60)", "body": "time.sleep(60)"}, 1, ""),
        ({"stop": "lambda name: 1 / 0", "body": "time.sleep(60)"}, 1, ""),
        (
            {
                "stop": "lambda name: 7",
                "body": "assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])",
                "before": "signal.signal(signal.SIGINT, signal.SIG_IGN)",
            },
            0,
            "went on\n",
        ),
    ],
    ids=["at once", "whatever hangs", "whatever fails", "unless it is ignored, as under nohup"],
)
def test_a_signal_ends_the_process(pieces: dict[str, str], exit_code: int, printed: str) -> None:
    with running("-c", STOPPED.format(**{"before": "", "name": "SIGINT"} | pieces)) as process:
        out, _ = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (exit_code, f"began\n{printed}")


def test_other_commands_are_stopped_too(corpus: Path, tmp_path: Path) -> None:
    with running(
        "-m", "bulklabel.pipelines.cli", "train", f"--input={corpus}", f"--output={tmp_path / 'm'}"
    ) as process:
        wait_until(lambda: "libarrow" in Path(f"/proc/{process.pid}/maps").read_text(), process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert errors.endswith("bulklabel: error: stopped by SIGINT; run the same command again to continue.\n")
    assert not (tmp_path / "m").exists()
