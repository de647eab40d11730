"""Reads records from Parquet files, whose shards are row groups, small neighbours packed together."""

import functools
import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.errors import RecordError, SourceChangedError, UserError, first_line
from bulklabel.transforms.files.listing import File, Listing, changed_words
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.files.planned_files import open_planned
from bulklabel.transforms.files.stores.path_names import MISSING
from bulklabel.transforms.reading.arrow_values import images_in, plain_type, python_values, values_of
from bulklabel.transforms.reading.class_names import class_names_of
from bulklabel.transforms.reading.record_tables import id_of, text_of
from bulklabel.transforms.reading.records import (
    MISSING_FILE,
    SHARD_RECORDS,
    TABLE_BYTES,
    Columns,
    Inputs,
    Problem,
    ReadSpec,
    Record,
    Reference,
    Shard,
    Unreadable,
)
from bulklabel.transforms.reading.table_columns import (
    ID_COLUMN,
    LABEL_COLUMNS,
    Table,
    duplicate_column,
    image_column,
    label_columns,
    shards_of_tables,
)

REJECTED_SHARD_RECORDS = 2**16
"""The records of a file that cannot be used are rejected in shards of at most so many."""

PIECE_ROWS = 2**16
"""Rows of a large row group of paths that are read at once, most of them to be passed over."""

READ_BYTES = 2**20
"""A column is read in pieces of this size, so that a huge row group is never in memory at once."""


FOOTER_BYTES = 2**16
"""Bytes at the end of a file that are read first: most footers are in them."""

MAGIC = b"PAR1"

log = logging.getLogger("bulklabel")


class ParquetReader:
    """Reads Parquet files that have a column of images, as a `records.Reader`."""

    file_pattern = re.compile(r"\.(parquet|parq|pq)$", re.IGNORECASE)
    id_fields: tuple[str, ...] = (ID_COLUMN,)
    label_fields: tuple[str, ...] = LABEL_COLUMNS

    def recognises(self, head: bytes) -> bool:
        """Returns whether a file starts with the magic number of Parquet."""
        return head.startswith(b"PAR1")

    def shards(self, listings: Sequence[Listing], columns: Columns) -> Inputs:
        """Returns the files and their shards, for which only the footers are read.

        Raises:
            UserError: if no file has a column of `columns.flags`.
        """
        inputs, known_names, missing = shards_of_tables(listings, columns, _open_table)
        for name, flag in missing.items():
            where, shown = inputs.files[0].path, ", ".join(sorted(known_names)) or "none"
            raise UserError(f"{flag} {name}: no such column in {where}, only {shown}; name one of those.")
        return inputs

    def records(self, shard: Shard, spec: ReadSpec) -> Iterator[Record | Reference | Unreadable]:
        """Yields the shard's records; from damage to the end of a row group they are unreadable."""
        with open_planned(shard.source, shard.planned.get(shard.source)) as source:
            parquet = _open(source, shard)
            class_names = class_names_of(parquet.schema_arrow)
            image = image_column(parquet.schema_arrow.names, spec.columns.image)
            sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.metadata.num_row_groups)]
            _check_groups(sizes, shard)
            groups = range(shard.start, shard.stop or shard.start)
            stop = shard.position + (shard.records or 0)
            # A shard that is a piece of a row group starts behind other rows of it.
            is_piece = sum(sizes[group] for group in groups) > (shard.records or 0)
            position = sum(sizes[: shard.start]) if is_piece else shard.position
            for group in groups:
                end = position + sizes[group]
                problem = Problem("damaged_file", f"row group {group} has fewer records than the footer says")
                try:
                    for batch in _batches(parquet, group, PIECE_ROWS if is_piece else spec.batch_size, spec):
                        before = max(0, shard.position - position)
                        wanted = (
                            batch.slice(before, max(0, stop - position - before)) if before < len(batch) else batch[:0]
                        )
                        yield from _records_of(wanted, image, shard.source, position + before, spec, class_names)
                        position += len(batch)
                        if position >= stop:
                            break
                except Exception as error:
                    raise_if_store_failed(error)
                    problem = Problem("damaged_file", f"row group {group} cannot be read ({first_line(error)})")
                missing = range(max(position, shard.position), min(end, stop))
                if missing:
                    yield Unreadable(shard.source, missing, problem)
                position = end


def _open(source: BinaryIO, shard: Shard) -> pq.ParquetFile:
    """Opens the file of a shard, whose footer must be the one that was planned, whatever is known of its version.

    Raises:
        SourceChangedError: if it is not.
    """
    planned = shard.planned.get(shard.source)
    footer = _read_footer(source)
    if planned and planned.footer and planned.footer != _hash_of(footer):
        raise SourceChangedError(changed_words(shard.source))
    metadata = pq.read_metadata(pa.BufferReader(footer)) if footer else None
    return pq.ParquetFile(source, metadata=metadata, buffer_size=READ_BYTES, page_checksum_verification=True)


def _read_footer(source: BinaryIO) -> bytes:
    """Returns the footer of a Parquet file, with its length and the magic number behind it; empty if it has none.

    It is read as pyarrow reads it, which then need not do so again.
    """
    size = source.seek(0, os.SEEK_END)
    source.seek(max(0, size - FOOTER_BYTES))
    end = source.read()
    length = int.from_bytes(end[-8:-4], "little") + 8
    if not end.endswith(MAGIC) or length > size:
        return b""
    if length > len(end):
        source.seek(size - length)
        end = source.read(length)
    return end[-length:]


def _hash_of(footer: bytes) -> str:
    return hashlib.blake2b(footer, digest_size=16).hexdigest()


def _open_table(file: File, columns: Columns) -> Table:
    """Returns the shards of one file, and the names of its columns."""
    if file.size == MISSING:
        return Table(file, [Shard.unreadable(file.path, MISSING_FILE)])
    try:
        with open_planned(file.path, file) as source:
            footer = _read_footer(source)
            parquet = pq.ParquetFile(pa.BufferReader(footer) if footer else source)
            metadata, schema = parquet.metadata, parquet.schema_arrow
            groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
            sizes = [group.num_rows for group in groups]
    except Exception as error:
        raise_if_store_failed(error)
        problem = Problem("damaged_file", f"not a Parquet file ({first_line(error)}); take it out of --input")
        return Table(file, [Shard.unreadable(file.path, problem)])
    file = replace(file, footer=_hash_of(footer))
    known_names = _shared(tuple(schema.names))
    # More records than the file has bytes are a damaged footer's, and each would become a rejected record.
    if not all(0 <= size <= file.size for size in sizes):
        problem = Problem("damaged_file", f"its footer claims {sum(sizes):,} records in {file.size:,} bytes")
        return Table(file, [Shard.unreadable(file.path, problem)], known_names)
    unusable = problem_of(schema, columns)
    if unusable:
        starts = range(0, sum(sizes), REJECTED_SHARD_RECORDS)
        sizes = [min(REJECTED_SHARD_RECORDS, sum(sizes) - start) for start in starts]
        pieces = zip(starts, sizes, strict=True)
        unreadable = [Shard(0, file.path, 0, 0, start, size, problem=unusable) for start, size in pieces]
        return Table(file, unreadable, known_names)
    image = schema.field(image_column(schema.names, columns.image))
    shards = _pack([(group.num_rows, _named_images(group, image)) for group in groups], file.path)
    return Table(file, shards, known_names)


@functools.lru_cache
def _shared(names: tuple[str, ...]) -> frozenset[str]:
    """Returns names as one set for all files that have the same, of which there may be a million."""
    return frozenset(names)


def _named_images(group: pq.RowGroupMetaData, image: pa.Field) -> int | None:
    """Returns how many images of a row group are not in it, but named by their paths, or null; None if nobody knows."""
    kind = plain_type(image.type)
    if pa.types.is_string(kind):
        return int(group.num_rows)
    if not (pa.types.is_struct(kind) and "path" in kind.names):
        return 0
    chunks = (group.column(index) for index in range(group.num_columns))
    statistics = next((chunk.statistics for chunk in chunks if chunk.path_in_schema == f"{image.name}.bytes"), None)
    return int(statistics.null_count) if statistics is not None and statistics.has_null_count else None


def _pack(groups: Sequence[tuple[int, int | None]], path: str) -> list[Shard]:
    """Returns shards of row groups of some numbers of records, so many of which name their images by paths.

    Neighbours of up to `SHARD_RECORDS` are one shard. A larger row group is cut if it holds none of its images: it is
    small, and its images are many files. The last piece of it is left alone.
    """
    shards: list[Shard] = []
    position = 0
    is_piece = False
    for group, (size, named) in enumerate(groups):
        by_path = named != 0
        if shards and not is_piece and (shards[-1].records or 0) + size <= SHARD_RECORDS:
            last = shards.pop()
            records, by_path = (last.records or 0) + size, last.by_path or by_path
            shards.append(replace(last, stop=group + 1, records=records, by_path=by_path))
        else:
            step = SHARD_RECORDS if named == size else size
            shards += [
                Shard(0, path, group, group + 1, position + first, min(step, size - first), by_path=by_path)
                for first in range(0, size, step or 1)
            ]
            is_piece = 0 < step < size
        position += size
    return shards


def _check_groups(sizes: Sequence[int], shard: Shard) -> None:
    """Checks that a shard's row groups have as many records as were planned, whatever is known of the file's version.

    A piece of a row group must be a piece of what is there: places say which.

    Raises:
        SourceChangedError: if they have not.
    """
    first, last = sum(sizes[: shard.start]), sum(sizes[: shard.stop])
    stop = shard.position + (shard.records or 0)
    whole = (first, last) == (shard.position, stop)
    piece = shard.stop == shard.start + 1 and first <= shard.position and stop <= last
    if not (whole or piece) or len(sizes) < (shard.stop or 0):
        raise SourceChangedError(changed_words(shard.source))


def _batches(parquet: pq.ParquetFile, group: int, most: int, spec: ReadSpec) -> Iterator[pa.RecordBatch]:
    """Yields the wanted columns of a row group, so few rows at once that they stay near `TABLE_BYTES`."""
    columns = spec.columns
    image = image_column(parquet.schema_arrow.names, columns.image)
    # A path is small, and the id where there is no other.
    read_image = spec.images or pa.types.is_string(plain_type(parquet.schema_arrow.field(image).type))
    wanted = (
        *columns.id_names(ParquetReader.id_fields),
        *([image] if read_image else []),
        *spec.rule.fields,
        *columns.carry,
    )
    present = [name for name in dict.fromkeys(wanted) if name in parquet.schema_arrow.names]
    metadata = parquet.metadata.row_group(group)
    row_bytes = max(1, metadata.total_byte_size // max(1, metadata.num_rows))
    yield from parquet.iter_batches(max(1, min(most, TABLE_BYTES // row_bytes)), [group], present)


def _records_of(
    batch: pa.RecordBatch,
    image: str,
    source: str,
    position: int,
    spec: ReadSpec,
    class_names: Mapping[str, Sequence[str]],
) -> Iterator[Record | Reference | Unreadable]:
    """Yields the records of a batch, the first of which has the given position."""
    columns = spec.columns
    label_fields = [name for name in spec.rule.fields if name in batch.schema.names]
    texts = [_carried(batch, name, source) for name in columns.carry]
    rows = zip(
        values_of(batch, next(iter(columns.id_names(ParquetReader.id_fields)), None)),
        _images_of(batch, image),
        zip(*(values_of(batch, name) for name in label_fields), strict=True) if label_fields else [()] * len(batch),
        zip(*texts, strict=True) if texts else [()] * len(batch),
        strict=True,
    )
    for row_position, (row_id, value, labels, carried) in enumerate(rows, position):
        record_id = id_of(row_id)
        content, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
        if isinstance(content, str):  # a column of paths
            content, path = None, content
            record_id = path if record_id is None else record_id
        fields = dict(zip(label_fields, labels, strict=True))
        values = tuple(map(text_of, carried))
        record = Record(record_id, source, row_position, fields, content, values, class_names)
        yield Reference(record, path) if spec.images and content is None and path is not None else record


def _images_of(batch: pa.RecordBatch, name: str) -> list[Any]:
    """Returns the values of the column of images, nulls if it was not read; they may be paths, or structs of both."""
    return _image_values(batch.column(name)) if name in batch.schema.names else [None] * len(batch)


def _image_values(column: pa.Array) -> list[Any]:
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return images_in(column)
    if pa.types.is_struct(column.type):
        rows = zip(*map(_image_values, column.flatten()), strict=True)
        return [dict(zip(column.type.names, row, strict=True)) for row in rows]
    return python_values(column)


def _carried(batch: pa.RecordBatch, name: str, source: str) -> list[Any]:
    """Returns a carried column's values, nulls and a warning if Python has none: no record is rejected for these."""
    try:
        return values_of(batch, name)
    except (ValueError, OverflowError, pa.ArrowException) as error:
        _warn(f"--carry {name}: {source} has values of it that cannot be text ({first_line(error)}); they are null.")
        return [None] * len(batch)


@functools.lru_cache(maxsize=1024)
def _warn(warning: str) -> None:
    """Logs a warning, once a process."""
    log.warning(warning)


def problem_of(schema: pa.Schema, columns: Columns) -> Problem | None:
    """Returns why no record of a file with this schema can be used, and the fix; None if they can be.

    Only the image column must exist.

    >>> problem_of(pa.schema({"jpg": pa.binary()}), Columns()).reason
    'missing_column'
    >>> problem_of(pa.schema({"image": pa.binary()}), Columns())
    """
    try:
        image_name = image_column(schema.names, columns.image)
    except RecordError as error:
        return Problem(error.reason, error.detail)
    id_name = columns.id or ID_COLUMN
    problem = duplicate_column(schema.names, (id_name, image_name, *label_columns(columns), *columns.carry))
    if problem:
        return problem
    kind = schema.field(image_name).type
    if not _may_be_image(plain_type(kind)):
        expected = "expected binary, a struct of bytes and path, or strings that are paths"
        return Problem("wrong_type", f"column {image_name!r} is {kind}; {expected}")
    if id_name in schema.names and pa.types.is_nested(plain_type(schema.field(id_name).type)):
        return Problem("wrong_type", f"column {id_name!r} is {schema.field(id_name).type}; expected string or int")
    return None


def _may_be_image(kind: pa.DataType) -> bool:
    """Returns whether a column of a plain type holds images, their paths, or structs of both."""
    if pa.types.is_struct(kind):
        known = len(set(kind.names)) == len(kind.names) and "bytes" in kind.names
        return known and bool(
            pa.types.is_binary(kind.field("bytes").type) or pa.types.is_null(kind.field("bytes").type)
        )
    return bool(pa.types.is_binary(kind) or pa.types.is_string(kind) or pa.types.is_null(kind))
