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
from tests.flink_cluster import HOSTS, Cluster
from tests.servers import PATIENCE, installed, wait_until
from tests.worker_pools import Pool, doors, environment_of_sdist

SHARDS = 8


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two TaskManagers of two slots each."""
    started = Cluster(tmp_path_factory.mktemp("flink"))
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python in an environment with the project's sdist."""
    return environment_of_sdist(tmp_path_factory.mktemp("workers"))


@pytest.fixture(scope="module")
def pools(python: Path) -> Iterator[list[Pool]]:
    """A pool of workers there for each TaskManager: one that two share would take one's workers for the other's."""
    started = [Pool(python, python.parents[2] / host) for host in HOSTS]
    for pool in started:
        pool.wait()
    yield started
    for pool in started:
        pool.stop()


@pytest.fixture(scope="module")
def external(cluster: Cluster, pools: list[Pool]) -> Iterator[list[str]]:
    """Flags for a job on the cluster with workers of the pools."""
    with doors({host: pool.port for host, pool in zip(HOSTS, pools, strict=True)}) as port:
        yield cluster.flags("--environment_type=EXTERNAL", f"--environment_config=pool:{port}")


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


def test_external_workers(
    cluster: Cluster, external: list[str], corpus: Path, model_directory: Path, finished: Path, tmp_path: Path
) -> None:
    run = submitted(corpus, model_directory, tmp_path / "run", *external)
    _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    assert answers(tmp_path / "run") == answers(finished)
    assert said == ""
    read = cluster.read(cluster.jobs()[-1], "ScoreShards")
    assert len(read) == 2
    assert sum(read.values()) == SHARDS
    assert min(read.values()) > 0


def test_killed_workers(
    external: list[str], pools: list[Pool], corpus: Path, model_directory: Path, finished: Path, tmp_path: Path
) -> None:
    run = submitted(corpus, model_directory, tmp_path / "run", *external)
    in_the_middle(run, tmp_path / "run")
    for worker in pools[0].workers:
        os.kill(worker, signal.SIGKILL)
    _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    assert answers(tmp_path / "run") == answers(finished)


def test_a_killed_task_manager(
    cluster: Cluster, external: list[str], corpus: Path, model_directory: Path, finished: Path, tmp_path: Path
) -> None:
    run = submitted(corpus, model_directory, tmp_path / "run", *external)
    in_the_middle(run, tmp_path / "run")
    cluster.kill_task_manager()
    try:
        _, said = run.communicate(timeout=PATIENCE)
        assert run.returncode == 0, said
        assert answers(tmp_path / "run") == answers(finished)
    finally:
        cluster.replace_task_manager()


def test_workers_started_by_task_managers(
    cluster: Cluster, python: Path, corpus: Path, model_directory: Path, finished: Path, tmp_path: Path
) -> None:
    boot = installed("boot")
    environment = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT": "1",
    }
    config = json.dumps({"command": str(boot), "env": environment})
    process = ["--environment_type=PROCESS", f"--environment_config={config}"]
    run = submitted(corpus, model_directory, tmp_path / "run", *cluster.flags(*process))
    _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    assert answers(tmp_path / "run") == answers(finished)


def test_workers_in_the_process_that_submits(
    cluster: Cluster, corpus: Path, model_directory: Path, finished: Path, tmp_path: Path
) -> None:
    loopback = "--environment_type=LOOPBACK"
    run = submitted(corpus, model_directory, tmp_path / "run", *cluster.flags(loopback))
    _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    assert answers(tmp_path / "run") == answers(finished)
