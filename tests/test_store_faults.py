"""Local files that fail, in a run that the same command finishes: an operation once, or from then on, or half-way."""

import errno
import os
import random
from pathlib import Path

import pytest

from tests.faults import Fault
from tests.forked import Run, forked, outcome, said_in_one_line

WRITES = ("mkdir", "create", "write", "fsync", "rename")
READS = ("open", "read", "list")


def faults() -> list[tuple[str, bool, int, float]]:
    """Operation, whether it goes on failing, error, and a seeded moment as a fraction of all such operations."""
    chance = random.Random(22)  # noqa: S311
    kinds = [(name, lasting, errno.EIO) for name in (*WRITES, *READS) for lasting in (False, True)]
    kinds += [(name, lasting, errno.ENOSPC) for name in WRITES for lasting in (False, True)]
    kinds += [("create", True, errno.EROFS), ("rename", False, errno.EACCES), ("write", False, errno.EDQUOT)]
    return [(*kind, chance.random()) for kind in kinds]


@pytest.mark.parametrize(("operation", "lasting", "code", "fraction"), faults())
def test_whatever_fails_the_same_command_finishes(
    tiny: list[str], undisturbed: Run, tmp_path: Path, operation: str, lasting: bool, code: int, fraction: float
) -> None:
    number = 1 + int(fraction * undisturbed.counts[operation])
    disturbed = forked(tiny, tmp_path / "run", tmp_path / "log", fault=Fault(operation, number, lasting, code))
    exit_code = disturbed.end()
    mended = code == errno.EIO and not lasting
    assert exit_code == 0 if mended else exit_code in (1, 2), disturbed.said
    if exit_code:
        said_in_one_line(disturbed.said)
        assert os.strerror(code) in disturbed.said
        assert str(tmp_path) in disturbed.said
        assert not (tmp_path / "run" / "_SUCCESS").exists()
    if operation not in ("mkdir", "list"):  # what fails for good may be the deleting, too
        assert not list(tmp_path.rglob(".*"))
    again = forked(tiny, tmp_path / "run", tmp_path / "log")
    assert again.end() == 0, again.said
    assert outcome(again.output) == outcome(undisturbed.output)
