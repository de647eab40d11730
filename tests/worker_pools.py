"""Workers as other machines have them: an environment into which only the project's sdist was installed, and pools."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from itertools import starmap
from pathlib import Path

import numpy

from tests.conftest import ROOT
from tests.servers import free_port, listens, wait_until

PACKAGES = Path(numpy.__file__).parent.parent
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "model", "transforms", "pipelines")
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"


def environment_of_sdist(folder: Path) -> Path:
    """The Python of an environment with the sdist; what the lock file names comes from the tests' own environment."""
    (folder / "source").mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / "source" / name)
    built = [sys.executable, "-W", "ignore", "-c", BUILD, str(folder)]
    name = subprocess.run(built, cwd=folder / "source", capture_output=True, text=True, check=True).stdout.split()[-1]
    venv.create(folder / "environment", symlinks=True)
    packages = next((folder / "environment" / "lib").glob("python*/site-packages"))
    (packages / "shared.pth").write_text(f"{PACKAGES}\n")
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", f"--target={packages}", str(folder / name)]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *install], check=True)
    return folder / "environment" / "bin" / "python"


class Pool:
    """Beam's worker pool: a process that starts workers, also processes, when it is told to."""

    def __init__(self, python: Path, folder: Path) -> None:
        folder.mkdir()
        self.port, self._log = free_port(), folder / "log"
        environment = os.environ | {"PATH": f"{python.parent}:{os.environ['PATH']}"}
        command = [str(python), "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={self.port}"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(lambda: listens(self.port), "the worker pool")

    @property
    def workers(self) -> list[int]:
        """The process numbers of those that run now."""
        children = Path(f"/proc/{self._process.pid}/task").glob("*/children")
        return [int(number) for threads in children for number in threads.read_text().split()]

    @property
    def said(self) -> str:
        """What pool and workers printed."""
        return self._log.read_text()

    def stop(self) -> None:
        """End it and its workers."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def doors(port: int, targets: Mapping[str, int]) -> Iterator[None]:
    """The port at several addresses of loopback, each of which leads to another port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.doors", str(port), *starmap("{}={}".format, targets.items())]
    )
    wait_until(lambda: listens(port), "the doors")
    yield
    process.kill()
    process.wait()
