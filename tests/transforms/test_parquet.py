"""The Parquet reader: what people's files hold, and what is wrong with some of them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulklabel.model.errors import UserError
from bulklabel.model.labels.choose_rule import AS_FOUND, LabelOptions
from bulklabel.model.labels.label_rule import NO_TRUTH
from bulklabel.transforms.files import files, planned_files
from bulklabel.transforms.planning.choose_labels import choose_labels
from bulklabel.transforms.reading import parquet
from bulklabel.transforms.reading.arrow_values import LARGE_IMAGE_BYTES
from bulklabel.transforms.reading.find_shards import find_shards
from bulklabel.transforms.reading.parquet import ParquetReader
from bulklabel.transforms.reading.readers import read_shard
from bulklabel.transforms.reading.records import RECORD_SCHEMA, SHARD_RECORDS, Columns, ReadSpec, Shard, Unreadable
from tests.conftest import collage_rows, records_in, write_parquet
from tests.conftest import read_all as read_records

READER = ParquetReader()
LABELS = ("cat", "dog", *"0123456789")
DEFAULT = Columns()


def shards_of(path: Path, columns: Columns = DEFAULT) -> tuple[Shard, ...]:
    listing = files.list_files(str(path), READER.file_pattern)
    return READER.shards([listing], columns).shards


def write_table(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def read_all(path: Path, columns: Columns = DEFAULT) -> list[Any]:
    shards = shards_of(path, columns)
    rule = choose_labels(shards, "parquet", columns, LABELS, AS_FOUND).rule
    spec = ReadSpec("parquet", columns, LABELS, 100, rule)
    return [batch for shard in shards for batch in read_shard(shard, spec)]


def records(path: Path, columns: Columns = DEFAULT) -> list[dict[str, Any]]:
    return [row for table in read_all(path, columns) for row in records_in(table)]


def test_every_record_is_read_once_with_its_place(tmp_path: Path) -> None:
    rows = collage_rows(2500)
    path = write_parquet(tmp_path / "a.parquet", rows, row_group_size=1100)
    shards = shards_of(path)
    assert [(shard.position, shard.records) for shard in shards] == [(0, 1100), (1100, 1100), (2200, 300)]
    tables = read_all(path)
    assert max(len(table) for table in tables) == 100
    assert all(table.rows.schema == RECORD_SCHEMA for table in tables)
    read = [row for table in tables for row in records_in(table)]
    assert read == [row | {"source": str(path), "position": position} for position, row in enumerate(rows)]


def in_structs(images: pa.Array) -> pa.Array:
    """Puts images into structs as Hugging Face's datasets have them; the first and the last struct are null."""
    nulls = pa.array([row in (0, len(images) - 1) for row in range(len(images))])
    return pa.StructArray.from_arrays([images, pa.nulls(len(images), pa.string())], ["bytes", "path"], mask=nulls)


@pytest.mark.parametrize(
    "column_of",
    [
        lambda images: images,
        lambda images: images.cast(pa.large_binary()),
        lambda images: images.cast(pa.dictionary(pa.int32(), pa.binary())),
        in_structs,
    ],
)
def test_large_images_are_read_as_they_are(tmp_path: Path, column_of: Callable[[pa.Array], pa.Array]) -> None:
    images = [None, b"", *(bytes([row]) * (LARGE_IMAGE_BYTES + 100 * row) for row in range(250)), None]
    path = write_table(tmp_path / "a.parquet", {"image": column_of(pa.array(images, pa.binary()))})
    tables = read_all(path)
    assert [row["image"] for table in tables for row in records_in(table)] == images


def test_large_images_in_structs_are_not_copied() -> None:
    images = pa.array([bytes(LARGE_IMAGE_BYTES)] * 3)
    start = images.buffers()[2].address
    seen = [value["bytes"] for value in parquet._image_values(in_structs(images)) if value["bytes"] is not None]
    assert [pa.py_buffer(image).address for image in seen] == [start + LARGE_IMAGE_BYTES]


def test_small_row_groups_are_packed_into_one_shard(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", collage_rows(1500), row_group_size=100)
    assert [shard.records for shard in shards_of(path)] == [1000, 500]
    assert SHARD_RECORDS == 1024
    assert [row["position"] for row in records(path)] == list(range(1500))


def test_an_id_is_made_where_there_is_none(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", {"image": [b"x", b"y"]})
    assert [row["id"] for row in records(path)] == [f"{path}#0", f"{path}#1"]
    path = write_table(tmp_path / "b.parquet", {"image": [b"x", b"y"], "id": [7, None]})
    assert [row["id"] for row in records(path)] == ["7", f"{path}#1"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (pa.array([["cat"], [], None]), [["cat"], [], None]),
        (pa.array([[1, 0], [], None]), [["dog", "cat"], [], None]),
        (pa.array([[5], [1, 1], [None]]), [["3"], ["dog"], [None]]),
        (pa.nulls(3), [None, None, None]),
        (pa.array([["cat"], [], None], pa.large_list(pa.large_string())), [["cat"], [], None]),
    ],
)
def test_truth_as_names_or_numbers(tmp_path: Path, labels: pa.Array, expected: list[Any]) -> None:
    path = write_table(tmp_path / "a.parquet", {"image": [b"x"] * 3, "labels": labels})
    assert [row["labels"] for row in records(path)] == expected


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", {"key": ["k"], "jpg": [b"x"], "tags": [["cat"]]})
    (row,) = records(path, Columns(id="key", image="jpg", labels="tags"))
    assert (row["id"], row["image"], row["labels"]) == ("k", b"x", ["cat"])


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.Table.from_arrays([pa.array([b"x"]), pa.array([b"y"])], ["image", "image"]), "duplicate_column"),
        (pa.table({"image": [3]}), "wrong_type"),
        (pa.table({"image": ["text"]}), "missing_file"),
        (pa.table({"image": [b"x"], "id": [["nested"]]}), "wrong_type"),
    ],
)
def test_records_of_a_file_with_a_wrong_schema_are_unreadable(tmp_path: Path, table: pa.Table, reason: str) -> None:
    pq.write_table(table, tmp_path / "a.parquet")
    (unreadable,) = read_all(tmp_path / "a.parquet")
    assert isinstance(unreadable, Unreadable)
    assert (unreadable.positions, unreadable.problem.reason) == (range(1), reason)


def test_a_damaged_row_group_costs_only_its_own_records(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", collage_rows(3300), row_group_size=1100, compression="zstd")
    column = pq.ParquetFile(path).metadata.row_group(1).column(1)
    content = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + 200] = bytes(200)
    path.write_bytes(bytes(content))
    batches = read_all(path)
    read = [
        position
        for table in batches
        if not isinstance(table, Unreadable)
        for position in table.rows.column("position").to_pylist()
    ]
    (damaged,) = [batch for batch in batches if isinstance(batch, Unreadable)]
    assert damaged.problem.reason == "damaged_file"
    assert sorted([*read, *damaged.positions]) == list(range(3300))
    assert set(range(1100)) | set(range(2200, 3300)) <= set(read)


def test_a_store_that_fails_is_no_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "a.parquet", collage_rows(10))
    (shard,) = shards_of(path)
    open_file = files.open_file

    class Failing:
        def __init__(self, name: str) -> None:
            self.file = open_file(name)
            self.reads = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def __enter__(self) -> "Failing":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def read(self, size: int = -1) -> bytes:
            self.reads += 1
            if self.reads > 1:
                raise OSError(5, "Input/output error")
            return self.file.read(size)

    monkeypatch.setattr(planned_files, "open_file", Failing)
    with pytest.raises(OSError, match="Input/output error"):
        list(READER.records(shard, ReadSpec("parquet", Columns(), LABELS, 10, NO_TRUTH)))


def test_a_folder_is_its_parquet_files_in_order(tmp_path: Path) -> None:
    for name in ("b.parquet", "deep/a.parquet", "_tmp/c.parquet", ".d.parquet", "notes.txt"):
        write_parquet(tmp_path / name, collage_rows(3))
    (tmp_path / "we[i]rd").mkdir()
    write_parquet(tmp_path / "we[i]rd" / "e.parquet", collage_rows(3))
    chosen, inputs = find_shards([str(tmp_path)], "auto", Columns())
    assert chosen == "parquet"
    names = [str(Path(file.path).relative_to(tmp_path)) for file in inputs.files]
    assert names == ["b.parquet", "deep/a.parquet", "we[i]rd/e.parquet"]
    assert [shard.index for shard in inputs.shards] == [0, 1, 2]
    assert len(find_shards([str(tmp_path), f"{tmp_path}/b.parquet"], "auto", Columns())[1].files) == 3
    assert len(find_shards([str(tmp_path / "we[i]rd")], "auto", Columns())[1].files) == 1
    assert len(find_shards([f"{tmp_path}/*.parquet"], "auto", Columns())[1].files) == 2


def test_bad_inputs_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("text")
    write_table(tmp_path / "other.parquet", {"picture": [b"x"]})
    write_parquet(tmp_path / "empty.parquet", [])
    for path, words in {
        "nothing": "no file matches",
        "text.parquet": "not a Parquet file",
        "other.parquet": "no column 'image', only picture",
        "empty.parquet": "no records",
        "*.txt": "no file matches",
    }.items():
        with pytest.raises(UserError, match=words) as caught:
            find_shards([str(tmp_path / path)], "auto", Columns())
        assert path in str(caught.value)
        assert "\n" not in str(caught.value)


def test_hugging_faces_struct_has_bytes_or_a_path_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "b.png").write_bytes(b"B")
    (tmp_path / "secret.png").write_bytes(b"S")
    images = [
        {"bytes": b"A", "path": "/home/somebody/a.png"},
        {"bytes": None, "path": "b.png"},
        {"bytes": None, "path": None},
        None,
        {"bytes": None, "path": "../secret.png"},
        {"bytes": None, "path": "gone.png"},
    ]
    path = write_table(
        tmp_path / "data" / "a.parquet",
        {"image": pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()}))},
    )
    read, unreadable = read_records(path)
    assert [row["image"] for row in read] == [b"A", b"B", None, None]
    assert [row[:2] for row in unreadable] == [(4, "unsafe_path"), (5, "missing_file")]


def test_columns_are_carried_along_as_text(tmp_path: Path) -> None:
    columns = {"image": [b"x", b"y"], "price": [3, None], "name": ["a\u2603", ""], "box": [{"x": 1.5}, None]}
    path = write_table(tmp_path / "a.parquet", columns)
    write_table(tmp_path / "b.parquet", {"image": [b"z"]})
    read, _ = read_records(tmp_path, columns=Columns(carry=("price", "name", "box")))
    assert [(row["price"], row["name"], row["box"]) for row in read] == [
        ("3", "a\u2603", '{"x": 1.5}'),
        (None, "", None),
        (None, None, None),
    ]
    with pytest.raises(UserError, match="column prize: no such column"):
        shards_of(path, Columns(carry=("prize",)))


def test_text_that_is_not_utf_8_keeps_its_bytes_escaped(tmp_path: Path) -> None:
    wild = pa.StringArray.from_buffers(1, pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff!"))
    labels = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), wild)
    path = write_table(tmp_path / "a.parquet", {"image": [b"x"], "id": wild, "labels": labels})
    (row,), _ = read_records(path, options=LabelOptions("names"))
    assert (row["id"], row["labels"]) == ("\\xff!", ["\\xff!"])


def test_a_broken_file_among_good_ones_is_rejected_and_all_broken_ones_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "good.parquet", collage_rows(3))
    (tmp_path / "text.parquet").write_text("text")
    write_table(tmp_path / "other.parquet", {"picture": [b"x"] * 7})
    read, unreadable = read_records(tmp_path, labels=LABELS)
    assert len(read) == 3
    assert [row[:2] for row in unreadable] == [*((n, "missing_column") for n in range(7)), (0, "damaged_file")]
    (tmp_path / "good.parquet").unlink()
    with pytest.raises(UserError, match="no column 'image', only picture"):
        read_records(tmp_path)


def test_odd_types_become_text_and_cost_no_other_record(tmp_path: Path) -> None:
    images = pa.StructArray.from_arrays(
        [pa.array([b"x", b"y"]), pa.array([b"\xff.png", None]).cast(pa.binary()).view(pa.string())],
        ["bytes", "path"],
    )
    columns = {
        "image": images,
        "id": pa.array([b"a", b"b"]),
        "when": pa.array([1, None], pa.timestamp("ns")),
        "nested": pa.array([{"k": b"\xff"}, None]),
    }
    path = write_table(tmp_path / "a.parquet", columns)
    read, unreadable = read_records(path, columns=Columns(carry=("when", "nested")))
    assert not unreadable
    assert [(row["id"], row["image"], row["when"], row["nested"]) for row in read] == [
        ("a", b"x", "1970-01-01 00:00:00.000000001", '{"k": "\\\\xff"}'),
        ("b", b"y", None, None),
    ]


def test_times_inside_of_carried_lists_cost_no_record(tmp_path: Path) -> None:
    nanosecond = pa.timestamp("ns")
    columns = {
        "image": pa.array([b"x", b"y", b"z"]),
        "seen": pa.array([[1, None], None, []], pa.list_(nanosecond)),
        "deep": pa.array([[{"at": [1]}], [], None], pa.list_(pa.struct({"at": pa.list_(nanosecond)}))),
        "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), nanosecond)),
    }
    path = write_table(tmp_path / "a.parquet", columns)
    read, unreadable = read_records(path, columns=Columns(carry=("seen", "deep", "map")))
    assert not unreadable
    first = "1970-01-01 00:00:00.000000001"
    assert [row["seen"] for row in read] == [f'["{first}", null]', None, "[]"]
    assert [row["deep"] for row in read] == [f'[{{"at": ["{first}"]}}]', "[]", None]
    assert [row["map"] for row in read] == [f'[["a", "{first}"]]', None, "[]"]


class CountedReads(io.BytesIO):
    """Bytes in memory that count how often they are read."""

    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        return super().read(size)


@pytest.mark.parametrize("groups", [1, 2000])
def test_a_footer_is_hashed_without_reading_more_than_pyarrow_does(groups: int) -> None:
    written = io.BytesIO()
    table = pa.table({"id": [str(number) for number in range(groups)], "image": [b""] * groups})
    pq.write_table(table, written, row_group_size=1)
    theirs, ours = CountedReads(written.getvalue()), CountedReads(written.getvalue())
    metadata = pq.ParquetFile(theirs).metadata
    assert (metadata.serialized_size > parquet.FOOTER_BYTES) is (groups > 1)
    footer = parquet._read_footer(ours)
    assert len(footer) == metadata.serialized_size + 8
    assert ours.reads == theirs.reads
    assert parquet._open(ours, Shard(0, "a", 0, 1, 0, 1)).metadata == metadata
    assert ours.reads == 2 * theirs.reads
