"""Reads metadata files of image folders: JSON lines, CSV or Parquet, as in Hugging Face's ImageFolder."""

import functools
import io
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from bulklabel.model.errors import RecordError, UserError, first_line
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.paths import path_below, raise_if_store_failed
from bulklabel.transforms.files.planned_files import read_planned
from bulklabel.transforms.reading.class_names import class_names_of
from bulklabel.transforms.reading.record_tables import id_of, text_of
from bulklabel.transforms.reading.records import Columns, Problem
from bulklabel.transforms.reading.table_columns import ID_COLUMN, duplicate_column, label_columns
from bulklabel.transforms.reading.tables import csv_rows, json_rows, parquet_rows
from bulklabel.transforms.reading.tables.csv_rows import CsvHeader, Row

METADATA_NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
"""The names of metadata files, in lower case; a folder has one of them at most."""

FILE_COLUMN = "file_name"
"""The name that the column of files has unless the user gives another."""


MAX_CACHED_FILES = 4
"""How many metadata files a process keeps in memory: shards of one folder mostly come one after another."""


@dataclass(frozen=True)
class Description:
    """Describes an image by its row: the id, the fields that labels are read from, and what is carried along."""

    id: str | None
    fields: Mapping[str, Any]
    carried: tuple[str | None, ...]


@dataclass(frozen=True)
class Metadata:
    """Holds a metadata file: descriptions by the path of the image, problems by row (from 0), and column names.

    `class_names` are the names that it gives to the numbers in a column.
    """

    descriptions: dict[str, Description] = field(default_factory=dict)
    problems: dict[int, Problem] = field(default_factory=dict)
    column_names: set[str] = field(default_factory=set)
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)


def is_metadata(path: str) -> bool:
    """Returns whether a file has the name of a metadata file.

    >>> is_metadata("cats/Metadata.CSV"), is_metadata("cats/metadata.txt")
    (True, False)
    """
    return posixpath.basename(path).lower() in METADATA_NAMES


@functools.lru_cache(MAX_CACHED_FILES)
def read_metadata(
    path: str, columns: Columns, label_fields: tuple[str, ...] = (), planned: File | None = None
) -> Metadata:
    """Returns the content of a metadata file, which takes about 500 bytes of memory a row.

    A process keeps the last few files that it has read, since each shard of a folder needs the same one. A file that
    was planned must be as it was listed.

    Raises:
        SourceChangedError: if it is not.
        UserError: if none of its rows names a file, or a column that is needed is there twice.
    """
    metadata = Metadata()
    folder = posixpath.dirname(path)
    try:
        for position, row in enumerate(_rows(path, metadata, planned, columns)):
            _add(metadata, position, row, folder, columns, label_fields)
    except UserError:
        raise
    except Exception as error:
        raise_if_store_failed(error)
        detail = f"{path} cannot be read further ({first_line(error)})"
        metadata.problems[len(metadata.descriptions) + len(metadata.problems)] = Problem("damaged_metadata", detail)
    if not metadata.descriptions and _lacks_file_names(metadata):
        raise UserError(f"{path}: {next(iter(metadata.problems.values())).detail}; name it with --image_column.")
    return metadata


def _lacks_file_names(metadata: Metadata) -> bool:
    """Returns whether there are problems, all of them that a row names no file."""
    reasons = {problem.reason for problem in metadata.problems.values()}
    return reasons == {"missing_column"}


def _add(
    metadata: Metadata,
    position: int,
    row: Row | RecordError,
    folder: str,
    columns: Columns,
    label_fields: tuple[str, ...],
) -> None:
    """Adds a row to the descriptions, or to the problems if it describes no image below the file's folder."""
    file_column = columns.image or FILE_COLUMN
    try:
        if isinstance(row, RecordError):
            raise RecordError("read", "damaged_metadata", row.detail)
        metadata.column_names.update(row)
        if not isinstance(row.get(file_column), str):
            filled = ", ".join(name for name, value in row.items() if value is not None)
            raise RecordError("read", "missing_column", f"the row has no {file_column!r}, only {filled or 'nulls'}")
        path = path_below(folder, row[file_column])
        if path in metadata.descriptions:
            raise RecordError("read", "duplicate_file", f"{row[file_column]!r} has a row already")
        metadata.descriptions[path] = describe(row, columns, label_fields)
    except RecordError as error:
        metadata.problems[position] = Problem(error.reason, error.detail)


def describe(row: Mapping[str, Any], columns: Columns, label_fields: Sequence[str]) -> Description:
    """Returns what a row says of an image besides its name."""
    fields = {name: row[name] for name in label_fields if name in row}
    return Description(
        next((id_of(row.get(name)) for name in columns.id_names((ID_COLUMN,))), None),
        fields,
        tuple(text_of(row.get(name)) for name in columns.carry),
    )


def _rows(path: str, metadata: Metadata, planned: File | None, columns: Columns) -> Iterator[Row | RecordError]:
    """Yields each row as a dictionary, or what is wrong with it; names of class numbers are put into `metadata`."""
    source = io.BytesIO(read_planned(planned) if planned else files.read(path))
    if path.lower().endswith(".parquet"):
        schema = parquet_rows.read_schema(source)
        _check_names(path, schema.names, columns)
        metadata.class_names.update(class_names_of(schema))
        yield from parquet_rows.read_rows(source)
    elif path.lower().endswith(".csv"):
        header = _csv_header(path, source)
        _check_names(path, header.names, columns)
        yield from csv_rows.read_rows(source, header)
    else:
        yield from json_rows.read_rows(source)


def _csv_header(path: str, source: BinaryIO) -> CsvHeader:
    try:
        return csv_rows.read_header(source)
    except RecordError as error:
        raise UserError(f"{path}: {error.detail}.") from error


def _check_names(path: str, names: Sequence[str], columns: Columns) -> None:
    wanted = (columns.image or FILE_COLUMN, columns.id or ID_COLUMN, *label_columns(columns), *columns.carry)
    problem = duplicate_column(names, wanted)
    if problem:
        raise UserError(f"{path}: {problem.detail}; keep one of them.")
