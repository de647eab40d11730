"""Holds the rows of tables of truth, which the readers of input tables read; here nothing may be wrong with any."""

import contextlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyarrow as pa

from bulklabel.model.errors import RecordError, UserError, first_line
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.reading.class_names import class_names_of, with_class_names
from bulklabel.transforms.reading.tables import csv_rows, json_rows, parquet_rows
from bulklabel.transforms.reading.tables.csv_rows import Row


@dataclass(frozen=True)
class TableRows:
    """Holds a table of truth.

    Attributes:
        names: the columns' names.
        rows: the rows, to be read once.
        class_names: the names that it gives to the numbers in a column.
        id_column: the column of ids, where its kind says which that is.
        kind: what it is called, where it is of a kind whose rows were made from something else: those have a column
            for each label, or lists in `labels` and `unknown`.
    """

    names: Sequence[str]
    rows: Iterator[Mapping[str, Any]]
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    id_column: str | None = None
    kind: str = ""


@contextlib.contextmanager
def reporting(path: str, kind: str, wanted: str = "ids and labels") -> Iterator[None]:
    """Raises the errors of readers and libraries as one line about a file, which should have what is wanted."""
    try:
        yield
    except RecordError as error:
        raise UserError(f"{path}: {error.detail}.") from error
    except (pa.ArrowException, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise_if_store_failed(error)
        raise UserError(f"{path} is not a {kind} file ({first_line(error)}); give one with {wanted}.") from error


def parquet_table(path: str, source: BinaryIO) -> TableRows:
    """Returns the table in a Parquet file."""
    schema = parquet_rows.read_schema(source)
    return TableRows(schema.names, _good(path, "Parquet", parquet_rows.read_rows(source)), class_names_of(schema))


def csv_table(path: str, source: BinaryIO) -> TableRows:
    """Returns the table in a CSV file, whose cells are text, so that an id like 007 is no number."""
    header = csv_rows.read_header(source)
    return TableRows(header.names, _good(path, "CSV", csv_rows.read_rows(source, header)))


def json_lines_table(path: str, source: BinaryIO) -> TableRows:
    """Returns the table in JSON lines."""
    return objects_table(path, list(_good(path, "JSON", json_rows.read_rows(source))))


def objects_table(path: str, rows: Sequence[Any]) -> TableRows:
    """Returns the table whose rows are objects of JSON."""
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise UserError(f"{path}, row {number}: {str(row)[:40]!r} is not an object.")
    return TableRows(list(dict.fromkeys(name for row in rows for name in row)), map(with_class_names, rows))


def _good(path: str, kind: str, rows: Iterator[Row | RecordError]) -> Iterator[Row]:
    """Yields rows, of which each must be readable."""
    with reporting(path, kind):
        for number, row in enumerate(rows, 1):
            if isinstance(row, RecordError):
                raise UserError(f"{path}, row {number}: {row.detail}.")
            yield row
