"""Reads the rows of tables of truth: Parquet, CSV and JSON, the last two plain or gzip."""

import contextlib
import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.errors import UserError, first_line
from bulklabel.transforms.files import files
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.reading.arrow_values import values_of
from bulklabel.transforms.reading.class_names import class_names_of

BATCH_ROWS = 2**14
"""So many rows of Parquet become Python values at once."""


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


def text_in(path: str) -> str:
    """Returns the text of a file, unpacked if its name says that it is packed."""
    content = files.read(path)
    return (gzip.decompress(content) if path.lower().endswith(".gz") else content).decode("utf-8-sig")


@contextlib.contextmanager
def reporting(path: str, kind: str) -> Iterator[None]:
    """Raises the errors of libraries as one line about a file."""
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise_if_store_failed(error)
        raise UserError(f"{path} is not a {kind} file ({first_line(error)}); give one with ids and labels.") from error


def parquet_rows(path: str) -> TableRows:
    """Returns the rows of a Parquet file."""
    with files.open_file(path) as source:
        schema = pq.ParquetFile(source).schema_arrow

    def rows() -> Iterator[Mapping[str, Any]]:
        with files.open_file(path) as source, reporting(path, "Parquet"):
            for batch in pq.ParquetFile(source).iter_batches(BATCH_ROWS):
                for values in zip(*(values_of(batch, name) for name in schema.names), strict=True):
                    yield dict(zip(schema.names, values, strict=True))

    return TableRows(schema.names, rows(), class_names_of(schema))


def csv_rows(path: str, text: str) -> TableRows:
    """Reads CSV as text, so that an id like 007 is no number; what separates its columns is what its header has."""
    header = text[: text.find("\n") + 1 or None]
    separator = max(",;\t", key=header.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    names = next(lines, None)
    if not names:
        raise csv.Error("it is empty")

    def rows() -> Iterator[Mapping[str, Any]]:
        with reporting(path, "CSV"):
            for number, cells in enumerate(lines, 1):
                if not cells:
                    continue
                if len(cells) != len(names):
                    raise csv.Error(f"row {number} has {len(cells)} cells, the header {len(names)}")
                yield dict(zip(names, cells, strict=True))

    return TableRows(names, rows())


def json_rows(path: str, rows: Sequence[Any]) -> TableRows:
    """Returns rows that are objects in JSON."""
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise UserError(f"{path}, row {number}: {str(row)[:40]!r} is not an object.")
    return TableRows(list(dict.fromkeys(name for row in rows for name in row)), iter(rows))


def json_lines(path: str, text: str) -> list[Any]:
    """Returns the values of JSON lines."""
    values = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            values += [json.loads(line)] if line.strip() else []
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}, line {number}: it is not JSON ({first_line(error)}).") from error
    return values
