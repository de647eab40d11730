"""The metadata files of image folders, as Hugging Face's ImageFolder has them: JSON lines, CSV or Parquet."""

import csv
import functools
import io
import json
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from bulklabel.model.errors import RecordError, UserError, first_line
from bulklabel.transforms.files import files
from bulklabel.transforms.files.paths import path_below, raise_if_store_failed
from bulklabel.transforms.reading.record_tables import text_of
from bulklabel.transforms.reading.records import Columns, Problem

METADATA_NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")

FILE_COLUMN, ID_COLUMN, LABELS_COLUMN = "file_name", "id", "labels"

LABEL_SEPARATOR = "|"
"""Between labels in CSV. A blank cell is unknown truth; the separator alone says that no label is present."""

EXCESS_CELLS: Any = None
"""The name that Python's `csv` gives to cells that lie beyond the header."""

MAX_CACHED_FILES = 4


@dataclass(frozen=True)
class Description:
    """What a row says of its image: `labels` and `unknown` as they stand there."""

    id: str | None
    labels: Any
    unknown: Any
    carried: tuple[str | None, ...]


@dataclass(frozen=True)
class Metadata:
    """A metadata file: descriptions by the path of the image, by row what is wrong with the others, and its columns."""

    rows: dict[str, Description]
    problems: dict[int, Problem]
    names: set[str]


def is_metadata(path: str) -> bool:
    """Whether a file has the name of a metadata file."""
    return posixpath.basename(path).lower() in METADATA_NAMES


@functools.lru_cache(MAX_CACHED_FILES)
def read_metadata(path: str, columns: Columns) -> Metadata:
    """A metadata file, held whole in memory: about 500 bytes a row, once a process.

    Raises:
        UserError: if its rows do not name files.
    """
    found = Metadata({}, {}, set())
    folder = posixpath.dirname(path)
    try:
        for position, row in enumerate(_rows(path, columns)):
            _add(found, position, row, folder, columns)
    except Exception as error:
        raise_if_store_failed(error)
        detail = f"{path} cannot be read further ({first_line(error)})"
        found.problems[len(found.rows) + len(found.problems)] = Problem("damaged_metadata", detail)
    if found.problems and not found.rows and all(p.reason == "missing_column" for p in found.problems.values()):
        raise UserError(f"{path}: {next(iter(found.problems.values())).detail}; name it by --image_column.")
    return found


def _add(found: Metadata, position: int, row: Any, folder: str, columns: Columns) -> None:
    file = columns.image or FILE_COLUMN
    try:
        if not isinstance(row, dict):
            raise RecordError("read", "damaged_metadata", f"the row {str(row)[:40]!r} is not an object")
        found.names.update(row)
        if not isinstance(row.get(file), str):
            there = ", ".join(name for name, value in row.items() if value is not None)
            raise RecordError("read", "missing_column", f"the row has no {file!r}, only {there or 'nulls'}")
        place = path_below(folder, row[file])
        if place in found.rows:
            raise RecordError("read", "duplicate_file", f"{row[file]!r} has a row already")
        found.rows[place] = Description(
            text_of(row.get(columns.id or ID_COLUMN)),
            row.get(columns.labels or LABELS_COLUMN),
            row.get(columns.unknown) if columns.unknown else None,
            tuple(text_of(row.get(name)) for name in columns.carry),
        )
    except RecordError as error:
        found.problems[position] = Problem(error.reason, error.detail)


def _rows(path: str, columns: Columns) -> Iterator[Any]:
    content = files.read(path)
    if path.lower().endswith(".parquet"):
        yield from pq.read_table(io.BytesIO(content)).to_pylist()
    elif path.lower().endswith(".csv"):
        lists = (columns.labels or LABELS_COLUMN, columns.unknown)
        for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")):
            row.pop(EXCESS_CELLS, None)
            yield {name: labels_in(cell) if name in lists else cell or None for name, cell in row.items()}
    else:
        yield from (_object(line) for line in content.splitlines() if line.strip())


def labels_in(cell: str | None) -> list[str] | None:
    """The labels of a cell of CSV: None where it is blank, an empty list where it is a lone separator."""
    return [name for name in cell.split(LABEL_SEPARATOR) if name] if cell else None


def _object(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line.decode("utf-8", "backslashreplace")
