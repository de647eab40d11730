"""Local files that fail, in a run that the same command finishes: an operation once, or from then on, or half-way."""

import errno
import os
import random
from pathlib import Path

import pytest

from tests.durability.faults import Fault
from tests.durability.forked import Run, forked, outcome, said_in_one_line

WRITES = ("mkdir", "create", "write", "fsync", "rename")
READS = ("open", "read", "list")


def faults() -> list[list[tuple[str, bool, int, float]]]:
    """Operation, whether it goes on failing, error, and a seeded moment as a fraction of its operations; by threes."""
    chance = random.Random(22)  # noqa: S311
    kinds = [(name, lasting, errno.EIO) for name in (*WRITES, *READS) for lasting in (False, True)]
    kinds += [(name, lasting, errno.ENOSPC) for name in WRITES for lasting in (False, True)]
    kinds += [("write", False, errno.EDQUOT)]
    cases = [(*kind, chance.random()) for kind in kinds]
    return [cases[start : start + 3] for start in range(0, len(cases), 3)]


@pytest.mark.parametrize("three", faults(), ids=str)
def test_whatever_fails_the_same_command_finishes(
    tiny: list[str], undisturbed: Run, tmp_path: Path, three: list[tuple[str, bool, int, float]]
) -> None:
    runs = []
    for number, (operation, lasting, code, fraction) in enumerate(three):
        fault = Fault(operation, 1 + int(fraction * undisturbed.counts[operation]), lasting, code)
        runs.append(forked(tiny, tmp_path / f"run{number}", tmp_path / f"log{number}", fault=fault))
    for run, (_, lasting, code, _) in zip(runs, three, strict=True):
        mended = code == errno.EIO and not lasting
        assert run.end() == 0 if mended else run.end() in (1, 2), run.said
        if run.end():
            said_in_one_line(run.said)
            assert os.strerror(code) in run.said
            assert not (run.output / "_SUCCESS").exists()
        assert not list(run.output.rglob(".*"))
    again = [forked(tiny, run.output, run.log) for run in runs]
    for run in again:
        assert run.end() == 0, run.said
        assert outcome(run.output) == outcome(undisturbed.output)
