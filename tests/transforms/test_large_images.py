"""Photographs on their way to the network: few at once, and not copied where that is not needed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from bulklabel.model.labels.label_rule import LabelRule
from bulklabel.transforms.concurrency.ordered_map import ordered_map
from bulklabel.transforms.reading.record_tables import LARGE_IMAGE_BYTES, images_in, tables
from bulklabel.transforms.reading.records import TABLE_BYTES, Columns, ReadSpec, Record
from bulklabel.transforms.scoring.decode_and_predict import _weight

SPEC = ReadSpec("parquet", Columns(), ("cat",), 256, LabelRule("indices", "cls"))

LARGE = b"x" * 2 * LARGE_IMAGE_BYTES


def tables_of(*images: bytes | None) -> list[pa.Table]:
    records = [Record(str(row), "a", row, {"cls": [0]}, image, ()) for row, image in enumerate(images)]
    return list(tables(records, SPEC))


@pytest.mark.parametrize(("size", "count"), [(2 * TABLE_BYTES, 1), (LARGE_IMAGE_BYTES, 3)])
def test_large_images_are_not_copied_into_their_table(size: int, count: int) -> None:
    images = [bytes([row]) * size for row in range(count)]
    (table,) = tables_of(*images)
    pieces = table.column("image").chunks
    assert [piece.buffers()[2].address for piece in pieces] == [pa.py_buffer(image).address for image in images]


@pytest.mark.parametrize("images", [(b"",), (None,), (b"x",), (b"x", None, b""), (LARGE, None, b"", LARGE)])
def test_images_come_out_of_tables_as_they_went_in(images: tuple[bytes | None, ...]) -> None:
    (table,) = tables_of(*images)
    table.validate(full=True)
    assert table.schema == SPEC.schema
    assert table.column("image").to_pylist() == list(images)


@pytest.mark.parametrize("images", [(), (None,), (None, b""), (LARGE,), (LARGE, None, b"", LARGE), (b"x", None)])
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_images_are_seen_where_they_lie(images: tuple[bytes | None, ...], kind: pa.DataType) -> None:
    column = pa.array([b"before", *images, b"after"], kind)[1:-1]
    for seen in (images_in(column), images_in(pa.chunked_array([column, column]))[len(images) :]):
        assert [image if image is None else bytes(image) for image in seen] == list(images)


@pytest.mark.parametrize(("size", "at_once"), [(1, 8), (5 * TABLE_BYTES, 3)])
def test_fewer_large_tables_wait_to_be_decoded(size: int, at_once: int) -> None:
    """Of four places a thread, a large table takes three."""
    (table,) = tables_of(bytes(size))
    taken = 0

    def source() -> Iterator[pa.Table]:
        nonlocal taken
        while taken < 20:
            taken += 1
            yield table

    with ThreadPoolExecutor(2) as pool:
        ahead = [
            taken - done
            for done, _ in enumerate(ordered_map(lambda table: pool.submit(len, table), source(), 8, _weight))
        ]
    assert max(ahead) == at_once
    assert len(ahead) == 20
