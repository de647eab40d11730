"""Reads CSV and JSON lines with a column of paths or URIs of images, as records."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO

from bulklabel.model.errors import RecordError, UserError, first_line
from bulklabel.transforms.files.listing import File, Listing
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.files.planned_files import open_planned
from bulklabel.transforms.files.stores.path_names import MISSING
from bulklabel.transforms.reading.image_metadata import describe
from bulklabel.transforms.reading.record_tables import unreadable
from bulklabel.transforms.reading.records import (
    MISSING_FILE,
    SHARD_RECORDS,
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
from bulklabel.transforms.reading.tables import csv_rows, json_rows
from bulklabel.transforms.reading.tables.csv_rows import Row
from bulklabel.transforms.reading.tables.packed import is_packed, unpacked
from bulklabel.transforms.reading.tables.row_ends import cut_rows

CSV = re.compile(r"\.[ct]sv(\.gz)?$", re.IGNORECASE)

FIRST_ROWS = 1000
"""The rows of JSON lines that are looked at for the names of columns."""


class TableReader:
    """Reads CSV, TSV and JSON lines, plain or gzip."""

    file_pattern = re.compile(r"\.(csv|tsv|jsonl|ndjson)(\.gz)?$", re.IGNORECASE)
    id_fields: tuple[str, ...] = (ID_COLUMN,)
    label_fields: tuple[str, ...] = LABEL_COLUMNS

    def recognises(self, head: bytes) -> bool:  # noqa: ARG002
        """Returns False: text may be anything."""
        return False

    def shards(self, listings: Sequence[Listing], columns: Columns) -> Inputs:
        """Returns the files and their shards, which are runs of whole rows; a file that is gzip is one.

        Raises:
            UserError: if no file has a column of `columns.flags`.
        """
        inputs, known_names, missing = shards_of_tables(listings, columns, _open_table)
        for name, flag in missing.items():
            if known_names:
                where, shown = inputs.files[0].path, ", ".join(sorted(known_names))
                raise UserError(f"{flag} {name}: no such column in {where}, only {shown}; name one of those.")
        return inputs

    def records(self, shard: Shard, spec: ReadSpec) -> Iterator[Record | Reference | Unreadable]:
        """Yields the shard's rows, or why they cannot be read."""
        position = shard.position
        stop = None if shard.records is None else position + shard.records
        try:
            with _opened(shard.source, shard.planned.get(shard.source)) as source:
                for row in text_rows(source, shard):
                    if position == stop:
                        break
                    yield _record(row, shard.source, position, spec)
                    position += 1
        except Exception as error:
            raise_if_store_failed(error)
            problem = Problem("damaged_file", f"the file cannot be read further ({first_line(error)})")
            yield Unreadable(shard.source, range(position, stop or position + 1), problem)
            return
        if stop is not None and position < stop:
            problem = Problem("damaged_file", "the file has fewer rows than when the run was planned")
            yield Unreadable(shard.source, range(position, stop), problem)


def _open_table(file: File, columns: Columns) -> Table:
    """Returns the shards of one file, and the names of its columns."""
    if file.size == MISSING:
        return Table(file, [Shard.unreadable(file.path, MISSING_FILE)])
    try:
        with _opened(file.path, file) as source:
            header = csv_rows.read_header(source) if CSV.search(file.path) else None
            names = list(header.names) if header else _first_names(source)
            image = _image_column(names, columns, in_csv=header is not None)
            problem = duplicate_column(names, (image, columns.id, *label_columns(columns), *columns.carry))
            if problem:
                return Table(file, [Shard.unreadable(file.path, problem)])
            if is_packed(file.path):
                return Table(file, [Shard(0, file.path, 0, None, 0, None, by_path=True)], set(names))
            pieces = list(cut_rows(source, header, SHARD_RECORDS))
    except RecordError as error:
        return Table(file, [Shard.unreadable(file.path, Problem(error.reason, error.detail))])
    except Exception as error:
        raise_if_store_failed(error)
        detail = f"it cannot be read ({first_line(error)}); take it out of --input"
        return Table(file, [Shard.unreadable(file.path, Problem("damaged_file", detail))])
    shards = [
        Shard(0, file.path, piece.start, piece.stop, piece.position, piece.rows, by_path=True) for piece in pieces
    ]
    return Table(file, shards, set(names))


def _image_column(names: Sequence[str], columns: Columns, in_csv: bool) -> str:
    try:
        return image_column(names, columns.image)
    except RecordError as error:
        raise RecordError("read", error.reason, error.detail + " (CSV must have a header)" * in_csv) from error


def _first_names(source: BinaryIO) -> list[str]:
    """Returns the names in the first rows of JSON lines, and leaves the source at its start."""
    rows = islice(json_rows.read_rows(source), FIRST_ROWS)
    names = list(dict.fromkeys(name for row in rows if not isinstance(row, RecordError) for name in row))
    source.seek(0)
    return names


@contextmanager
def _opened(path: str, planned: File | None) -> Iterator[BinaryIO]:
    """Opens a table as it was planned."""
    with open_planned(path, planned) as opened, unpacked(path, opened) as source:
        yield source


def text_rows(source: BinaryIO, shard: Shard) -> Iterator[Row | RecordError]:
    """Yields the rows of a shard of text, by their names, and errors in place of those that cannot be read."""
    if CSV.search(shard.source):
        header = csv_rows.read_header(source)
        source.seek(max(shard.start, header.end))
        yield from csv_rows.read_rows(source, header, shard.stop)
    else:
        source.seek(shard.start)
        yield from json_rows.read_rows(source, shard.stop)


def _record(row: Row | RecordError, source: str, position: int, spec: ReadSpec) -> Record | Reference | Unreadable:
    record_id: str | None = None
    try:
        if isinstance(row, RecordError):
            raise row
        description = describe(row, spec.columns, spec.rule.fields)
        record_id = description.id
        name = _name_of(row, spec.columns)
    except RecordError as error:
        return unreadable(source, position, error, record_id)
    record_id = name if record_id is None else record_id
    record = Record(record_id, source, position, description.fields, None, description.carried)
    return Reference(record, name) if name is not None and spec.images else record


def _name_of(row: Row, columns: Columns) -> str | None:
    """Returns what a row calls its image; None if it does not say.

    Raises:
        RecordError: if the row has no such column, or something else in it.
    """
    value: Any = row.get(image_column(row, columns.image))
    if isinstance(value, dict) and value.get("bytes") is None:
        value = value.get("path")
    if value is None or value != value or (isinstance(value, str) and not value.strip()):  # NaN differs from itself
        return None
    if not isinstance(value, str):
        raise RecordError("read", "wrong_type", f"the image is {str(value)[:40]!r}; expected a path")
    return value
