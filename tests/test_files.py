"""Files on the local file system; `test_stores` has the remote ones."""

import errno
from pathlib import Path

from transforms import files


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
