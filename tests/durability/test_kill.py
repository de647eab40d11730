"""Runs that are killed with SIGKILL in the middle, and finished by the same command again."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from bulklabel.transforms.scoring.score_shards import SHARDS_AT_ONCE
from tests.conftest import answers, score, write_parquet
from tests.conftest import collage_rows as rows
from tests.durability.forked import Death, Run, forked, outcome

PARTS, WORKERS = 24, 2
DEADLINE = 120


@pytest.fixture(scope="module")
def many_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dozen shards of 300 records each."""
    folder = tmp_path_factory.mktemp("many")
    records = rows(300)
    for number in range(PARTS):
        write_parquet(folder / f"{number:02d}.parquet", records)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, many_shards: Path, onnx_model: Path) -> dict[str, bytes]:
    """What an uninterrupted run answers."""
    output = tmp_path_factory.mktemp("whole") / "run"
    assert score(many_shards, onnx_model, output) == 0
    return answers(output)


def started(run: Path, log: Path, parts: int, *flags: str) -> Run:
    """A run that has written so many parts."""
    first = forked(flags, run, log)
    until = time.monotonic() + DEADLINE
    while len(list(run.glob("predictions/*.parquet"))) < parts:
        assert first.is_alive, "the run ended before it could be killed"
        assert time.monotonic() < until, "no part was written"
        time.sleep(0.01)
    return first


def wait_until_gone(processes: list[int]) -> None:
    """Workers end soon after the process that started them, however that one ended."""
    until = time.monotonic() + DEADLINE
    while any(Path(f"/proc/{process}/stat").exists() for process in processes):
        assert time.monotonic() < until, "workers are left behind"
        time.sleep(0.05)


def workers_of(session: int) -> list[int]:
    """The processes of Beam's workers in a session."""
    found = []
    for folder in filter(lambda path: path.name.isdigit(), Path("/proc").iterdir()):
        try:
            mine = os.getsid(int(folder.name)) == session
            words = (folder / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if mine and "python" in words[0] and any("sdk_worker_main" in word for word in words):
            found.append(int(folder.name))
    return found


@pytest.mark.parametrize(("victim", "parts"), [("worker", 3), ("main", 5), ("group", 9)])
def test_a_run_of_several_processes_is_finished_by_the_same_command(
    many_shards: Path, onnx_model: Path, whole: dict[str, bytes], tmp_path: Path, victim: str, parts: int
) -> None:
    run = tmp_path / "run"
    flags = (f"--input={many_shards}", f"--model={onnx_model}")
    processes = ("--direct_running_mode=multi_processing", f"--direct_num_workers={WORKERS}")
    first = started(run, tmp_path / "log", parts, *flags, *processes)
    workers = workers_of(first.process.pid)
    assert workers
    if victim == "group":
        os.killpg(first.process.pid, signal.SIGKILL)
    else:
        os.kill(workers[0] if victim == "worker" else first.process.pid, signal.SIGKILL)
    assert first.end() == (1 if victim == "worker" else -signal.SIGKILL), first.said
    if victim == "worker":
        assert "Traceback" not in first.errors
        assert first.errors.splitlines()[-1].startswith("bulklabel: error: a worker process died or was killed")
    wait_until_gone(workers)
    kept = {path: path.stat().st_mtime_ns for path in run.glob("predictions/*.parquet")}
    assert parts <= len(kept) < PARTS
    assert not (run / "_SUCCESS").exists()
    assert score(many_shards, onnx_model, run) == 0
    scored_again = [path for path, before in kept.items() if path.stat().st_mtime_ns != before]
    assert len(scored_again) <= WORKERS * SHARDS_AT_ONCE  # those that were killed between a shard's two parts
    assert answers(run) == whole
    assert not list(run.rglob(".*"))


def moments() -> list[list[tuple[str, float]]]:
    """12 seeded moments, as fractions of the files that a run touches or of the time that it computes; by threes.

    What a run finds after any of its steps is tested in memory, where a thousand moments take seconds.
    """
    chance = random.Random(30)  # noqa: S311
    return [[(by, 0.95 * chance.random()) for by in ("seconds", "touches", "touches")] for _ in range(4)]


@pytest.mark.parametrize("three", moments(), ids=str)
def test_a_run_killed_at_any_moment_is_finished_by_the_same_command(
    tiny: list[str], undisturbed: Run, tmp_path: Path, three: list[tuple[str, float]]
) -> None:
    total = undisturbed.counts
    deaths = [
        Death(touches=1 + int(part * total[by])) if by == "touches" else Death(seconds=part * total[by])
        for by, part in three
    ]
    places = [tmp_path / f"run{number}" for number in range(3)]
    killed = [forked(tiny, place, Path(f"{place}.log"), death) for place, death in zip(places, deaths, strict=True)]
    for run, death in zip(killed, deaths, strict=True):
        ends = {-signal.SIGKILL, 0} if death.seconds else {-signal.SIGKILL}  # it may need less than the other did
        assert run.end() in ends, run.said
    again = [forked(tiny, place, Path(f"{place}.log")) for place in places]
    for run in again:
        assert run.end() == 0, run.said
        assert outcome(run.output) == outcome(undisturbed.output)
