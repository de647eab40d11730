"""The lock files: complete for every Python that we name, and installed without a look at what is not in them."""

import base64
import functools
import hashlib
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT, missing

PYTHONS = ("3.11", "3.12", "3.13")
RUN, CLOUD, TEST, BUILD = (f"requirements{part}.lock" for part in ("", "-cloud", "-test", "-build"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPENDENCIES: list[str] = PROJECT["project"]["dependencies"]
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
CLOUDS = [*EXTRAS["aws"], *EXTRAS["gcp"], *EXTRAS["onnx"]]
ASKED = {
    (RUN,): DEPENDENCIES,
    (RUN, CLOUD): [*DEPENDENCIES, *CLOUDS],
    (RUN, CLOUD, TEST): [*DEPENDENCIES, *CLOUDS, *EXTRAS["dev"]],
    (BUILD,): [*PROJECT["dependency-groups"]["build"], *PROJECT["build-system"]["requires"]],
}
"""Lock files that are installed together, and what they are for."""


def locked(names: Sequence[str]) -> list[Requirement]:
    """The lines of lock files."""
    text = "".join((ROOT / name).read_text() for name in names)
    return [Requirement(line) for line in re.findall(r"^(\S+==[^\\]+) \\$", text, re.MULTILINE)]


def applies(requirement: Requirement, python: str, extra: str = "") -> bool:
    """Whether a requirement is one for a Python, and for an extra of whoever has it."""
    here = cast(dict[str, str], default_environment())
    here |= {"python_version": python, "python_full_version": f"{python}.9", "extra": extra}
    return requirement.marker is None or requirement.marker.evaluate(here)


@functools.cache
def required(name: str) -> list[Requirement]:
    """What an installed package asks for, each with a marker."""
    return [Requirement(line) for line in importlib.metadata.requires(name) or []]


def needed(asked: Sequence[str], python: str) -> Iterator[Requirement]:
    """All that is asked for, and what that asks for, and so on, with extras."""
    left = [requirement for requirement in map(Requirement, asked) if applies(requirement, python)]
    seen = set()
    while left:
        requirement = left.pop()
        yield requirement
        for extra in {"", *requirement.extras}:
            if (found := (canonicalize_name(requirement.name), extra)) not in seen:
                seen.add(found)
                left += [each for each in required(requirement.name) if applies(each, python, extra)]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("names", ASKED, ids=" ".join)
def test_lock_files_have_all_that_is_needed_and_nothing_else(names: tuple[str, ...], python: str) -> None:
    lines = [line for line in locked(names) if applies(line, python)]
    versions = {line.name: str(line.specifier).removeprefix("==") for line in lines}
    assert len(versions) == len(lines)
    found = set()
    for requirement in needed(ASKED[names], python):
        name = canonicalize_name(requirement.name)
        assert name in versions, f"{requirement} is not in {names}"
        assert requirement.specifier.contains(versions[name], prereleases=True), requirement
        found.add(name)
    assert found == versions.keys()


def test_lock_files_agree() -> None:
    lines = {str(line) for line in locked([RUN, CLOUD, TEST])}
    assert len(lines) == len(locked([RUN, CLOUD, TEST])), "a package is in one of these files alone"
    others = {line.name: line for line in locked([RUN, CLOUD, TEST])}
    assert all(str(line) == str(others.get(line.name, line)) for line in locked([BUILD]))


@pytest.mark.parametrize("path", [*ROOT.glob("*.lock"), *ROOT.glob("tests/*.lock")], ids=lambda path: path.name)
def test_lock_files_have_hashes_and_no_address(path: Path) -> None:
    lock = path.read_text()
    assert "://" not in lock
    lines = [line for line in lock.splitlines() if not line.startswith("#")]
    for before, line in zip(["", *lines], lines, strict=False):
        assert re.fullmatch(r"[a-z0-9-]+==[^\s\\]+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
        assert before.endswith(" \\") == line.startswith("    --hash"), line


def write_wheel(folder: Path, name: str, version: str, *requirements: str) -> str:
    """Write a package with nothing in it; its line in a lock file."""
    called = f"{name.replace('-', '_')}-{version}"
    content = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + "".join(f"Requires-Dist: {requirement}\n" for requirement in requirements)
        + "Provides-Extra: ssl\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"{called}-py3-none-any.whl"
    record = f"{called}.dist-info/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in content.items():
            wheel.writestr(f"{called}.dist-info/{file}", text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            record += f"{called}.dist-info/{file},sha256={digest},{len(text)}\n"
        wheel.writestr(f"{called}.dist-info/RECORD", record)
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def commands() -> list[list[str]]:
    """The words of each line of the Makefile that installs lock files."""
    make = shutil.which("make") or missing("no make on the PATH")
    lines = [make, "--dry-run", "--always-make", ".venv/tested"]
    done = subprocess.run(lines, cwd=ROOT, capture_output=True, text=True, check=True)
    return [shlex.split(line) for line in done.stdout.splitlines() if "-r requirements" in line]


@pytest.mark.parametrize("number", range(3), ids=["bootstrap", "run", "test"])
def test_a_lock_file_installs_when_there_are_newer_releases(number: int, tmp_path: Path) -> None:
    """google-api-core asks for google-auth[pyopenssl]: with dependencies to resolve, pip then refuses a newer one."""
    old = write_wheel(tmp_path, "bulklabel-auth", "1.0", "bulklabel-ssl>=1; extra == 'ssl'")
    lock = old + write_wheel(tmp_path, "bulklabel-ssl", "1.0")
    lock += write_wheel(tmp_path, "bulklabel-core", "1.0", "bulklabel-auth[ssl]<3,>=1")
    for name in ("bulklabel-auth", "bulklabel-ssl", "bulklabel-core"):
        write_wheel(tmp_path, name, "2.0", "bulklabel-missing")
    (tmp_path / "lock").write_text(lock)
    words = [str(tmp_path / "lock") if word.endswith(".lock") else word for word in commands()[number]]
    words = [word.replace(".venv/bin", str(Path(sys.executable).parent)) for word in words]  # where the tests run
    target = tmp_path / "installed"
    # Nothing but the folder is looked at, by pip and by uv.
    here = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "UV_OFFLINE": "1", "UV_FIND_LINKS": str(tmp_path)}
    subprocess.run([*words, f"--target={target}"], check=True, env=os.environ | here)
    installed = {each.name: each.version for each in importlib.metadata.distributions(path=[str(target)])}
    assert installed == dict.fromkeys(["bulklabel-auth", "bulklabel-ssl", "bulklabel-core"], "1.0")
