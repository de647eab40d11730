"""Files on the local file system; `test_stores` has the remote ones."""

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest

from bulklabel.model.errors import StoreError
from bulklabel.transforms.files import files
from bulklabel.transforms.files.read_many import read_many
from bulklabel.transforms.files.stores import retry
from bulklabel.transforms.files.stores.globs import glob_regex, prefix_of


def test_many_files_are_read_in_order_with_what_is_wrong_in_place(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / str(number)).write_bytes(b"%d" % number)
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    names = [*map(str, range(50)), "none", "folder", "empty", *map(str, range(99, 49, -1))]
    contents = dict(zip(names, read_many([str(tmp_path / name)] for name in names), strict=True))
    missing, folder = contents.pop("none"), contents.pop("folder")
    assert isinstance(missing, FileNotFoundError)
    assert isinstance(folder, OSError)
    assert folder.errno == errno.EISDIR
    assert contents.pop("empty") == b""
    assert contents == {name: name.encode() for name in contents}
    assert list(read_many([])) == []


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
def test_a_local_folder_is_searched_as_far_as_a_glob_reaches(tangle: Path, pattern: str) -> None:
    place = f"{tangle}/{pattern}"
    top = os.path.dirname(prefix_of(place))  # which may be a link itself
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]
    expected = {path for path in paths if os.path.isfile(path) and glob_regex(place).fullmatch(path)}
    assert {(file.path, file.size) for file in files._match(place)} == {
        (path, os.stat(path).st_size) for path in expected
    }


def listed(path: Path | str, names: str = r"\.png$") -> list[tuple[str, int]]:
    found = files.list_files(str(path), re.compile(names))
    return [(file.path.removeprefix(f"{found.root}/"), file.size) for file in found.files]


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder of which most is elsewhere, by links; the sizes of files say which of them are the same."""
    for size, name in enumerate(
        ["in/a.png", "in/.hidden/b.png", "in/own/c.png", "out/d.png", "out/deep/e.png", "f.png"]
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "blob").write_bytes(bytes(9))
    links = {"z.png": "a.png", "a/up": "..", "far": "../out", "also_far": "../out", "shown": ".hidden", "circle": "."}
    links |= {
        "again": "own",
        "near/deep": "../../out/deep",
        "f.png": "../f.png",
        "g.png": "../blob",
        "h.png": "../blob",
    }
    links |= {"gone.png": "nothing.png", "lost": "../no_folder", "lost.txt": "../no_text", ".skipped": "../out"}
    for name, target in links.items():
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).symlink_to(target)
    (tmp_path / "out" / "back").symlink_to(tmp_path / "in")
    return tmp_path / "in"


def test_links_of_an_input_are_followed_and_each_file_is_listed_once(linked: Path, tmp_path: Path) -> None:
    expected = [("a.png", 0), ("also_far/d.png", 3), ("also_far/deep/e.png", 4), ("f.png", 5), ("g.png", 9)]
    expected += [("gone.png", -1), ("h.png", 9), ("lost", -1), ("own/c.png", 2), ("shown/b.png", 1)]
    assert listed(linked) == expected
    (tmp_path / "link").symlink_to(linked)
    assert listed(tmp_path / "link") == expected
    assert listed(f"{linked}/z*.png") == [("z.png", 0)]
    assert listed(f"{linked}/go*.png") == [("gone.png", -1)]
    assert listed(f"{linked}/ag*/*.png") == [("again/c.png", 2)]
    assert listed(f"{linked}/far/*.png") == [("d.png", 3)]
    assert {Path(file.path).parent.name for file in files.list_folder(str(linked))} == {"in", ".hidden", "own"}


def test_a_listing_that_fails_is_no_shorter_one(tangle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def failing(folder: str) -> Any:
        if folder.endswith("deep"):
            raise OSError(errno.EIO, "Input/output error", folder)
        return scandir(folder)

    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(StoreError, match=r"cannot be listed \(Input/output error"):
        files.list_folder(str(tangle))
    assert files.list_folder(str(tangle / "[x]"))


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        steps.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).relative_to(tmp_path)}")
        fsync(descriptor)

    def replaced(source: str, target: str) -> None:
        assert Path(source).read_bytes() == b"content"
        steps.append(f"replace {Path(target).relative_to(tmp_path)}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    files.write(str(tmp_path / "a" / "b" / "c"), b"content")
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"content"
    temporary = steps.pop(2)
    assert temporary.startswith("fsync a/b/.c.")
    assert steps == ["fsync .", "fsync a", "replace a/b/c", "fsync a/b"]


def test_a_folder_that_cannot_be_put_on_the_disk_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def synced(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    files.write(str(tmp_path / "a" / "b"), b"content")
    assert (tmp_path / "a" / "b").read_bytes() == b"content"


def test_a_temporary_file_that_vanishes_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace
    vanished: list[str] = []

    def replaced(source: str, target: str) -> None:
        if len(vanished) < 3:
            vanished.append(source)
            files.delete([file.path for file in files.list_temporary(str(tmp_path))])
        replace(source, target)

    monkeypatch.setattr(os, "replace", replaced)
    files.write(str(tmp_path / "a"), b"content")
    assert len(set(vanished)) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"content"


@pytest.mark.parametrize(
    ("code", "attempts"), [(errno.EIO, 7), (errno.ESTALE, 7), (errno.ENOSPC, 1), (errno.EDQUOT, 1), (errno.EROFS, 1)]
)
def test_what_may_mend_is_tried_again_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, attempts: int
) -> None:
    tried: list[int] = []

    def full(descriptor: int) -> None:
        tried.append(descriptor)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=re.escape(f"{tmp_path}/a cannot be written ({os.strerror(code)})")):
        files.write(str(tmp_path / "a"), b"content")
    assert len(tried) == attempts
    assert not list(tmp_path.iterdir())


def test_only_temporary_files_of_ours_are_taken_for_such(tmp_path: Path) -> None:
    ours = [f".part.{'0a' * 16}.tmp", f".{'x' * 50}.json.{'9' * 32}.tmp"]
    theirs = ["a.tmp", ".a.tmp", f"a.{'0' * 32}.tmp", f".a.{'0' * 31}.tmp", f".a.{'g' * 32}.tmp", ".hidden"]
    for name in (*ours, *theirs, "part"):
        (tmp_path / name).touch()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / ours[0]).touch()
    assert {file.path for file in files.list_temporary(str(tmp_path))} == {str(tmp_path / name) for name in ours}


def test_what_is_there_is_not_denied_when_it_cannot_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(path: Any, **_: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error", path)

    (tmp_path / "a").touch()
    assert files.exists(str(tmp_path / "a"))
    assert files.exists(str(tmp_path))
    assert not files.exists(str(tmp_path / "a" / "b"))
    assert not files.exists(str(tmp_path / ("x" * 300)))
    with monkeypatch.context() as broken:
        broken.setattr(retry, "FIRST_PAUSE", 0.001)
        broken.setattr(os, "stat", away)
        with pytest.raises(StoreError, match=r"a cannot be read \(Input/output error\)"):
            files.exists(str(tmp_path / "a"))
