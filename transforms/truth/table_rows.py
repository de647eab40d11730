"""Reads the rows of tables of truth: Parquet, CSV, and JSON lines, plain or gzip."""

import contextlib
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.errors import UserError, first_line
from bulklabel.transforms.files import files
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.reading.class_names import class_names_of
from bulklabel.transforms.reading.parquet import values_of

TRUTH_FILES = re.compile(r"\.(parquet|parq|pq|(csv|tsv|jsonl|ndjson)(\.gz)?)$", re.IGNORECASE)
"""Matches the names of tables of truth."""

BATCH_ROWS = 2**14
"""So many rows of Parquet become Python values at once."""


@dataclass(frozen=True)
class TableRows:
    """Holds a table: its columns' names, the names that it gives to class numbers, and its rows, to be read once."""

    names: Sequence[str]
    rows: Iterator[Mapping[str, Any]]
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)


def open_table(path: str) -> TableRows:
    """Opens a table, of the format that its name says.

    Raises:
        UserError: if it cannot be read, now or when its rows are.
    """
    name = path.lower()
    kind = "JSON lines" if re.search("jsonl|ndjson", name) else "CSV" if re.search("[ct]sv", name) else "Parquet"
    with _reporting(path, kind):
        if kind == "Parquet":
            return _parquet(path)
        content = files.read(path)
        text = (gzip.decompress(content) if name.endswith(".gz") else content).decode("utf-8-sig")
        return _csv(path, text) if kind == "CSV" else _json_lines(path, text)


@contextlib.contextmanager
def _reporting(path: str, kind: str) -> Iterator[None]:
    """Raises the errors of libraries as one line about a file."""
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise_if_store_failed(error)
        raise UserError(f"{path} is not a {kind} file ({first_line(error)}); give one with ids and labels.") from error


def _parquet(path: str) -> TableRows:
    with files.open_file(path) as source:
        schema = pq.ParquetFile(source).schema_arrow

    def rows() -> Iterator[Mapping[str, Any]]:
        with files.open_file(path) as source, _reporting(path, "Parquet"):
            for batch in pq.ParquetFile(source).iter_batches(BATCH_ROWS):
                for values in zip(*(values_of(batch, name) for name in schema.names), strict=True):
                    yield dict(zip(schema.names, values, strict=True))

    return TableRows(schema.names, rows(), class_names_of(schema))


def _csv(path: str, text: str) -> TableRows:
    """Reads CSV as text, so that an id like 007 is no number; what separates its columns is what its header has."""
    header = text[: text.find("\n") + 1 or None]
    separator = max(",;\t", key=header.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    names = next(lines, None)
    if not names:
        raise csv.Error("it is empty")

    def rows() -> Iterator[Mapping[str, Any]]:
        with _reporting(path, "CSV"):
            for number, cells in enumerate(lines, 1):
                if not cells:
                    continue
                if len(cells) != len(names):
                    raise csv.Error(f"row {number} has {len(cells)} cells, the header {len(names)}")
                yield dict(zip(names, cells, strict=True))

    return TableRows(names, rows())


def _json_lines(path: str, text: str) -> TableRows:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}, line {number}: it is not JSON ({first_line(error)}).") from error
        if isinstance(row, dict):
            rows.append(row)
        elif row is not None:
            raise UserError(f"{path}, line {number}: {str(row)[:40]!r} is not an object.")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return TableRows(names, iter(rows))
