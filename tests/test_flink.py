"""Runs on a real Flink cluster give the bytes of a local one, whatever is killed on the way."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, answers
from tests.flink_session import Session, session
from tests.servers import PATIENCE, free_port, installed, wait_until

SHARDS = 8


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Two TaskManagers of two slots each, a pool of workers for each, which have the project's sdist."""
    with session(tmp_path_factory.mktemp("flink"), free_port(), free_port(), free_port()) as started:
        yield started


def submitted(corpus: Path, model_directory: Path, output: Path, *flags: str) -> subprocess.Popen[str]:
    """`score` in a process of its own."""
    paths = [f"--input={corpus}", f"--model={model_directory}", f"--output={output}"]
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "score", *paths, *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def parts(output: Path) -> int:
    """How many shards have their predictions."""
    return len(list(output.glob("predictions/*.parquet")))


def in_the_middle(run: subprocess.Popen[str], output: Path) -> None:
    """Wait until some shards are finished, and others not."""
    wait_until(lambda: parts(output) or run.poll() is not None, "a first part")
    assert 0 < parts(output) < SHARDS, run.communicate(timeout=PATIENCE)


def test_external_workers(flink: Session, corpus: Path, model_directory: Path, finished: Path, tmp_path: Path) -> None:
    run = submitted(corpus, model_directory, tmp_path / "run", *flink.external)
    _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    assert answers(tmp_path / "run") == answers(finished)
    assert said == ""
    read = flink.cluster.read(flink.cluster.jobs()[-1], "ScoreShards")
    assert len(read) == 2
    assert sum(read.values()) == SHARDS
    assert min(read.values()) > 0


def test_killed_workers(flink: Session, corpus: Path, model_directory: Path, finished: Path, tmp_path: Path) -> None:
    run = submitted(corpus, model_directory, tmp_path / "run", *flink.external)
    in_the_middle(run, tmp_path / "run")
    for worker in flink.pools[0].workers:
        os.kill(worker, signal.SIGKILL)
    _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    assert answers(tmp_path / "run") == answers(finished)


def test_a_killed_task_manager(
    flink: Session, corpus: Path, model_directory: Path, finished: Path, tmp_path: Path
) -> None:
    run = submitted(corpus, model_directory, tmp_path / "run", *flink.external)
    in_the_middle(run, tmp_path / "run")
    flink.cluster.kill_task_manager()
    try:
        _, said = run.communicate(timeout=PATIENCE)
        assert run.returncode == 0, said
        assert answers(tmp_path / "run") == answers(finished)
    finally:
        flink.cluster.replace_task_manager()


def test_workers_started_by_task_managers(
    flink: Session, corpus: Path, model_directory: Path, finished: Path, tmp_path: Path
) -> None:
    boot = installed("boot")
    environment = {
        "PATH": f"{flink.python.parent}:{os.environ['PATH']}",
        "RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT": "1",
    }
    config = json.dumps({"command": str(boot), "env": environment})
    process = ["--environment_type=PROCESS", f"--environment_config={config}"]
    run = submitted(corpus, model_directory, tmp_path / "run", *flink.cluster.flags(*process))
    _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    assert answers(tmp_path / "run") == answers(finished)


def test_workers_in_the_process_that_submits(
    flink: Session, corpus: Path, model_directory: Path, finished: Path, tmp_path: Path
) -> None:
    loopback = "--environment_type=LOOPBACK"
    run = submitted(corpus, model_directory, tmp_path / "run", *flink.cluster.flags(loopback))
    _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    assert answers(tmp_path / "run") == answers(finished)
