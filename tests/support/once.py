"""What the processes of one session of tests share: whoever comes first makes it, and the others wait for it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def locked(path: Path) -> FileLock:
    """Returns the lock that processes hold while they make what is to be at a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f"{path.name}.lock"))


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Returns a folder of the session in which `make` made something, in this process or in another one."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    made = folder.with_name(f"{name}.made")
    with locked(folder):
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that died, or whose test failed
            folder.mkdir()
            make(folder)
            made.touch()
    return folder
