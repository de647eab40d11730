"""Photographs on their way to the network: few at once, and not copied where that is not needed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from bulklabel.model.labels.label_rule import LabelRule
from bulklabel.transforms.concurrency.ordered_map import ordered_map
from bulklabel.transforms.reading.arrow_values import LARGE_IMAGE_BYTES, images_in
from bulklabel.transforms.reading.record_tables import tables
from bulklabel.transforms.reading.records import TABLE_BYTES, Columns, ReadSpec, Record, RecordTable
from bulklabel.transforms.scoring.decode_and_predict import _weight

SPEC = ReadSpec("parquet", Columns(), ("cat",), 256, LabelRule("indices", "cls"))

LARGE = b"x" * 2 * LARGE_IMAGE_BYTES


@pytest.mark.parametrize("images", [(), (None,), (None, b""), (LARGE,), (LARGE, None, b"", LARGE), (b"x", None)])
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_images_are_seen_where_they_lie(images: tuple[bytes | None, ...], kind: pa.DataType) -> None:
    column = pa.array([b"before", *images, b"after"], kind)[1:-1]
    assert [image if image is None else bytes(image) for image in images_in(column)] == list(images)


@pytest.mark.parametrize(("size", "at_once"), [(1, 8), (5 * TABLE_BYTES, 3)])
def test_fewer_large_tables_wait_to_be_decoded(size: int, at_once: int) -> None:
    """Of four places a thread, a large table takes three."""
    (table,) = tables([Record("0", "a", 0, {"cls": [0]}, bytes(size), ())], SPEC)
    assert isinstance(table, RecordTable)
    taken = 0

    def source() -> Iterator[RecordTable]:
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
