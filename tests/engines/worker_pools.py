"""Environments as workers of other machines may have them, from the tests' own packages, and pools of such workers."""

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
from tests.support.servers import free_port, listens, wait_until

PACKAGES = Path(numpy.__file__).parent.parent
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE", "src", "model", "transforms", "pipelines")
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"


def environment(folder: Path, versions: Mapping[str, str]) -> Path:
    """The Python of an environment with the tests' packages, without the project.

    The packages of `versions` claim to be of these.
    """
    venv.create(folder, symlinks=True)
    packages = packages_of(folder)
    (packages / "shared.pth").write_text(f"{PACKAGES}\n")  # what `.pth` files there add, the project, is not added
    for name, version in versions.items():
        claimed = packages / f"{name}-{version}.dist-info"
        claimed.mkdir()
        (claimed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder / "bin" / "python"


def packages_of(folder: Path) -> Path:
    """Where an environment has its packages."""
    return next(folder.glob("lib/python*/site-packages"))


def environment_of_sdist(folder: Path) -> Path:
    """The Python of one into which the project's sdist was installed."""
    (folder / "source").mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / "source" / name, symlinks=True)
        else:
            shutil.copy(ROOT / name, folder / "source" / name)
    built = [sys.executable, "-W", "ignore", "-c", BUILD, str(folder)]
    name = subprocess.run(built, cwd=folder / "source", capture_output=True, text=True, check=True).stdout.split()[-1]
    python = environment(folder / "environment", {})
    target = f"--target={packages_of(folder / 'environment')}"
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", target, str(folder / name)]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *install], check=True)
    return python


class Pool:
    """Beam's worker pool, in an empty folder: a process that starts workers, also processes, when it is told to."""

    def __init__(self, python: Path, folder: Path) -> None:
        folder.mkdir()
        self._port, self._log = free_port(), folder / "log"
        environment = os.environ | {"PATH": f"{python.parent}:{os.environ['PATH']}"}  # it starts `python`
        command = [str(python), "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={self._port}"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def port(self) -> int:
        """Its port, once it listens there."""
        wait_until(lambda: listens(self._port), "the worker pool")
        return self._port

    def flags(self) -> list[str]:
        """Beam's flags for workers of this pool, once it listens."""
        return ["--environment_type=EXTERNAL", f"--environment_config=127.0.0.1:{self.port()}"]

    @property
    def workers(self) -> list[int]:
        """The process numbers of those that run now."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(number) for threads in children for number in threads.read_text().split()]

    def stop(self) -> None:
        """End it and its workers."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def doors(port: int, targets: Mapping[str, int]) -> Iterator[None]:
    """The port at several addresses of loopback, each of which leads to another port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.engines.doors", str(port), *starmap("{}={}".format, targets.items())]
    )
    try:
        wait_until(lambda: process.poll() is not None or listens(port), "the doors")
        assert process.poll() is None, f"port {port} is taken"
        yield
    finally:
        process.kill()
        process.wait()
