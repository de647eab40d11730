"""Runs that are killed with SIGKILL in the middle, and finished by the same command again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, answers, command, score, write_parquet
from tests.conftest import collage_rows as rows

PARTS = 24
DEADLINE = 120


@pytest.fixture(scope="module")
def many_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dozen shards of 600 records each."""
    folder = tmp_path_factory.mktemp("many")
    records = rows(600)
    for number in range(PARTS):
        write_parquet(folder / f"{number:02d}.parquet", records)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, many_shards: Path, model_directory: Path) -> dict[str, bytes]:
    """What an uninterrupted run answers."""
    output = tmp_path_factory.mktemp("whole") / "run"
    assert score(many_shards, model_directory, output) == 0
    return answers(output)


def started(run: Path, *flags: str) -> subprocess.Popen[str]:
    """A run that has written three parts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "score", f"--output={run}", *flags],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + DEADLINE
    while len(list(run.glob("predictions/*.parquet"))) < 3:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < until, "no part was written"
        time.sleep(0.01)
    return process


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


def test_a_killed_worker_ends_the_run_in_one_line_and_the_same_command_finishes_it(
    many_shards: Path, model_directory: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    flags = [f"--input={many_shards}", f"--model={model_directory}"]
    flags += ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    first = started(run, *flags)
    os.kill(workers_of(first.pid)[0], signal.SIGKILL)
    _, errors = first.communicate(timeout=DEADLINE)
    assert first.returncode == 1
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("bulklabel: error: a worker process died or was killed")
    again = command("score", f"--output={run}", *flags[:2])
    assert again.returncode == 0, again.stderr
    assert answers(run) == whole


@pytest.mark.parametrize(
    "flags", [(), ("--direct_running_mode=multi_processing", "--direct_num_workers=2")], ids=["in one", "in several"]
)
def test_a_killed_run_is_finished_by_the_same_command(
    many_shards: Path, model_directory: Path, whole: dict[str, bytes], tmp_path: Path, flags: tuple[str, ...]
) -> None:
    run = tmp_path / "run"
    arguments = (f"--input={many_shards}", f"--model={model_directory}")
    first = started(run, *arguments, *flags)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    kept = {path: path.stat().st_mtime_ns for path in run.glob("predictions/*.parquet")}
    assert 3 <= len(kept) < PARTS
    assert not (run / "_SUCCESS").exists()
    again = command("score", *arguments, f"--output={run}", *flags)
    assert again.returncode == 0, again.stderr
    scored_again = [path for path, before in kept.items() if path.stat().st_mtime_ns != before]
    assert len(scored_again) <= 2  # killed between a shard's two parts, at most once a worker
    assert answers(run) == whole
