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

from model.errors import RecordError, UserError, first_line
from transforms import files
from transforms.paths import below, raise_if_the_store_failed
from transforms.records import Columns, Problem
from transforms.rows import text_of

METADATA_NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")

FILE, ID, LABELS = "file_name", "id", "labels"

SEPARATOR = "|"
"""Between labels in CSV. A blank cell is unknown truth; the separator alone says that no label is present."""

CACHED_FILES = 4


@dataclass(frozen=True)
class Description:
    """What a row says of its image: `labels` as they stand there."""

    id: str | None
    labels: Any
    carried: tuple[str | None, ...]


@dataclass(frozen=True)
class Metadata:
    """A metadata file: descriptions by the path of the image, and by row what is wrong with the others."""

    rows: dict[str, Description]
    problems: dict[int, Problem]


def is_metadata(path: str) -> bool:
    """Whether a file has the name of a metadata file."""
    return posixpath.basename(path).lower() in METADATA_NAMES


@functools.lru_cache(CACHED_FILES)
def read_metadata(path: str, columns: Columns) -> Metadata:
    """A metadata file, held whole in memory: about 500 bytes a row, once a process.

    Raises:
        UserError: if its rows do not name files.
    """
    found = Metadata({}, {})
    folder = posixpath.dirname(path)
    names = (columns.image or FILE, columns.id or ID, columns.labels or LABELS, *columns.carry)
    try:
        for position, row in enumerate(_rows(path, columns)):
            _add(found, position, row, folder, names)
    except Exception as error:
        raise_if_the_store_failed(error)
        detail = f"{path} cannot be read further ({first_line(error)})"
        found.problems[len(found.rows) + len(found.problems)] = Problem("damaged_metadata", detail)
    if found.problems and not found.rows and all(p.reason == "missing_column" for p in found.problems.values()):
        raise UserError(f"{path}: {next(iter(found.problems.values())).detail}; name it by --image_column.")
    return found


def _add(found: Metadata, position: int, row: Any, folder: str, names: tuple[str, ...]) -> None:
    file, record_id, labels, *carry = names
    try:
        if not isinstance(row, dict):
            raise RecordError("read", "damaged_metadata", f"the row {str(row)[:40]!r} is not an object")
        if not isinstance(row.get(file), str):
            raise RecordError("read", "missing_column", f"the row has no {file!r}, only {', '.join(map(str, row))}")
        place = below(folder, row[file])
        if place in found.rows:
            raise RecordError("read", "duplicate_file", f"{row[file]!r} has a row already")
        found.rows[place] = Description(
            text_of(row.get(record_id)), row.get(labels), tuple(text_of(row.get(name)) for name in carry)
        )
    except RecordError as error:
        found.problems[position] = Problem(error.reason, error.detail)


def _rows(path: str, columns: Columns) -> Iterator[Any]:
    content = files.read(path)
    if path.lower().endswith(".parquet"):
        yield from pq.read_table(io.BytesIO(content)).to_pylist()
    elif path.lower().endswith(".csv"):
        labels = columns.labels or LABELS
        for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")):
            known = {name: cell for name, cell in row.items() if cell}
            cell = known.pop(labels, None)
            yield known | {labels: [name for name in cell.split(SEPARATOR) if name] if cell else None}
    else:
        yield from (_object(line) for line in content.splitlines() if line.strip())


def _object(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line.decode("utf-8", "backslashreplace")
