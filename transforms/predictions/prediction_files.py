"""Opens tables of predictions, Parquet or text: their columns, first rows, shards, and the rows of these."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.errors import RecordError, UserError
from bulklabel.model.labels.predictions import metadata_of
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File, unique_files
from bulklabel.transforms.files.planned_files import open_planned
from bulklabel.transforms.files.stores.path_names import MISSING
from bulklabel.transforms.predictions.probabilities import Column
from bulklabel.transforms.reading.arrow_values import values_of
from bulklabel.transforms.reading.class_names import class_names_of
from bulklabel.transforms.reading.records import MISSING_FILE, Shard
from bulklabel.transforms.reading.tables import csv_rows, json_rows
from bulklabel.transforms.reading.tables.csv_rows import CsvHeader
from bulklabel.transforms.reading.tables.packed import is_packed, unpacked
from bulklabel.transforms.reading.tables.row_ends import cut_rows
from bulklabel.transforms.truth.table_rows import reporting

PREDICTION_FILES = re.compile(r"\.(parquet|parq|pq|(csv|tsv|jsonl|ndjson)(\.gz)?)$", re.IGNORECASE)
"""Matches the names of tables of predictions in a folder."""

CSV = re.compile(r"\.[ct]sv(\.gz)?$", re.IGNORECASE)
JSON_LINES = re.compile(r"\.(jsonl|ndjson)(\.gz)?$", re.IGNORECASE)

HINTS = {
    ".json": "write an object a line, such as by jq -c '.[]', into a .jsonl",
    ".out": "give it the name .csv or .jsonl, and each row an id",
    ".tfrecord": "write its predictions as Parquet, with an id for each record",
    ".npz": "write arrays as Parquet, with an id for each record: pandas.DataFrame(p, index=ids, columns=labels)",
}
"""What to do with files of other kinds, by the end of their names."""

ALIKE = {".npy": ".npz", ".pkl": ".npz", ".pt": ".npz", ".pth": ".npz", ".h5": ".npz", ".tfrecords": ".tfrecord"}

SHARD_ROWS = 2**16
"""The rows of a shard; one of Parquet has more where a row group has."""

READ_BYTES = 2**20
"""A column of Parquet is read in pieces of this size, so that a huge row group is never in memory at once."""

FIRST_ROWS = 1000
"""The rows of a file that are looked at before anything is read."""


@dataclass(frozen=True)
class OpenedTable:
    """Holds what is seen of a table before it is read.

    Attributes:
        path: where it is.
        names: its columns.
        first: its first rows, without those that cannot be read.
        types: Arrow's types of the columns; empty if it is text.
        class_names: the names that it gives to the numbers in a column.
        labels: those that it names, in order, as parts of runs do.
        rows: how many there are, roughly.
    """

    path: str
    names: Sequence[str]
    first: Sequence[Mapping[str, Any]]
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    rows: int = 0


@dataclass(frozen=True)
class Rows:
    """Holds some rows of a table, the first of which is at `position`.

    `columns` are Arrow's, or lists of values; `errors` say which rows cannot be read: their values are None.
    """

    position: int
    count: int
    columns: Mapping[str, Column]
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    errors: Mapping[int, RecordError] = field(default_factory=dict)


def list_predictions(paths: Sequence[str]) -> list[File]:
    """Lists the tables that paths stand for, sorted.

    Raises:
        UserError: if there are none, or one is of a kind that has no rows, or a link that leads nowhere.
    """
    listed = unique_files([files.list_files(path, PREDICTION_FILES) for path in paths])
    for file in listed:
        if file.size == MISSING:
            raise UserError(f"{file.path}: {MISSING_FILE.detail}.")
        end = file.path.lower().removesuffix(".gz")
        end = end[end.rfind(".") :]
        hint = HINTS.get(ALIKE.get(end, end))
        if hint and not PREDICTION_FILES.search(file.path):
            raise UserError(f"--predictions {file.path} is no table of Parquet, CSV or JSON lines; {hint}.")
    return listed


def open_table(file: File) -> OpenedTable:
    """Returns what is seen of a table before it is read.

    Raises:
        UserError: if it cannot be read.
    """
    with _opened(file) as source:
        if is_text(file.path):
            header = csv_rows.read_header(source) if CSV.search(file.path) else None
            rows = csv_rows.read_rows(source, header) if header else json_rows.read_rows(source)
            first = [row for row in islice(rows, FIRST_ROWS) if not isinstance(row, RecordError)]
            names = list(header.names) if header else list(dict.fromkeys(name for row in first for name in row))
            length = max(1, source.tell() // max(1, len(first)))
            return OpenedTable(file.path, names, first, rows=file.size // length + len(first))
        parquet = pq.ParquetFile(source, buffer_size=READ_BYTES)
        schema = parquet.schema_arrow
        first = _first_rows(parquet)
    types = dict(zip(schema.names, schema.types, strict=True))
    labels = tuple(json.loads(metadata_of(schema).get("labels", "[]")))
    return OpenedTable(file.path, schema.names, first, types, class_names_of(schema), labels, parquet.metadata.num_rows)


def is_text(path: str) -> bool:
    """Returns whether a file is text, by its name; Parquet may have any other."""
    return bool(CSV.search(path) or JSON_LINES.search(path))


def shards_of(file: File) -> Iterator[Shard]:
    """Yields the shards of a table, each with an index of 0: row groups of Parquet, or whole rows of text.

    Raises:
        UserError: if it cannot be read.
    """
    with _opened(file) as source:
        if is_text(file.path):
            header = csv_rows.read_header(source) if CSV.search(file.path) else None
            if is_packed(file.path):
                yield Shard(0, file.path, source.tell(), None, 0, None, sources=(file,))
                return
            for piece in cut_rows(source, header, SHARD_ROWS):
                yield Shard(0, file.path, piece.start, piece.stop, piece.position, piece.rows, sources=(file,))
            return
        metadata = pq.ParquetFile(source).metadata
        first, position, rows = 0, 0, 0
        for group in range(metadata.num_row_groups):
            size = metadata.row_group(group).num_rows
            if rows and rows + size > SHARD_ROWS:
                yield Shard(0, file.path, first, group, position, rows, sources=(file,))
                first, position, rows = group, position + rows, 0
            rows += size
        if rows:
            yield Shard(0, file.path, first, metadata.num_row_groups, position, rows, sources=(file,))


def read_rows(shard: Shard, names: Sequence[str], most: int) -> Iterator[Rows]:
    """Yields the rows of a shard, at most so many at once, with some of their columns.

    Raises:
        SourceChangedError: if the table is not as it was listed.
        UserError: if it cannot be read.
    """
    with _opened(shard.sources[0]) as source:
        if is_text(shard.source):
            yield from _text_rows(source, shard, names, most)
            return
        parquet = pq.ParquetFile(source, buffer_size=READ_BYTES, page_checksum_verification=True)
        class_names = class_names_of(parquet.schema_arrow)
        position = shard.position
        groups = list(range(shard.start, shard.stop or shard.start))
        for batch in parquet.iter_batches(most, groups, list(dict.fromkeys(names))):
            yield Rows(position, len(batch), {name: batch.column(name) for name in names}, class_names)
            position += len(batch)


def _text_rows(source: BinaryIO, shard: Shard, names: Sequence[str], most: int) -> Iterator[Rows]:
    header: CsvHeader | None = csv_rows.read_header(source) if CSV.search(shard.source) else None
    source.seek(shard.start)
    rows = csv_rows.read_rows(source, header, shard.stop) if header else json_rows.read_rows(source, shard.stop)
    position = shard.position
    while batch := list(islice(rows, most)):
        errors = {number: row for number, row in enumerate(batch) if isinstance(row, RecordError)}
        good = [{} if isinstance(row, RecordError) else row for row in batch]
        yield Rows(position, len(batch), {name: [row.get(name) for row in good] for name in names}, errors=errors)
        position += len(batch)


def _first_rows(parquet: pq.ParquetFile) -> list[dict[str, Any]]:
    for batch in parquet.iter_batches(FIRST_ROWS):
        columns = [values_of(batch, name) for name in batch.schema.names]
        return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]
    return []


@contextmanager
def _opened(file: File) -> Iterator[BinaryIO]:
    """Opens a table as it was listed, and raises what is wrong with it as one line."""
    kind = "CSV" if CSV.search(file.path) else "JSON" if JSON_LINES.search(file.path) else "Parquet"
    with reporting(file.path, kind), open_planned(file.path, file) as opened, unpacked(file.path, opened) as source:
        yield source
