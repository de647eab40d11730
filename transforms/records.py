"""What every reader yields: batches of records as Arrow tables of one schema, and the slot where formats plug in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from transforms.files import File

RECORDS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("position", pa.int64()),
        pa.field("labels", pa.list_(pa.string())),
        pa.field("image", pa.binary()),
    ]
)
"""`source` is the file and `position` the record's place in it, from 0; `labels` is null where truth is unknown."""


@dataclass(frozen=True)
class Columns:
    """The names that a user's files have for a record's fields."""

    id: str = "id"
    image: str = "image"
    labels: str = "labels"


@dataclass(frozen=True)
class Shard:
    """A contiguous run of records of one file.

    `start` and `stop` count the format's own units (row groups in Parquet); `position` is the first record's.
    """

    index: int
    source: str
    start: int
    stop: int
    position: int
    records: int


@dataclass(frozen=True)
class Unreadable:
    """Records that a reader cannot give: `positions` of `source`, and why."""

    source: str
    positions: range
    reason: str
    detail: str


class Reader(Protocol):
    """One input format."""

    extensions: tuple[str, ...]

    def shards(self, file: File, columns: Columns) -> list[Shard]:
        """The shards of one file, in order, their `index` counted from 0.

        Raises:
            UserError: if the file is not of this format or has no images.
        """

    def read(
        self, shard: Shard, columns: Columns, label_names: tuple[str, ...] | None, batch_size: int
    ) -> Iterator[pa.Table | Unreadable]:
        """The shard's records in order, as tables of `RECORDS` of at most `batch_size` rows.

        `label_names` are what label numbers in the data stand for, None where that is not known. Every record of
        the shard is yielded once, be it in a table or as unreadable.

        Raises:
            UserError: if the data has label numbers and nobody knows what they stand for.
        """
