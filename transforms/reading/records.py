"""Defines what a reader is, the shards that it is given, and the tables of records that it yields."""

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bulklabel.model.errors import UserError
from bulklabel.model.images.kinds import Encoded
from bulklabel.model.labels.label_rule import LabelRule, TruthReader
from bulklabel.transforms.files.listing import File, Listing

RECORD_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("position", pa.int64()),
        pa.field("labels", pa.list_(pa.string())),
    ]
)
"""`source` is the file and `position` the record's place in it, from 0; `labels` is null where truth is unknown."""

UNKNOWN_FIELD = pa.field("unknown", pa.list_(pa.string()))
"""The labels of which nobody knows whether they are present; those in neither `labels` nor this list are absent."""

SHARD_RECORDS = 1024
"""The most records of a shard that is packed from small pieces or cut from a large file."""

SHARD_BYTES = 2**28
"""The most bytes of images of such a shard, unless a single record has more."""

TABLE_BYTES = 2**22
"""The most bytes of images in a table, unless a single record has more: a table then holds dozens of photographs."""

HEAD_BYTES = 512
"""How much of a file `Reader.recognises` is given: a tar's first header."""


@dataclass(frozen=True)
class Columns:
    """Names the fields in a user's files that become a record's columns, and those that are carried along.

    A field that is None has the name that the format usually gives it. `unknown` has no usual name: it is None if a
    record's labels are either all known or all unknown. Carried fields become text, as `text_of` makes it. An image may
    be named by its path: `image_roots` are folders, besides the file's own, below which such images may lie.
    `path_pattern` is a regular expression whose named groups give fields from a record's path; `ignored_ids` are fields
    of ids that identify nothing.

    >>> columns = Columns(image="jpg", unknown="unsure", carry=("price",))
    >>> columns.flags
    {'price': 'column', 'unsure': '--unknown_column'}
    """

    id: str | None = None
    image: str | None = None
    labels: str | None = None
    unknown: str | None = None
    carry: tuple[str, ...] = ()
    image_roots: tuple[str, ...] = ()
    path_pattern: str | None = None
    ignored_ids: tuple[str, ...] = ()

    def id_names(self, usual: Sequence[str]) -> list[str]:
        """Returns the fields that may hold a record's id, the first that has one counting; `usual` are the format's.

        >>> Columns(ignored_ids=("image/source_id",)).id_names(["image/source_id", "image/filename"])
        ['image/filename']
        """
        return [name for name in ([self.id] if self.id else usual) if name not in self.ignored_ids]

    @property
    def flags(self) -> dict[str, str]:
        """Returns the names that some of the input must have, each with what to call it: a column, or its only flag."""
        return dict.fromkeys(self.carry, "column") | ({self.unknown: "--unknown_column"} if self.unknown else {})

    @property
    def asked_for(self) -> dict[str, str]:
        """Returns the names that some of the input must have, where files list their columns; ids and labels, too."""
        named = {self.id: "--id_column", self.labels: "--labels_column"}
        return {name: flag for name, flag in named.items() if name} | self.flags


def check_carried(columns: Columns, taken: Collection[str]) -> None:
    """Checks that no carried column has the name of another column of a record.

    Raises:
        UserError: if one has.
    """
    for name in columns.carry:
        if name in taken or columns.carry.count(name) > 1:
            raise UserError(f"column {name}: records have a column of this name already; rename it in the input.")


@dataclass(frozen=True)
class Problem:
    """Says why records cannot be read: `reason` is a word to count by, `detail` a sentence for a person."""

    reason: str
    detail: str


MISSING_FILE = Problem("missing_file", "a link to a file that is not there; put the file there, or take out the link")
"""The problem of an input that is listed with the size `MISSING`."""


@dataclass(frozen=True)
class Shard:
    """Points to a contiguous run of records of one file, or of the files of one folder: the unit of work.

    Attributes:
        index: the number of the shard in the plan, from 0.
        source: the path of the file, or of the folder of an image folder's shard.
        start: where the shard starts, in row groups of Parquet, bytes of TFRecord or tar, or items of `names`.
        stop: where it ends, in the same units; None for the end of the file.
        position: the position of its first record in the file, from 0.
        records: the number of its records, None if it is not known before they are read.
        names: the files of an image folder's shard, below `source`; empty in other formats.
        metadata: the file that describes the images of such a shard, if there is one.
        problem: why none of its records can be read.
        reused: for a shard whose answers are an earlier run's, which of the recipe's earlier runs it is and the
            shard's number in that run, of whose records only those of `names` are still wanted.
        sources: the files that it is read from, as they were planned; reading fails if they are otherwise. Empty if
            nothing was planned: then files are read as they are.
        by_path: whether its records may name their images by paths: other files, which may change while this does not.
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
    by_path: bool = False
    sources: tuple[File, ...] = ()

    @property
    def data_paths(self) -> list[str]:
        """Returns the paths of the files that hold its records."""
        return [posixpath.join(self.source, name) for name in self.names] or [self.source]

    @property
    def paths(self) -> list[str]:
        """Returns the paths of the files that it is read from: those that hold its records, and a metadata file."""
        return list(dict.fromkeys([*self.data_paths, *([self.metadata] if self.metadata else [])]))

    @property
    def planned(self) -> dict[str, File]:
        """Returns `sources` by path."""
        return {file.path: file for file in self.sources}

    @classmethod
    def unreadable(cls, source: str, problem: Problem) -> "Shard":
        """Returns the shard of a file that cannot be read: one record, since nobody knows how many there are."""
        return cls(0, source, 0, 0, 0, records=1, problem=problem)


@dataclass(frozen=True)
class Unreadable:
    """Stands for records that cannot be read: their `positions` in `source`, and why; `id` if one is known."""

    source: str
    positions: range
    problem: Problem
    id: str | None = None


@dataclass(frozen=True)
class Inputs:
    """Lists the files that decide the answers, and their shards in order; a reader leaves every `index` at 0."""

    files: tuple[File, ...]
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class ReadSpec:
    """Says how to read files: their format, the names of their fields, and how these mean labels.

    `label_names` are the model's labels, None if they are to be found in the data. A table has at most `batch_size`
    records. Without `images` no image is read where that can be avoided. If `positions` is not None, only the records
    there are wanted: others whose images lie elsewhere are left out.

    >>> ReadSpec("parquet", Columns(carry=("price",)), ("cat", "dog"), 100, LabelRule("multi_hot", "y")).schema.names
    ['id', 'source', 'position', 'labels', 'unknown', 'price']
    """

    input_format: str
    columns: Columns
    label_names: tuple[str, ...] | None
    batch_size: int
    rule: LabelRule
    images: bool = True
    positions: frozenset[int] | None = None

    @property
    def schema(self) -> pa.Schema:
        """Returns `RECORD_SCHEMA`, `UNKNOWN_FIELD` if labels may be unknown one by one, and what is carried as text."""
        unknown = [UNKNOWN_FIELD] if self.rule.three_valued else []
        return pa.schema([*RECORD_SCHEMA, *unknown, *(pa.field(name, pa.string()) for name in self.columns.carry)])

    @cached_property
    def truth_reader(self) -> TruthReader:
        """Returns what reads the truth from the fields of records."""
        return TruthReader(self.rule, self.label_names)


class Record(NamedTuple):
    """Holds one record as its file has it.

    `id` is None if the file has none for it; `fields` has those of `LabelRule.fields` that the record has;
    `carried` are values in the order of `Columns.carry`; `class_names` are the file's own names of numbers in a field.
    """

    id: str | None
    source: str
    position: int
    fields: Mapping[str, Any]
    image: Encoded | None
    carried: tuple[str | None, ...]
    class_names: Mapping[str, Sequence[str]] = MappingProxyType({})


@dataclass(frozen=True)
class RecordTable:
    """Holds N records: their rows, of `Recipe.schema`, and their encoded images, None where there is none.

    Images are not a column of the table: Arrow would copy each one into it, and out of it again.
    """

    rows: pa.Table
    images: Sequence[Encoded | None]

    def __len__(self) -> int:
        """Returns the number of records, N."""
        return len(self.images)

    @cached_property
    def nbytes(self) -> int:
        """Returns the bytes of all images."""
        return sum(len(image) for image in self.images if image is not None)

    def slice(self, start: int, count: int) -> "RecordTable":
        """Returns `count` records from one on, or as many as there are."""
        return RecordTable(self.rows.slice(start, count), self.images[start : start + count])

    def filter(self, kept: Sequence[bool] | npt.NDArray[np.bool_]) -> "RecordTable":
        """Returns the records for which `kept` (N) is true."""
        return RecordTable(self.rows.filter(pa.array(kept)), list(compress(self.images, kept)))

    def take(self, rows: Sequence[int]) -> "RecordTable":
        """Returns copies of the records with these numbers, so that they do not keep the others in memory."""
        images = [self.images[row] for row in rows]
        return RecordTable(self.rows.take(rows), [None if image is None else bytes(image) for image in images])


class Reference(NamedTuple):
    """Holds a record whose image lies in another file, and the name that the data gives it."""

    record: Record
    name: str


class Reader(Protocol):
    """Reads one input format, whose files have names in which `file_pattern` is found."""

    file_pattern: re.Pattern[str]

    @property
    def id_fields(self) -> tuple[str, ...]:
        """Returns the names that fields of ids have in the format, the first that a record has being the one."""

    @property
    def label_fields(self) -> tuple[str, ...]:
        """Returns the names that fields of labels have in the format, the first that a record has being the one."""

    def recognises(self, head: bytes) -> bool:
        """Returns whether a file that starts with these 512 bytes (or is them, if shorter) is of this format."""

    def shards(self, listings: Sequence[Listing], columns: Columns) -> Inputs:
        """Returns the listed files and their shards; a file that cannot be used is a shard with a problem.

        Raises:
            UserError: if no file has a column of `columns.flags`, in formats whose files list their columns.
        """

    def records(self, shard: Shard, spec: ReadSpec) -> Iterator[Record | Reference | Unreadable]:
        """Yields each record of the shard once, in order, without reading the images that records name by paths.

        Raises:
            UserError: if the data cannot be read as `spec` says.
        """
