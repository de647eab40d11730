"""Arrow's types for the same values: each is read alike, in Parquet as pyarrow, polars, pandas and DuckDB write it."""

import datetime
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulklabel.transforms.reading.arrow_values import plain_type, python_values
from bulklabel.transforms.reading.records import Columns
from bulklabel.transforms.truth.truth_table import load_truth
from tests.conftest import read_all

TEXTS = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
TEXTS.append(pa.dictionary(pa.uint32(), pa.large_string()))
BYTES = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2), pa.dictionary(pa.int8(), pa.binary())]
LISTS = [pa.list_, pa.large_list, pa.list_view, pa.large_list_view, lambda item: pa.list_(item, 1)]


def of_type(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def write(path: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kind", TEXTS)
def test_ids_labels_and_what_is_carried_may_be_any_type_of_text(tmp_path: Path, kind: pa.DataType) -> None:
    texts = of_type(["a", "b", None], kind)
    images = pa.array([b"A", b"B", b"C"])
    path = write(tmp_path / "a.parquet", id=texts, image=images, labels=of_type(["cat", "dog", None], kind), x=texts)
    records, unreadable = read_all(path, columns=Columns(carry=("x",)))
    assert not unreadable
    assert [(row["id"], row["labels"], row["x"]) for row in records] == [
        ("a", ["cat"], "a"),
        ("b", ["dog"], "b"),
        (f"{path}#2", None, None),
    ]
    table = write(tmp_path / "truth.parquet", id=texts.slice(0, 2), labels=of_type(["cat", "dog"], kind))
    assert load_truth([str(table)], Columns(), ("cat", "dog")).rows == {"a": 0, "b": 1}


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("in_struct", [False, True])
def test_images_may_be_any_type_of_bytes(tmp_path: Path, kind: pa.DataType, in_struct: bool) -> None:
    images = of_type([b"AB", b"CD", None], kind)
    column = pa.StructArray.from_arrays([images, pa.nulls(3, pa.string_view())], ["bytes", "path"])
    try:
        path = write(tmp_path / "a.parquet", image=column if in_struct else images)
    except pa.ArrowNotImplementedError:
        pytest.skip("Parquet cannot hold it")
    records, unreadable = read_all(path)
    assert [row["image"] for row in records] + unreadable == [b"AB", b"CD", None]


@pytest.mark.parametrize("make", LISTS)
@pytest.mark.parametrize("kind", [*TEXTS[:3], pa.dictionary(pa.int8(), pa.string())])
def test_labels_may_be_any_type_of_list(tmp_path: Path, make: Any, kind: pa.DataType) -> None:
    rows = [["cat"], ["dog"], None]
    if pa.types.is_fixed_size_list(make(kind)):
        rows.pop()  # which pyarrow writes but does not read
    labels = pa.array(rows, make(kind))
    try:
        path = write(tmp_path / "a.parquet", image=pa.array([b"A"] * len(rows)), labels=labels)
    except pa.ArrowNotImplementedError:
        pytest.skip("Parquet cannot hold it")
    records, _ = read_all(path)
    assert [row["labels"] for row in records] == rows


@pytest.mark.parametrize("kind", TEXTS[:3])
@pytest.mark.parametrize(
    "lists",
    [
        lambda texts: pa.ListArray.from_arrays([0, 2, 2], texts),
        lambda texts: pa.LargeListArray.from_arrays([0, 2, 2], texts),
        lambda texts: pa.ListViewArray.from_arrays([0, 0], [2, 0], texts),
        lambda texts: pa.LargeListViewArray.from_arrays([0, 0], [2, 0], texts),
    ],
)
def test_text_that_is_not_utf_8_is_escaped_in_any_type(kind: pa.DataType, lists: Any) -> None:
    offsets = pa.array([0, 1, 3], pa.int32()).buffers()[1]
    damaged = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"\xffok")]).cast(kind)
    assert python_values(damaged) == ["\\xff", "ok"]
    assert python_values(lists(damaged)) == [["\\xff", "ok"], []]


def test_run_ends_and_extensions_are_unwrapped() -> None:
    runs = pa.RunEndEncodedArray.from_arrays([2, 3], ["a", "b"])
    assert python_values(runs) == ["a", "a", "b"]
    assert plain_type(runs.type) == pa.string()
    assert plain_type(pa.json_()) == pa.string()
    dates = pa.array([datetime.date(2023, 1, 5)]).dictionary_encode()
    assert python_values(dates) == ["2023-01-05"]


UUIDS = [uuid.UUID(int=number) for number in (1, 2)]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([each.bytes for each in UUIDS], pa.uuid()), [str(each) for each in UUIDS]),
        (pa.array([7.0, 8.5]), ["7", "8.5"]),
        (pa.array([7.0, float("nan")], pa.float32()), ["7", None]),
        (pa.array([Decimal("7.00"), Decimal("12345678901234567890.50")]), ["7", "12345678901234567890.5"]),
        (pa.array([7, 8], pa.uint8()), ["7", "8"]),
        (pa.array(["007", ""]), ["007", None]),
        (pa.array([datetime.date(2023, 1, 5), None]), ["2023-01-05", None]),
    ],
)
@pytest.mark.parametrize("store_schema", [True, False])
def test_ids_are_the_same_text_in_records_and_in_tables_of_truth(
    tmp_path: Path, ids: pa.Array, expected: list[str | None], store_schema: bool
) -> None:
    path = tmp_path / "a.parquet"
    images = pa.array([b"A", b"B"])
    pq.write_table(pa.table({"id": ids, "image": images, "x": ids}), path, store_schema=store_schema)
    records, _ = read_all(path, columns=Columns(carry=("x",)))
    assert [row["id"] for row in records] == [
        f"{path}#{position}" if text is None else text for position, text in enumerate(expected)
    ]
    assert not any('"' in row["x"] for row in records if row["x"])
    known = [text for text in expected if text is not None]
    table = pa.table({"id": ids, "labels": [["cat"], ["dog"]]}).slice(0, len(known))
    pq.write_table(table, tmp_path / "truth.parquet", store_schema=store_schema)
    assert list(load_truth([str(tmp_path / "truth.parquet")], Columns(), ("cat", "dog")).rows) == known
