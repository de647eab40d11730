"""A file system that is full in the middle of a run, and one that has room again."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.durability.forked import Run, forked, outcome, said_in_one_line

Resize = Callable[[int], None]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Path, Resize]]:
    """A file system in memory, and a way to say how many KiB it has."""
    place = tmp_path / "small"
    place.mkdir()

    def mount(size: int, *options: str) -> subprocess.CompletedProcess[str]:
        command = ["mount", "-t", "tmpfs", "-o", ",".join([*options, f"size={size}k"]), "tmpfs", str(place)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def resize(size: int) -> None:
        assert mount(size, "remount").returncode == 0

    mounted = mount(100)
    if mounted.returncode:
        missing = f"no file system of its own can be mounted here: {mounted.stderr.strip()}"
        pytest.fail(missing, pytrace=False) if os.environ.get("CI") else pytest.skip(missing)
    yield place, resize
    subprocess.run(["umount", str(place)], check=True)  # noqa: S607


@pytest.mark.parametrize(("size", "file"), [(60, "part-"), (500, "report.html")])
def test_a_run_on_a_full_disk_is_finished_when_there_is_room(
    small: tuple[Path, Resize], tiny: list[str], undisturbed: Run, tmp_path: Path, size: int, file: str
) -> None:
    place, resize = small
    resize(size)
    first = forked(tiny, place / "run", tmp_path / "log")
    assert first.end() == 1, first.said
    said_in_one_line(first.said)
    assert f"{place}/run/" in first.said
    assert file in first.said
    assert "No space left on device" in first.said
    assert not list(place.rglob(".*"))
    assert not (place / "run" / "_SUCCESS").exists()
    resize(20_000)
    again = forked(tiny, place / "run", tmp_path / "log")
    assert again.end() == 0, again.said
    assert outcome(again.output) == outcome(undisturbed.output)
