"""Files on the local file system; `test_stores` has the remote ones."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystems import FileSystems

from model.errors import StoreError
from transforms import files, patience


def test_many_files_are_read_in_order_with_what_is_wrong_in_place(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / str(number)).write_bytes(b"%d" % number)
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    names = [*map(str, range(50)), "none", "folder", "empty", *map(str, range(99, 49, -1))]
    found = dict(zip(names, files.read_many([str(tmp_path / name) for name in names]), strict=True))
    missing, folder = found.pop("none"), found.pop("folder")
    assert isinstance(missing, FileNotFoundError)
    assert isinstance(folder, OSError)
    assert folder.errno == errno.EISDIR
    assert found.pop("empty") == b""
    assert found == {name: name.encode() for name in found}
    assert list(files.read_many([])) == []


NAMES = [
    "a.png",
    "[b].png",
    "b*.png",
    "c?.png",
    ".hidden.png",
    "d d.png",
    "new\nline.png",
    "é\udcff.png",
    "no",
    "tail\\",
]
FOLDERS = ["", "deep/", "deep/er/", "[x]/", ".dot/", "star*/", "deeper.png/"]
PATTERNS = [
    "**",
    "*",
    "*.png",
    "?.png",
    "[ab].png",
    "[!a].png",
    "[[]b].png",
    "b[*].png",
    "deep/**",
    "deep/*",
    "*/*.png",
]
PATTERNS += [
    "**/er/*",
    "[[]x]/**",
    "[x]/*",
    "deep",
    "a.png",
    "a.png/",
    "none/**",
    "a.png/**",
    "?eep?a.png",
    "linked/**",
]
PATTERNS += ["link.png", "de*/er/**", "tail\\", "star[*]/*", "c[?].png", "c[?]", "[", "d*", "deep/.*", "[*"]


@pytest.fixture
def tangle(tmp_path: Path) -> Path:
    """Folders and files with names that globs might misread, and links to a file, a folder, nowhere, themselves."""
    for folder in FOLDERS:
        for size, name in enumerate(NAMES):
            path = tmp_path / "in" / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(size))
    for name, target in {"link.png": "a.png", "linked": "deep", "nowhere": "gone", "circle": "circle"}.items():
        (tmp_path / "in" / name).symlink_to(target)
    return tmp_path / "in"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_local_folder_is_listed_as_beam_does(tangle: Path, pattern: str) -> None:
    place = f"{tangle}/{pattern}"
    expected = {
        (item.path, item.size_in_bytes)
        for item in FileSystems.match([place])[0].metadata_list
        if not os.path.isdir(item.path)
    }
    assert {(file.path, file.size) for file in files._match(place)} == expected


def test_a_listing_that_fails_is_no_shorter_one(tangle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def failing(folder: str) -> Any:
        if folder.endswith("deep"):
            raise OSError(errno.EIO, "Input/output error", folder)
        return scandir(folder)

    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(StoreError, match=r"cannot be listed \(Input/output error"):
        files.list_folder(str(tangle))
    assert files.list_folder(str(tangle / "[x]"))
