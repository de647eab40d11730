"""Runs on a real Flink cluster give the bytes of a local one, whatever is killed on the way."""

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, answers, score
from tests.durability.forked import Run, forked
from tests.engines.flink_cluster import HOSTS
from tests.engines.flink_session import JOBS, POOLS, REST, Session, session
from tests.engines.library_runs import answers_of_file, run_both
from tests.engines.worker_pools import Pool, QuickPool, pools_behind
from tests.support.networks import probabilities
from tests.support.servers import PATIENCE, free_port, installed, wait_until

SHARDS = 8


@dataclass(frozen=True)
class Pools:
    """The pool of each TaskManager, and the flags for a job with their workers."""

    pools: list[Pool]
    flags: list[str]


KEPT = "--environment_cache_millis=30000"
"""Keeps workers from step to step, which is faster; but a dead one is kept as well."""


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Two TaskManagers of two slots each, with pools as Beam has them, whose workers have the project's sdist."""
    with session(tmp_path_factory.mktemp("flink"), free_port(), free_port(), free_port()) as started:
        yield started


@pytest.fixture(scope="module")
def pools(flink: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pools]:
    """Further pools of the same two TaskManagers, whose workers start at once."""
    port = free_port()
    with pools_behind(port, QuickPool, HOSTS, flink.python, tmp_path_factory.mktemp("pools")) as started:
        yield Pools(started, flink.external(port))


def submitted(corpus: Path, model_directory: Path, output: Path, *flags: str) -> Run:
    """`score` in a process of its own."""
    paths = [f"--input={corpus}", f"--model={model_directory}"]
    return forked([*paths, *flags], output, output.with_name("log"))


def parts(output: Path) -> int:
    """How many shards have their predictions."""
    return len(list(output.glob("predictions/*.parquet")))


def in_the_middle(run: Run) -> None:
    """Wait until some shards are finished, and others not."""
    wait_until(lambda: parts(run.output) or not run.is_alive, "a first part")
    assert 0 < parts(run.output) < SHARDS, run.said


def is_as_a_local_run(run: Run, finished: Path) -> None:
    """The run ends well, says nothing but its summary, and has written the same bytes."""
    assert run.end(PATIENCE) == 0, run.said
    assert run.errors == ""
    found, expected = answers(run.output), answers(finished)
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []


def test_the_command_of_the_page(
    flink: Session, corpus: Path, model_directory: Path, finished: Path, tmp_path: Path
) -> None:
    """Its flags are those of `make flink`, but for the ports; both TaskManagers have their share."""
    page = (ROOT / "docs" / "runners" / "flink.md").read_text()
    (line,) = re.findall(r"^\.venv/bin/bulklabel score (.+)$", page, re.MULTILINE)
    flags = line[line.index("--runner") :]
    for port, here in ((REST, flink.cluster.rest), (JOBS, flink.cluster.job_port), (POOLS, flink.pool_port)):
        flags = flags.replace(f":{port}", f":{here}")
    run = submitted(corpus, model_directory, tmp_path / "run", *flags.split())
    is_as_a_local_run(run, finished)
    read = flink.cluster.read(flink.cluster.jobs()[-1], "ScoreShards")
    assert sorted(read.values()) == [SHARDS // 2, SHARDS // 2]


def test_killed_workers(pools: Pools, corpus: Path, onnx_model: Path, finished_onnx: Path, tmp_path: Path) -> None:
    run = submitted(corpus, onnx_model, tmp_path / "run", *pools.flags)
    in_the_middle(run)
    for worker in pools.pools[0].workers:
        os.kill(worker, signal.SIGKILL)
    is_as_a_local_run(run, finished_onnx)


def test_a_killed_task_manager(
    flink: Session, pools: Pools, corpus: Path, onnx_model: Path, finished_onnx: Path, tmp_path: Path
) -> None:
    run = submitted(corpus, onnx_model, tmp_path / "run", *pools.flags, KEPT)
    in_the_middle(run)
    flink.cluster.kill_task_manager()
    try:
        is_as_a_local_run(run, finished_onnx)
    finally:
        flink.cluster.replace_task_manager()


def test_workers_started_by_task_managers(
    flink: Session, corpus: Path, onnx_model: Path, finished_onnx: Path, tmp_path: Path
) -> None:
    path = f"{flink.python.parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT": "1"}
    config = json.dumps({"command": str(installed("boot")), "env": environment})
    process = flink.cluster.flags("--environment_type=PROCESS", f"--environment_config={config}", KEPT)
    run = submitted(corpus, onnx_model, tmp_path / "run", *process)
    is_as_a_local_run(run, finished_onnx)


def test_workers_in_the_process_that_submits(
    flink: Session, corpus: Path, slow_model: Path, onnx_model: Path, finished_onnx: Path, tmp_path: Path
) -> None:
    """The network is the same as ONNX, so the answers are a rounding away from TensorFlow's."""
    run = submitted(corpus, onnx_model, tmp_path / "run", *flink.cluster.flags("--environment_type=LOOPBACK"))
    is_as_a_local_run(run, finished_onnx)
    assert score(corpus, slow_model, tmp_path / "keras") == 0
    (ids, found), (expected_ids, expected) = probabilities(run.output), probabilities(tmp_path / "keras")
    assert ids == expected_ids
    assert np.abs(found - expected).max() <= 1e-5


def test_a_job_that_somebody_cancels(
    flink: Session, pools: Pools, corpus: Path, onnx_model: Path, tmp_path: Path
) -> None:
    run = submitted(corpus, onnx_model, tmp_path / "run", *pools.flags, KEPT)
    in_the_middle(run)
    flink.cluster.cancel(flink.cluster.jobs()[-1])
    assert run.end(PATIENCE) == 1, run.said
    why = "org.apache.flink.runtime.client.JobCancellationException: Job was cancelled"
    line = f"bulklabel: error: the job has failed ({why}); run the same command again to continue.\n"
    assert run.errors == line


def test_pipelines_of_others(pools: Pools, corpus: Path, onnx_model: Path, finished_onnx: Path, tmp_path: Path) -> None:
    images = corpus / "file-0.parquet"
    scored, inferred = run_both([*pools.flags, KEPT], images, onnx_model, tmp_path)
    assert scored == inferred == answers_of_file(finished_onnx, images)
