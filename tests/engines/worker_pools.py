"""Environments as workers of other machines may have them, from the tests' own packages, and pools of such workers."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import starmap
from pathlib import Path

import numpy

from tests.conftest import ROOT
from tests.engines import forking_pool
from tests.support.servers import free_port, listens, wait_until

PACKAGES = Path(numpy.__file__).parent.parent
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE", "src", "model", "transforms", "pipelines")
BUILT = shutil.ignore_patterns("*.egg-info", "__pycache__")
BUILDS = {
    "setup.py": ["setup.py", "--quiet", "sdist", "--dist-dir"],
    "sdist": ["-c", "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"],
    "wheel": ["-c", "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"],
}
"""By the way in which a package is built, what Python is given besides the folder for it."""

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def built(how: str, source: Path, folder: Path, **variables: str) -> Path:
    """Builds the package of a project in a copy of its sources, since a build leaves files; returns its path."""
    with tempfile.TemporaryDirectory() as place:
        for path in source.iterdir():
            if source != ROOT or path.name in SOURCES:
                copy = partial(shutil.copytree, symlinks=True, ignore=BUILT) if path.is_dir() else shutil.copy
                copy(path, Path(place) / path.name)
        into = Path(place) / "built"
        line = [sys.executable, "-W", "ignore", *BUILDS[how], str(into)]
        subprocess.run(line, cwd=place, env=os.environ | variables, check=True, capture_output=True)
        (package,) = into.iterdir()
        return Path(shutil.move(package, folder / package.name))


def isolated() -> dict[str, str]:
    """Returns the variables for processes of other environments, without what would show them this checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def environment(folder: Path, versions: Mapping[str, str], wheels: Sequence[Path] = ()) -> Path:
    """The Python of an environment with the tests' packages, without the project, and with some wheels.

    The packages of `versions` claim to be of these.
    """
    venv.create(folder, symlinks=True)
    packages, python = packages_of(folder), folder / "bin" / "python"
    for wheel in wheels:  # one after the other, as if on different days
        install = ["--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
        subprocess.run([*PIP, *install], env=isolated(), check=True)
    (packages / "shared.pth").write_text(f"{PACKAGES}\n")  # what `.pth` files there add, the project, is not added
    for name, version in versions.items():
        claimed = packages / f"{name}-{version}.dist-info"
        claimed.mkdir()
        (claimed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return python


def packages_of(folder: Path) -> Path:
    """Where an environment has its packages."""
    return next(folder.glob("lib/python*/site-packages"))


def environment_of_sdist(folder: Path) -> Path:
    """The Python of one into which the project's sdist was installed."""
    python = environment(folder / "environment", {})
    target = f"--target={packages_of(folder / 'environment')}"
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", target, str(built("sdist", ROOT, folder))]
    subprocess.run([*PIP, *install], check=True)
    return python


class Pool:
    """Beam's worker pool, in an empty folder: a process that starts workers, also processes, when it is told to."""

    def __init__(self, python: Path, folder: Path) -> None:
        folder.mkdir()
        self._port, self._log = free_port(), folder / "log"
        environment = isolated() | {"PATH": f"{python.parent}:{os.environ['PATH']}"}  # it starts `python`
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(python), *self._command()],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _command(self) -> list[str]:
        return ["-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={self._port}"]

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
        return children_of(self.process.pid)

    def stop(self) -> None:
        """End it and its workers."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class QuickPool(Pool):
    """A pool that forks its workers, and has imported all but TensorFlow before."""

    def _command(self) -> list[str]:
        return ["-P", forking_pool.__file__, str(self._port)]

    @property
    def workers(self) -> list[int]:
        """The process numbers of those that run now."""
        return [worker for server in children_of(self.process.pid) for worker in children_of(server)]


def children_of(process: int) -> list[int]:
    """The numbers of the processes that a process has started and that have not ended."""
    threads = Path(f"/proc/{process}/task").glob("*/children")
    return [int(number) for children in threads for number in children.read_text().split()]


@contextlib.contextmanager
def pools_behind(port: int, kind: type[Pool], hosts: Sequence[str], python: Path, folder: Path) -> Iterator[list[Pool]]:
    """A pool for each host, all of which listen on the same port, each at its host's own address."""
    with contextlib.ExitStack() as stack:
        pools = []
        for host in hosts:
            pools.append(kind(python, folder / f"{kind.__name__}-{host}"))
            stack.callback(pools[-1].stop)
        stack.enter_context(doors(port, {host: pool.port() for host, pool in zip(hosts, pools, strict=True)}))
        yield pools


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
