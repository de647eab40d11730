"""Opens tables of predictions, Parquet or text: their columns, first rows, shards, and the rows of these."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
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
from bulklabel.transforms.reading.tables.packed import is_packed, unpacked
from bulklabel.transforms.reading.tables.row_ends import cut_rows
from bulklabel.transforms.reading.tables.table_reader import CSV, text_rows
from bulklabel.transforms.truth.table_rows import reporting

PREDICTION_FILES = re.compile(r"\.(parquet|parq|pq|([ct]sv|(jsonl|ndjson)(\.out)?)(\.gz)?)$", re.IGNORECASE)
"""Matches the names of tables of predictions in a folder."""

JSON_LINES = re.compile(r"\.(jsonl|ndjson)(\.out)?(\.gz)?$", re.IGNORECASE)
"""SageMaker adds `.out` to the names of what it reads."""

HINTS = {
    ".json": "write an object a line, such as by jq -c '.[]', into a .jsonl",
    ".out": "if it is CSV give it a header and the name .csv, if it has an object a line the name .jsonl",
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
        inner: what objects in these hold, each named like `prediction.scores`.
        first: its first rows, without those that cannot be read; with what objects in them hold.
        types: Arrow's types of the columns; empty if it is text.
        class_names: the names that it gives to the numbers in a column.
        labels: those that it names, in order, as parts of runs do.
        rows: how many there are, roughly.
    """

    path: str
    names: Sequence[str]
    inner: Sequence[str]
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


def list_predictions(paths: Sequence[str], output: str) -> list[File]:
    """Lists the tables that paths stand for, sorted, without those below the output, which an evaluation has written.

    Raises:
        UserError: if there are none, or one is of a kind that has no rows, or a link that leads nowhere.
    """
    below = files.real(f"{output}/")
    listings = [files.list_files(path, PREDICTION_FILES) for path in paths]
    listed = unique_files([each.without(lambda path: files.real(path).startswith(below)) for each in listings])
    for file in listed:
        if file.size == MISSING:
            raise UserError(f"{file.path}: {MISSING_FILE.detail}.")
        end = file.path.lower().removesuffix(".gz")
        end = end[end.rfind(".") :]
        hint = HINTS.get(ALIKE.get(end, end))
        if hint and not PREDICTION_FILES.search(file.path):
            raise UserError(f"--predictions {file.path} is not a table in Parquet, CSV or JSON lines; {hint}.")
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
            inside = [dict(inner_cells(row)) for row in first]
            inner = list(dict.fromkeys(name for cells in inside for name in cells))
            first = [{**cells, **row} for cells, row in zip(inside, first, strict=True)]
            return OpenedTable(file.path, names, inner, first, rows=file.size // length + len(first))
        parquet = pq.ParquetFile(source, buffer_size=READ_BYTES)
        schema = parquet.schema_arrow
        first = _first_rows(parquet)
    in_structs = dict(inner_types(pa.struct(list(schema))))
    types = {**in_structs, **dict(zip(schema.names, schema.types, strict=True))}
    labels = tuple(json.loads(metadata_of(schema).get("labels", "[]")))
    rows = parquet.metadata.num_rows
    return OpenedTable(file.path, schema.names, [*in_structs], first, types, class_names_of(schema), labels, rows)


def inner_cells(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields what the objects in a row hold, under names like `prediction.scores`.

    >>> dict(inner_cells({"id": 1, "prediction": {"scores": [0.5], "model": {"version": 2}}}))
    {'prediction.scores': [0.5], 'prediction.model': {'version': 2}, 'prediction.model.version': 2}
    """
    for name, value in row.items():
        if isinstance(value, Mapping):
            for inner, cell in (*value.items(), *inner_cells(value)):
                yield f"{name}.{inner}", cell


def inner_types(kind: pa.StructType) -> Iterator[tuple[str, pa.DataType]]:
    """Yields the types of what structs in columns hold, under names as `inner_cells` has them.

    >>> [name for name, _ in inner_types(pa.struct({"probability": pa.struct({"values": pa.list_(pa.float64())})}))]
    ['probability.values']
    """
    for column in kind:
        if pa.types.is_struct(column.type):
            fields = ((inner.name, inner.type) for inner in column.type)
            for name, inside in (*fields, *inner_types(column.type)):
                yield f"{column.name}.{name}", inside


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
            yield Rows(position, len(batch), {name: _column(batch, name) for name in names}, class_names)
            position += len(batch)


def _text_rows(source: BinaryIO, shard: Shard, names: Sequence[str], most: int) -> Iterator[Rows]:
    rows, position, nested = text_rows(source, shard), shard.position, any("." in name for name in names)
    while batch := list(islice(rows, most)):
        errors = {number: row for number, row in enumerate(batch) if isinstance(row, RecordError)}
        good = [{} if isinstance(row, RecordError) else _with_inner(row) if nested else row for row in batch]
        yield Rows(position, len(batch), {name: [row.get(name) for row in good] for name in names}, errors=errors)
        position += len(batch)


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Returns a column, or what its structs hold."""
    if name in batch.schema.names:
        return batch.column(name)
    outer = next(each for each in batch.schema.names if name.startswith(f"{each}."))
    return pc.struct_field(batch.column(outer), name.removeprefix(f"{outer}.").split("."))


def _with_inner(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a row with what the objects in it hold, too."""
    return {**dict(inner_cells(row)), **row}


def _first_rows(parquet: pq.ParquetFile) -> list[dict[str, Any]]:
    for batch in parquet.iter_batches(FIRST_ROWS):
        columns = [values_of(batch, name) for name in batch.schema.names]
        rows = [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]
        return [_with_inner(row) for row in rows]
    return []


@contextmanager
def _opened(file: File) -> Iterator[BinaryIO]:
    """Opens a table as it was listed, and raises what is wrong with it as one line."""
    kind = "CSV" if CSV.search(file.path) else "JSON" if JSON_LINES.search(file.path) else "Parquet"
    with (
        reporting(file.path, kind, "ids and probabilities"),
        open_planned(file.path, file) as opened,
        unpacked(file.path, opened) as source,
    ):
        yield source
