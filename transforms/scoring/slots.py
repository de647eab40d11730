"""Gives the images of records their slots in the arrays that go through the network, before they are decoded."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bulklabel.model.images.resize import Pixels, Preprocessing
from bulklabel.transforms.reading.records import RecordTable, Unreadable


@dataclass(frozen=True)
class Slots:
    """Says where the images of a table are: `rows` of `images`, uint8 of M×H×W×3."""

    images: Pixels
    rows: slice

    @property
    def pixels(self) -> Pixels:
        """Returns the images of the table alone."""
        return self.images[self.rows]


def new_slots(count: int, preprocessing: Preprocessing) -> Slots:
    """Returns slots for so many images in an array of their own, whose pixels are whatever the memory holds.

    >>> new_slots(2, Preprocessing(height=3, width=4)).pixels.shape
    (2, 3, 4, 3)
    """
    return Slots(np.empty((count, preprocessing.height, preprocessing.width, 3), np.uint8), slice(0, count))


def with_slots(
    tables: Iterable[RecordTable | Unreadable], size: int, preprocessing: Preprocessing
) -> Iterator[tuple[RecordTable | Unreadable, Slots]]:
    """Yields the tables, each with its slots among `size` images that go through the network together.

    A table that has more records than there are slots left is cut.

    >>> import pyarrow as pa
    >>> tables = [RecordTable(pa.table({"id": list(ids)}), [None] * len(ids)) for ids in ("abc", "de")]
    >>> for table, slots in with_slots(tables, 4, Preprocessing(height=1, width=1)):
    ...     print(table.rows.column("id").to_pylist(), slots.rows)
    ['a', 'b', 'c'] slice(0, 3, None)
    ['d'] slice(3, 4, None)
    ['e'] slice(0, 1, None)
    """
    images, filled = new_slots(0, preprocessing).images, 0
    for table in tables:
        if isinstance(table, Unreadable):
            yield table, Slots(images, slice(filled, filled))
            continue
        start = 0
        while start < len(table):
            if filled == len(images):
                images, filled = new_slots(size, preprocessing).images, 0
            piece = table.slice(start, size - filled)
            yield piece, Slots(images, slice(filled, filled + len(piece)))
            start, filled = start + len(piece), filled + len(piece)
