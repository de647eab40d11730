"""The reader of image folders: ids, metadata files, and paths that lead out of the folder."""

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulklabel.model.errors import UserError
from bulklabel.model.labels.label_rule import NO_TRUTH
from bulklabel.transforms.files import read_many
from bulklabel.transforms.files.stores.path_names import MISSING
from bulklabel.transforms.reading import record_tables
from bulklabel.transforms.reading.find_shards import find_shards
from bulklabel.transforms.reading.readers import read_shard
from bulklabel.transforms.reading.records import SHARD_RECORDS, Columns, ReadSpec, Unreadable
from tests.conftest import DEFAULT, read_all


def folder_of(root: Path, contents: Mapping[str, bytes | str]) -> Path:
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def jsonl(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def ids(records: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in records]


def test_the_id_is_the_path_below_the_folder(tmp_path: Path) -> None:
    folder_of(tmp_path, {"b.JPG": b"B", "a/x.png": b"X", "a/.y.png": b"", "_z/z.gif": b"", "notes.txt": b""})
    records, unreadable = read_all(tmp_path)
    assert not unreadable
    assert [(row["id"], row["source"], row["position"], row["image"], row["labels"]) for row in records] == [
        ("a/x.png", f"{tmp_path}/a/x.png", 0, b"X", None),
        ("b.JPG", f"{tmp_path}/b.JPG", 0, b"B", None),
    ]
    assert ids(read_all(f"{tmp_path}/*/*.png")[0]) == ["a/.y.png", "a/x.png"]
    assert ids(read_all(f"{tmp_path}/a/x.png")[0]) == ["x.png"]


@pytest.mark.parametrize("link", ["hard", "soft", "two inputs"])
def test_two_links_to_one_file_elsewhere_are_two_records_and_a_warning(
    link: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = [str(folder_of(tmp_path / "in", {"a.png": b"A", "b.png": b"A"}))]
    find_shards(inputs, "images", DEFAULT)
    assert not caplog.records
    (tmp_path / "c.png").write_bytes(b"C")
    if link == "hard":
        (tmp_path / "in" / "d.png").hardlink_to(tmp_path / "in" / "b.png")
    elif link == "soft":
        for name in ("d.png", "e.png"):
            (tmp_path / "in" / name).symlink_to(tmp_path / "c.png")
    else:
        (tmp_path / "in" / "d.png").symlink_to(tmp_path / "c.png")
        inputs.append(str(tmp_path / "c.png"))
    find_shards(inputs, "images", DEFAULT)
    (record,) = caplog.records
    assert "are links to one file: its records count under each name" in record.message
    assert "/in/d.png" in record.message


def test_what_a_mount_lists_and_does_not_find_is_a_missing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As goofys did of objects that it had just listed; they were left out without a word."""
    folder_of(tmp_path, {"a.png": b"A", "b.png": b"B", "c/d.png": b"D"})
    stat = os.stat

    def forgetful(path: Any, **options: Any) -> os.stat_result:
        if str(path).endswith("b.png"):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", forgetful)
    _, inputs = find_shards([str(tmp_path)], "images", DEFAULT)
    monkeypatch.undo()
    (tmp_path / "b.png").unlink()
    assert [file.size for file in inputs.files] == [1, MISSING, 1]
    spec = ReadSpec("images", DEFAULT, (), 10, NO_TRUTH)
    tables = [each for shard in inputs.shards for each in read_shard(shard, spec)]
    assert [each.problem.reason for each in tables if isinstance(each, Unreadable)] == ["missing_file"]


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder_of(tmp_path, {"a.png": b"A", "c/d.png": b"D"})
    scandir = os.scandir

    def denied(path: str) -> Any:
        if path.endswith("/c"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    assert ids(read_all(tmp_path)[0]) == ["a.png"]
    assert {record.message for record in caplog.records} == {
        f"{tmp_path}/c has no read permission; its content is left out."
    }


def test_many_small_files_make_few_shards(tmp_path: Path) -> None:
    folder_of(tmp_path, {f"{index:04d}.png": b"x" for index in range(SHARD_RECORDS + 10)})
    _, inputs = find_shards([str(tmp_path)], "auto", DEFAULT)
    assert [shard.records for shard in inputs.shards] == [SHARD_RECORDS, 10]
    _, inputs = find_shards([str(tmp_path), f"{tmp_path}/0000.png"], "auto", DEFAULT)
    assert sum(shard.records or 0 for shard in inputs.shards) == SHARD_RECORDS + 10


ROWS: list[dict[str, Any]] = [
    {"file_name": "a.png", "labels": ["cat", "dog"], "price": 3},
    {"file_name": "sub/b.png", "labels": [], "id": "B"},
    {"file_name": "c.png", "labels": None},
]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_metadata_file_says_more_of_its_images(tmp_path: Path, kind: str) -> None:
    folder_of(tmp_path, {"a.png": b"A", "sub/b.png": b"B", "c.png": b"C", "d.png": b"D"})
    if kind == "jsonl":
        (tmp_path / "metadata.jsonl").write_text(jsonl(*ROWS))
    elif kind == "csv":
        (tmp_path / "metadata.csv").write_text(
            '\ufefffile_name,labels,id,price\n"a.png",cat|dog,,3\nsub/b.png,|,B,\nc.png,,,\n'
        )
    else:
        pq.write_table(pa.Table.from_pylist([{"id": None, **row} for row in ROWS]), tmp_path / "metadata.parquet")
    records, unreadable = read_all(tmp_path, columns=Columns(carry=("price",)))
    assert not unreadable
    by_name = {row["source"].removeprefix(f"{tmp_path}/"): row for row in records}
    assert {name: row["labels"] for name, row in by_name.items()} == {
        "a.png": ["cat", "dog"],
        "sub/b.png": [],
        "c.png": None,
        "d.png": None,
    }
    assert by_name["sub/b.png"]["id"] == "B"
    assert by_name["d.png"]["id"] == "d.png"
    assert by_name["a.png"]["price"] == "3"
    records, _ = read_all(f"{tmp_path}/a.*")
    assert [(row["id"], row["labels"]) for row in records] == [("a.png", ["cat", "dog"])]


def test_the_nearest_metadata_file_counts(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a.png": b"A", "deep/sub/b.png": b"B", "deep/c.png": b"C"})
    (tmp_path / "metadata.jsonl").write_text(jsonl({"file_name": "a.png", "labels": ["dog"]}))
    (tmp_path / "deep/metadata.jsonl").write_text(jsonl({"file_name": "sub/b.png", "labels": "cat"}))
    records, _ = read_all(tmp_path)
    assert {row["id"]: row["labels"] for row in records} == {
        "a.png": ["dog"],
        "deep/sub/b.png": ["cat"],
        "deep/c.png": None,
    }


def test_rows_that_name_no_image_are_rejected_each_for_its_reason(tmp_path: Path) -> None:
    folder_of(tmp_path, {"data/a.png": b"A", "secret.png": b"S"})
    climbing = ["../secret.png", "x/../../secret.png", "..\\secret.png"]
    unsafe = ["\ud800.png", f"{tmp_path}/secret.png", "gs://b/x.png", "", *climbing]
    rows: list[Any] = [{"file_name": name} for name in ["a.png", "a.png", "gone.png", *unsafe]]
    twice = '{"file_name": "b.png", "file_name": "a.png"}\n'
    (tmp_path / "data/metadata.jsonl").write_text(jsonl(*rows, {"id": "none"}, [1]) + twice + "{torn")
    records, unreadable = read_all(tmp_path / "data")
    assert ids(records) == ["a.png"]
    reasons = {(position, reason) for position, reason, _ in unreadable}
    assert (0, "missing_file") in reasons
    assert (1, "duplicate_file") in reasons
    assert reasons >= {(position, "unsafe_path") for position in range(3, 10)}
    assert reasons >= {
        (10, "missing_column"),
        (11, "damaged_metadata"),
        (12, "damaged_metadata"),
        (13, "damaged_metadata"),
    }
    assert len(unreadable) == 13


def test_a_metadata_file_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a/x.png": b"X", "a/metadata.jsonl": jsonl({"path": "x.png"})})
    with pytest.raises(UserError, match="no 'file_name', only path; name it with --image_column"):
        find_shards([str(tmp_path / "a")], "auto", DEFAULT)
    assert not read_all(tmp_path / "a", columns=Columns(image="path"))[1]
    folder_of(tmp_path, {"b/x.png": b"X", "b/metadata.jsonl": "", "b/metadata.csv": "file_name\n"})
    with pytest.raises(UserError, match="more than one metadata file"):
        find_shards([str(tmp_path / "b")], "auto", DEFAULT)
    folder_of(tmp_path, {"d/x.png": b"X", "d/metadata.csv": "file_name,label,label\nx.png,cat,dog\n"})
    with pytest.raises(UserError, match=r"d/metadata\.csv: the file has 2 columns named 'label'; keep one of them"):
        find_shards([str(tmp_path / "d")], "auto", DEFAULT)
    for content, words in (
        ("sep=;\nfile_name;labels\nx.png;cat\n", "first line is 'sep=;'"),
        ("file_name".encode("utf-16"), "UTF-16"),
    ):
        folder_of(tmp_path, {"d/metadata.csv": content})
        with pytest.raises(UserError, match=rf"d/metadata\.csv: .*{words}"):
            read_all(tmp_path / "d")
    folder_of(tmp_path, {"c/x.png": b"X", "c/metadata.parquet": "not a table"})
    records, unreadable = read_all(tmp_path / "c")
    assert (ids(records), [row[:2] for row in unreadable]) == (["x.png"], [(0, "damaged_metadata")])


def test_a_glob_below_folders_finds_the_truth_beside_its_files(tmp_path: Path) -> None:
    described = "\n" + jsonl({"file_name": "12:30.png", "labels": ["cat"]}) + "\n"
    folder_of(tmp_path, {"in [1]/x/12:30.png": b"X", "in [1]/x/metadata.jsonl": described})
    for path in ("in [1]", "in [1]/x", "in [1]/x/12:30.png", "in */*/*.png", "in */x/*"):
        records, unreadable = read_all(f"{tmp_path}/{path}")
        assert [(row["id"].rpartition("/")[2], row["labels"]) for row in records] == [("12:30.png", ["cat"])], path
        assert not unreadable


def test_a_damaged_metadata_table_is_a_rejected_record(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a.png": b"A"})
    pq.write_table(pa.table({"file_name": ["a.png"] * 5}), tmp_path / "metadata.parquet", use_dictionary=False)
    content = bytearray((tmp_path / "metadata.parquet").read_bytes())
    content[20:60] = b"\xff" * 40
    (tmp_path / "metadata.parquet").write_bytes(bytes(content))
    records, unreadable = read_all(tmp_path)
    assert (ids(records), [row[1] for row in unreadable]) == (["a.png"], ["damaged_metadata"])


def test_metadata_beside_other_formats_is_none_of_their_files(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b"x"]}), tmp_path / "x.parquet")
    folder_of(tmp_path, {"metadata.csv": "a,b\n"})
    records, unreadable = read_all(tmp_path)
    assert (len(records), unreadable) == (1, [])


def test_an_image_of_more_bytes_than_a_record_may_have_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (read_many, record_tables):
        monkeypatch.setattr(module, "MAX_RECORD_BYTES", 1000)
    folder_of(tmp_path, {"a.png": bytes(1000), "b.png": bytes(5000)})
    records, unreadable = read_all(tmp_path)
    assert (ids(records), unreadable) == (["a.png"], [(0, "too_large", "b.png")])
