"""Runs a command and says what it and all that it starts took: seconds, seconds of the processor, memory."""

import ctypes
import os
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
EVERY = 0.5
"""Seconds between two looks at the processes."""


@dataclass(frozen=True)
class Usage:
    """Holds seconds by the clock, of the processor, and megabytes of all processes together at the peak."""

    wall: float
    processor: float
    peak: float


def run(command: list[str], folder: Path) -> Usage:
    """Returns what a command used.

    Engines start daemons that nobody waits for, so the kernel's sum for waited-for processes lacks them: the processes
    are looked at while they run, and the greater number is taken. Orphans become children of this process.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    environment = os.environ | {"PYTHONPATH": f"{folder}:{folder / 'src'}", "TF_CPP_MIN_LOG_LEVEL": "3"}
    before, started, ticks, peak = children_seconds(), time.perf_counter(), dict[int, int](), 0.0
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
        while process.poll() is None:
            found = descendants()
            ticks |= {pid: seen for pid in found if (seen := ticks_of(pid)) is not None}
            peak = max(peak, sum(map(megabytes_of, found)))
            with suppress(subprocess.TimeoutExpired):
                process.wait(EVERY)
        wall = time.perf_counter() - started
        reap()
        log.seek(0)
        assert process.returncode == 0, log.read()[-2000:].decode(errors="replace")
    watched = sum(ticks.values()) / os.sysconf("SC_CLK_TCK")
    return Usage(wall, max(watched, children_seconds() - before), peak)


def children_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def descendants() -> list[int]:
    """Returns the ids of all processes below this one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat_of(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def stat_of(pid: int) -> list[str]:
    """Returns the fields of a process after its name; none if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def ticks_of(pid: int) -> int | None:
    fields = stat_of(pid)
    return int(fields[11]) + int(fields[12]) if fields else None


def megabytes_of(pid: int) -> float:
    """Returns a process's proportional share of memory, so that what processes share counts once."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def reap() -> None:
    """Ends and waits for what a command left behind."""
    for pid in descendants():
        os.kill(pid, signal.SIGKILL)
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return
