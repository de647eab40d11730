"""Parquet whose rows name their images: as Hugging Face's structs or as strings, in row groups of any size."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulklabel.model.errors import UserError
from bulklabel.model.labels.label_rule import NO_TRUTH
from bulklabel.transforms.reading import parquet
from bulklabel.transforms.reading.find_shards import find_shards
from bulklabel.transforms.reading.readers import first_image_warnings, read_shard
from bulklabel.transforms.reading.records import Columns, ReadSpec, Unreadable
from tests.conftest import DEFAULT, read_all

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with twenty files."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.png").write_bytes(b"image %d" % number)
    return folder


def write(tmp_path: Path, column: Any, name: str = "image", **options: Any) -> Path:
    path = tmp_path / "tables" / "a.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({name: column}), path, **options)
    return path


@pytest.mark.parametrize("form", ["string", "large_string", "dictionary", "struct", "column path"])
def test_images_that_rows_name_are_read_below_a_root(images: Path, tmp_path: Path, form: str) -> None:
    names = [f"{images}/{number}.png" for number in range(20)]
    if form == "struct":
        column = pa.array([{"bytes": None, "path": name} for name in names], STRUCT)
    elif form == "dictionary":
        column = pa.array(names).dictionary_encode()
    else:
        column = pa.array(names, pa.large_string() if form == "large_string" else pa.string())
    path = write(tmp_path, column, "Path" if form == "column path" else "image")
    records, unreadable = read_all(path, columns=Columns(image_roots=(str(tmp_path / "elsewhere"),)))
    assert unreadable == []
    assert [row["image"] for row in records] == [b"image %d" % number for number in range(20)]
    assert [row["position"] for row in records] == [*range(20)]
    assert records[7]["id"] == (f"{path}#7" if form == "struct" else names[7])
    records, unreadable = read_all(path)
    assert (records, {reason for _, reason, _ in unreadable}) == ([], {"unsafe_path"})


def test_each_row_has_its_own_outcome(images: Path, tmp_path: Path) -> None:
    rows = [
        {"bytes": b"here", "path": "/nowhere/x.png"},
        {"bytes": None, "path": "../elsewhere/1.png"},
        {"bytes": None, "path": None},
        None,
        {"bytes": None, "path": "none.png"},
        {"bytes": None, "path": "https://example.com/1.png"},
        {"bytes": None, "path": str(images)},
        {"bytes": None, "path": f"file://{images}/2.png"},
    ]
    path = write(tmp_path, pa.array(rows, STRUCT))
    records, unreadable = read_all(path, columns=Columns(image_roots=(str(tmp_path / "elsewhere"),)))
    expected = {0: b"here", 1: b"image 1", 2: None, 3: None, 7: b"image 2"}
    assert {row["position"]: row["image"] for row in records} == expected
    reasons = {position: reason for position, reason, _ in unreadable}
    assert reasons == {4: "missing_file", 5: "unsafe_path", 6: "unsafe_path"}


def shards_of(path: Path) -> list[tuple[int, int | None, int, int | None, bool]]:
    _, inputs = find_shards([str(path)], "auto", DEFAULT)
    return [(shard.start, shard.stop, shard.position, shard.records, shard.by_path) for shard in inputs.shards]


def test_a_large_row_group_of_paths_is_cut_and_read_piece_by_piece(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "SHARD_RECORDS", 8)
    monkeypatch.setattr(parquet, "PIECE_ROWS", 3)
    names = [f"../elsewhere/{number}.png" for number in range(20)]
    path = write(tmp_path, pa.array(names), row_group_size=17)
    assert shards_of(path) == [(0, 1, 0, 8, True), (0, 1, 8, 8, True), (0, 1, 16, 1, True), (1, 2, 17, 3, True)]
    columns = Columns(image_roots=(str(images),))
    records, unreadable = read_all(path, columns=columns)
    assert unreadable == []
    assert [(row["position"], row["image"]) for row in records] == [(n, b"image %d" % n) for n in range(20)]


def test_only_what_names_its_images_is_by_path_and_only_what_holds_none_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "SHARD_RECORDS", 8)
    embedded = [{"bytes": b"x", "path": "1.png"}] * 20
    for rows, expected in (
        (embedded, [(0, 1, 0, 20, False)]),
        ([*embedded[1:], {"bytes": None, "path": "1.png"}], [(0, 1, 0, 20, True)]),
        ([{"bytes": None, "path": "1.png"}] * 10, [(0, 1, 0, 8, True), (0, 1, 8, 2, True)]),
    ):
        assert shards_of(write(tmp_path, pa.array(rows, STRUCT))) == expected
    assert shards_of(write(tmp_path, pa.array([b"x"] * 10))) == [(0, 1, 0, 10, False)]


def test_only_the_wanted_images_are_fetched(images: Path, tmp_path: Path) -> None:
    path = write(tmp_path, pa.array([f"../elsewhere/{number}.png" for number in range(20)]))
    columns = Columns(image_roots=(str(images),))
    _, inputs = find_shards([str(path)], "auto", columns)
    for number in (*range(5), *range(6, 20)):
        (images / f"{number}.png").unlink()
    spec = replace(ReadSpec("parquet", columns, None, 100, NO_TRUTH), positions=frozenset({5}))
    (table,) = read_shard(inputs.shards[0], spec)
    assert not isinstance(table, Unreadable)
    assert table.rows.column("position").to_pylist() == [5]


def test_a_command_ends_before_the_work_if_no_first_image_may_be_read(images: Path, tmp_path: Path) -> None:
    path = write(tmp_path, pa.array([f"{images}/{number}.png" for number in range(20)]))
    _, inputs = find_shards([str(path)], "auto", DEFAULT)
    with pytest.raises(UserError, match=rf"none of its first 20 images may be read.* flag: --image_root {images}\.$"):
        first_image_warnings(inputs.shards, ReadSpec("parquet", DEFAULT, None, 100, NO_TRUTH))
    columns = Columns(image_roots=(str(images),))
    assert first_image_warnings(inputs.shards, ReadSpec("parquet", columns, None, 100, NO_TRUTH)) == []


@pytest.mark.parametrize("text", ["a cat on a mat", "iVBORw0KGgoAAAANSUhEUg" * 500])
def test_text_that_is_no_path_is_warned_of(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, pa.array([text] * 20), "text")
    columns = Columns(image="text")
    _, inputs = find_shards([str(path)], "auto", columns)
    (warning,) = first_image_warnings(inputs.shards, ReadSpec("parquet", columns, None, 100, NO_TRUTH))
    assert "none of its first images is there" in warning
    assert "--image_column" in warning
    assert len(warning) < 400
    _, unreadable = read_all(path, columns=columns)
    assert {reason for _, reason, _ in unreadable} <= {"missing_file", "unreadable_file"}
