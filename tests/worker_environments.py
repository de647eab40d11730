"""Environments as workers of other machines may have them, from the tests' own packages, and pools of such workers."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy

from tests.conftest import ROOT
from tests.servers import free_port

PACKAGES = Path(numpy.__file__).parent.parent


def environment(folder: Path, project: bool, versions: Mapping[str, str]) -> Path:
    """The Python of an environment with the tests' packages, and the project or not.

    The packages of `versions` claim to be of these.
    """
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "shared.pth").write_text(f"{PACKAGES}\n")  # what `.pth` files there add, the project, is not added
    for name, version in versions.items():
        claimed = packages / f"{name}-{version}.dist-info"
        claimed.mkdir()
        (claimed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if project:
        (packages / "project.pth").write_text(f"{ROOT}\n")
    return folder / "bin" / "python"


@contextlib.contextmanager
def worker_pool(python: Path, folder: Path) -> Iterator[Callable[[], list[str]]]:
    """A pool of workers that run on this Python, in an empty folder; Beam's flags for it, once it listens."""
    empty, port = folder / f"empty-{python.parent.parent.name}", free_port()
    empty.mkdir()
    command = [str(python), "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    path, nowhere = {"PATH": f"{python.parent}:{os.environ['PATH']}"}, subprocess.DEVNULL
    process = subprocess.Popen(
        command, cwd=empty, env=os.environ | path, stdout=nowhere, stderr=nowhere, start_new_session=True
    )

    def listening() -> list[str]:
        while not _listens(port):
            assert process.poll() is None, "the pool has ended"
            time.sleep(0.02)
        return ["--environment_type=EXTERNAL", f"--environment_config=127.0.0.1:{port}"]

    try:
        yield listening
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
