"""Reads records from Parquet files, whose shards are row groups, small neighbours packed together."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.errors import RecordError, UserError, first_line
from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File, Listing, unique_files
from bulklabel.transforms.files.paths import path_below, raise_if_store_failed
from bulklabel.transforms.reading.record_tables import Record, content_of, tables, text_of, truth_of, unreadable
from bulklabel.transforms.reading.records import (
    SHARD_RECORDS,
    TABLE_BYTES,
    Columns,
    Inputs,
    Problem,
    ReadSpec,
    Shard,
    Unreadable,
)

ID_COLUMN, IMAGE_COLUMN, LABELS_COLUMN = "id", "image", "labels"
"""The names that columns have unless the user gives others."""

REJECTED_SHARD_RECORDS = 2**16
"""The records of a file that cannot be used are rejected in shards of at most so many."""

READ_BYTES = 2**20
"""A column is read in pieces of this size, so that a huge row group is never in memory at once."""


class ParquetReader:
    """Reads Parquet files that have a column of images, as a `records.Reader`."""

    file_pattern = re.compile(r"\.(parquet|parq|pq)$", re.IGNORECASE)

    def recognises(self, head: bytes) -> bool:
        """Returns whether a file starts with the magic number of Parquet."""
        return head.startswith(b"PAR1")

    def shards(self, listings: Sequence[Listing], columns: Columns) -> Inputs:
        """Returns the files and their shards, for which only the footers are read.

        Raises:
            UserError: if no file has a column of `columns.flags`.
        """
        inputs = unique_files(listings)
        known_names: set[str] = set()
        shards: list[Shard] = []
        for file_shards, names in map_in_threads(lambda file: _shards_of(file, columns), inputs):
            shards += file_shards
            known_names |= names
        for name, flag in columns.flags.items():
            if name not in known_names:
                raise UserError(f"{flag} {name}: no such column in {inputs[0].path}; name one that is there.")
        return Inputs(tuple(inputs), tuple(shards))

    def read(self, shard: Shard, spec: ReadSpec) -> Iterator[pa.Table | Unreadable]:
        """Yields tables of the shard's row groups; from damage to the end of one its records are unreadable."""
        return tables(_records(shard, spec), spec)


def _shards_of(file: File, columns: Columns) -> tuple[list[Shard], set[str]]:
    """Returns the shards of one file, and which names of `columns.flags` its columns have."""
    try:
        with files.open_file(file.path) as source:
            metadata = pq.ParquetFile(source).metadata
            schema = metadata.schema.to_arrow_schema()
            sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    except Exception as error:
        raise_if_store_failed(error)
        problem = Problem("damaged_file", f"not a Parquet file ({first_line(error)}); take it out of --input")
        return [Shard.unreadable(file.path, problem)], set()
    known_names = columns.flags.keys() & set(schema.names)
    # More records than the file has bytes are a damaged footer's, and each would become a rejected record.
    if not all(0 <= size <= file.size for size in sizes):
        problem = Problem("damaged_file", f"its footer claims {sum(sizes):,} records in {file.size:,} bytes")
        return [Shard.unreadable(file.path, problem)], known_names
    label_columns = (columns.labels or LABELS_COLUMN, *_unknown(columns))
    unusable = problem_of(schema, columns.id or ID_COLUMN, columns.image or IMAGE_COLUMN, label_columns, columns.carry)
    if unusable:
        starts = range(0, sum(sizes), REJECTED_SHARD_RECORDS)
        sizes = [min(REJECTED_SHARD_RECORDS, sum(sizes) - start) for start in starts]
        return [
            Shard(0, file.path, 0, 0, start, size, problem=unusable) for start, size in zip(starts, sizes, strict=True)
        ], known_names
    return _pack(sizes, file.path), known_names


def _unknown(columns: Columns) -> tuple[str, ...]:
    """Returns the name of the column of unknown labels, or nothing if the user gives none."""
    return (columns.unknown,) if columns.unknown else ()


def _pack(sizes: Sequence[int], path: str) -> list[Shard]:
    """Returns shards of row groups of these numbers of records; neighbours of up to `SHARD_RECORDS` are one shard."""
    shards: list[Shard] = []
    position = 0
    for group, size in enumerate(sizes):
        if shards and (shards[-1].records or 0) + size <= SHARD_RECORDS:
            last = shards.pop()
            shards.append(replace(last, stop=group + 1, records=(last.records or 0) + size))
        else:
            shards.append(Shard(0, path, group, group + 1, position, size))
        position += size
    return shards


def _records(shard: Shard, spec: ReadSpec) -> Iterator[Record | Unreadable]:
    """Yields the shard's records; after damage it goes on with the next row group, whose place the footer gives."""
    position = shard.position
    with files.open_file(shard.source) as source:
        parquet = pq.ParquetFile(source, buffer_size=READ_BYTES, page_checksum_verification=True)
        for group in range(shard.start, shard.stop or shard.start):
            end = position + parquet.metadata.row_group(group).num_rows
            problem = Problem("damaged_file", f"row group {group} has fewer records than the footer says")
            try:
                for batch in _batches(parquet, group, spec):
                    yield from _records_of(batch, shard.source, position, spec)
                    position += len(batch)
            except Exception as error:
                raise_if_store_failed(error)
                problem = Problem("damaged_file", f"row group {group} cannot be read ({first_line(error)})")
            if position < end:
                yield Unreadable(shard.source, range(position, end), problem)
            position = end


def _batches(parquet: pq.ParquetFile, group: int, spec: ReadSpec) -> Iterator[pa.RecordBatch]:
    """Yields the wanted columns of a row group, so few rows at once that they stay near `TABLE_BYTES`."""
    columns = spec.columns
    wanted = (
        columns.id or ID_COLUMN,
        columns.image or IMAGE_COLUMN,
        columns.labels or LABELS_COLUMN,
        *_unknown(columns),
        *columns.carry,
    )
    present = [name for name in dict.fromkeys(wanted) if name in parquet.schema_arrow.names]
    metadata = parquet.metadata.row_group(group)
    row_bytes = max(1, metadata.total_byte_size // max(1, metadata.num_rows))
    rows = max(1, min(spec.batch_size, TABLE_BYTES // row_bytes))
    yield from parquet.iter_batches(rows, [group], present)


def _records_of(batch: pa.RecordBatch, source: str, position: int, spec: ReadSpec) -> Iterator[Record | Unreadable]:
    """Yields the records of a batch, the first of which has the given position."""
    columns = spec.columns
    rows = zip(
        values_of(batch, columns.id or ID_COLUMN),
        values_of(batch, columns.image or IMAGE_COLUMN),
        values_of(batch, columns.labels or LABELS_COLUMN),
        values_of(batch, columns.unknown),
        *(values_of(batch, name) for name in columns.carry),
        strict=True,
    )
    for row_position, (row_id, image, labels, unknown, *carried) in enumerate(rows, position):
        record_id = text_of(row_id)
        try:
            truth = truth_of(labels, unknown, spec.label_names)
            content = _referenced(image, source) if isinstance(image, dict) else image
        except RecordError as error:
            yield unreadable(source, row_position, error, record_id)
        else:
            yield Record(record_id, source, row_position, *truth, content, tuple(map(text_of, carried)))


def values_of(batch: pa.RecordBatch, name: str | None) -> list[Any]:
    r"""Returns a column's values, nulls if there is no such column; bytes in text that are not UTF-8 become `\x..`.

    >>> batch = pa.record_batch({"labels": [["cat"], None]})
    >>> values_of(batch, "labels"), values_of(batch, "id")
    ([['cat'], None], [None, None])
    """
    if name not in batch.schema.names:
        return [None] * len(batch)
    return _python_values(batch.column(name))


def _python_values(column: pa.Array) -> list[Any]:
    """Returns the values of a column as Python has them; times as text, since Python's have no nanoseconds."""
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.string())
    if pa.types.is_struct(column.type):
        names = [field.name for field in column.type]
        rows = zip(*map(_python_values, column.flatten()), strict=True) if names else ((),) * len(column)
        valid = column.is_valid().to_pylist()
        return [
            dict(zip(names, row, strict=True)) if is_valid else None for row, is_valid in zip(rows, valid, strict=True)
        ]
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        nested = pa.types.is_nested(column.type)
        values = column.cast(pa.list_(pa.binary()) if nested else pa.binary()).to_pylist()
        return [None if row is None else list(map(text_of, row)) if nested else text_of(row) for row in values]
    return values


def _referenced(image: dict[str, Any], source: str) -> bytes | None:
    """Returns the bytes of an image in the form of Hugging Face's data sets: in place, or in a file beside this one.

    Raises:
        RecordError: if the path leads out of the file's folder, or to no file.
    """
    content: bytes | None = image.get("bytes")
    path = image.get("path")
    if content is not None or path is None:
        return content
    image_path = path_below(source.rpartition("/")[0], path)
    return content_of(next(files.read_many([image_path])))


def problem_of(
    schema: pa.Schema, id_name: str, image_name: str, labels_names: tuple[str, ...], carry: tuple[str, ...]
) -> Problem | None:
    """Returns why no record of a file with this schema can be used, and the fix; None if they can be.

    `labels_names` are the columns of lists of labels, present or unknown. Only the image column must exist.

    >>> problem_of(pa.schema({"jpg": pa.binary()}), "id", "image", ("labels",), ()).reason
    'missing_column'
    >>> problem_of(pa.schema({"image": pa.binary()}), "id", "image", ("labels",), ())
    """
    for name in (id_name, image_name, *labels_names, *carry):
        if schema.names.count(name) > 1:
            return Problem("duplicate_column", f"the file has {schema.names.count(name)} columns named {name!r}")
    if image_name not in schema.names:
        return Problem(
            "missing_column",
            f"no column {image_name!r}, only {', '.join(schema.names) or 'none'}; "
            "name the one with the images by --image_column",
        )
    kind = schema.field(image_name).type
    if not _is_image(kind):
        return Problem("wrong_type", f"column {image_name!r} is {kind}; expected binary, or a struct of bytes and path")
    for problem in filter(None, (labels_problem(schema, name) for name in labels_names)):
        return Problem("wrong_type", problem)
    if id_name in schema.names and pa.types.is_nested(schema.field(id_name).type):
        return Problem("wrong_type", f"column {id_name!r} is {schema.field(id_name).type}; expected string or int")
    return None


def labels_problem(schema: pa.Schema, name: str) -> str | None:
    """Returns why a column cannot hold labels; None if it can, or if there is no such column.

    >>> labels_problem(pa.schema({"labels": pa.string()}), "labels")
    "column 'labels' is string; expected list<string> or list<int>"
    >>> labels_problem(pa.schema({"labels": pa.list_(pa.string())}), "labels")
    """
    kind = schema.field(name).type if name in schema.names else pa.null()
    if pa.types.is_null(kind) or (_is_list(kind) and _is_label(kind.value_type)):
        return None
    return f"column {name!r} is {kind}; expected list<string> or list<int>"


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return "bytes" in kind.names and _is_image(kind.field("bytes").type) and len(set(kind.names)) == len(kind.names)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_label(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_null(kind)
    )
