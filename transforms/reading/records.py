"""What every reader yields: batches of records as Arrow tables of one schema, and the slot where formats plug in."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from bulklabel.transforms.files.listing import File, Listing

RECORD_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("position", pa.int64()),
        pa.field("labels", pa.list_(pa.string())),
        pa.field("image", pa.binary()),
    ]
)
"""`source` is the file and `position` the record's place in it, from 0; `labels` is null where truth is unknown."""

UNKNOWN_FIELD = pa.field("unknown", pa.list_(pa.string()))
"""The labels of a record whose truth is unknown, beside those that are present; the others are absent."""

SHARD_RECORDS = 1024
"""Small things are packed into one shard up to so many records, and large files are cut after so many."""

SHARD_BYTES = 2**28
"""… or up to so many bytes of images."""

TABLE_BYTES = 2**21
"""A table has no more bytes of images than this, single records apart: photographs come some dozens at once."""


@dataclass(frozen=True)
class Columns:
    """The names that a user's files have for a record's fields, None for the format's own, and fields to carry along.

    `unknown` is None where all labels of a record are known, or none: no format has a name of its own for it. What is
    carried becomes text: strings as they are, anything else as JSON.
    """

    id: str | None = None
    image: str | None = None
    labels: str | None = None
    unknown: str | None = None
    carry: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """`RECORD_SCHEMA`, `UNKNOWN_FIELD` if it is asked for, and a string column for everything carried along."""
        unknown = [UNKNOWN_FIELD] if self.unknown else []
        return pa.schema([*RECORD_SCHEMA, *unknown, *(pa.field(name, pa.string()) for name in self.carry)])

    @property
    def flags(self) -> dict[str, str]:
        """The names that a user must have meant to be somewhere in the input, and the flag that gave each."""
        return dict.fromkeys(self.carry, "--carry") | ({self.unknown: "--unknown_column"} if self.unknown else {})


@dataclass(frozen=True)
class Problem:
    """Why something cannot be read: a word for counting, and a sentence for a person."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Shard:
    """A contiguous run of records of one file; of an image folder, of its files.

    `start` and `stop` count the format's own units: row groups in Parquet, bytes in TFRecord and tar, `names`
    in image folders; `stop` is None for the end of the file. `position` is the first record's, and
    `records` their number where it is known before they are read. `names` are the files below the folder `source`
    that an image folder's shard consists of, `metadata` the file that says more of them. A shard with a problem is
    `records` records that cannot be read. `reused` is of a shard whose answers are an earlier run's: which of
    `Recipe.since`, and the number of the shard there, of whose records only those of `names` are still wanted.
    """

    index: int
    source: str
    start: int
    stop: int | None
    position: int
    records: int | None
    names: tuple[str, ...] = ()
    metadata: str | None = None
    problem: Problem | None = None
    reused: tuple[int, int] | None = None

    @classmethod
    def unreadable(cls, source: str, problem: Problem) -> "Shard":
        """A file of which nothing can be read: it counts as one record, since nobody knows how many it has."""
        return cls(0, source, 0, 0, 0, records=1, problem=problem)


@dataclass(frozen=True)
class Unreadable:
    """Records that a reader cannot give: `positions` of `source`, why, and the id if there is one with an id."""

    source: str
    positions: range
    problem: Problem
    id: str | None = None


@dataclass(frozen=True)
class Inputs:
    """What a reader found: the files that decide the answers, and the shards in order, `index` not yet counted."""

    files: tuple[File, ...]
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class ReadSpec:
    """How files become records: their format, the names of their columns, and what label numbers stand for.

    `label_names` is None where nobody knows what they stand for. A table has at most `batch_size` records.
    """

    input_format: str
    columns: Columns
    label_names: tuple[str, ...] | None
    batch_size: int


class Reader(Protocol):
    """Reads one input format, whose files have names in which `file_pattern` is found."""

    file_pattern: re.Pattern[str]

    def recognises(self, head: bytes) -> bool:
        """Whether a file that starts with these 512 bytes (or is them, if shorter) is of this format."""

    def shards(self, listings: Sequence[Listing], columns: Columns) -> Inputs:
        """What is in the files; those that cannot be used become shards with a problem, which says the fix too."""

    def read(self, shard: Shard, spec: ReadSpec) -> Iterator[pa.Table | Unreadable]:
        """Yields the shard's records, as tables of `spec.columns.schema` of at most `spec.batch_size` rows.

        Every record of the shard is yielded once, be it in a table, in order, or as unreadable.

        Raises:
            UserError: if the data has label numbers and nobody knows what they stand for.
        """
