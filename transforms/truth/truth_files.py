"""Opens files of truth: what kind each is of is told by its name and its content."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from bulklabel.model.errors import UserError, first_line
from bulklabel.model.parse_json import RepeatedKeyError, parse_json
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.reading.tables.packed import unpacked
from bulklabel.transforms.truth.coco import coco_rows
from bulklabel.transforms.truth.label_studio import annotation_rows, task_rows
from bulklabel.transforms.truth.table_rows import (
    TableRows,
    csv_table,
    json_lines_table,
    objects_table,
    parquet_table,
    reporting,
)
from bulklabel.transforms.truth.voc import VOC_FILE, voc_rows

TRUTH_FILES = re.compile(rf"\.(parquet|parq|pq|(csv|tsv|jsonl|ndjson|json)(\.gz)?)$|{VOC_FILE.pattern}", re.IGNORECASE)
"""Matches the names of files of truth in a folder."""


def open_truth(listed: Sequence[File]) -> Iterator[tuple[str, TableRows]]:
    """Yields the tables in files, with the path of each; the lists of Pascal VOC are one table together.

    Raises:
        UserError: if one cannot be read, now or when its rows are.
    """
    lists = [file.path for file in listed if file.path.lower().endswith(".txt")]
    for file in listed:
        if file.path not in lists:
            with files.open_file(file.path) as opened, unpacked(file.path, opened) as source:
                yield file.path, _table(file.path, source)
    if lists:
        yield lists[0] if len(lists) == 1 else f"{lists[0]} and {len(lists) - 1:,} more", voc_rows(lists)


def _table(path: str, source: BinaryIO) -> TableRows:
    name = path.lower().removesuffix(".gz")
    if name.endswith((".csv", ".tsv")):
        with reporting(path, "CSV"):
            return _of_annotators(path, csv_table(path, source))
    if name.endswith((".json", ".jsonl", ".ndjson")):
        with reporting(path, "JSON"):
            return _json(path, source)
    with reporting(path, "Parquet"):
        return parquet_table(path, source)


def _json(path: str, source: BinaryIO) -> TableRows:
    try:
        content = parse_json(source.read().decode("utf-8-sig"))
    except RepeatedKeyError as error:
        raise UserError(f"{path}: {error}.") from error
    except (ValueError, RecursionError):
        source.seek(0)
        return _of_annotators(path, json_lines_table(path, source))
    rows = content if isinstance(content, list) else [content]
    first: Any = rows[0] if rows else {}
    kinds: Mapping[str, Callable[[], TableRows]] = {
        "images": lambda: coco_rows(path, first),
        "annotations": lambda: task_rows(path, rows),
        "completions": lambda: task_rows(path, rows),
    }
    for name, open_kind in kinds.items():
        if isinstance(first, dict) and isinstance(first.get(name), list) and {"data", "images"} & first.keys():
            try:
                return open_kind()
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                words = f"{type(error).__name__}: {first_line(error)}"
                raise UserError(f"{path}: it does not follow its format ({words}).") from error
    return _of_annotators(path, objects_table(path, rows))


def _of_annotators(path: str, table: TableRows) -> TableRows:
    """Returns a table as it is, or by image if it is an export of Label Studio with a row an annotation."""
    return annotation_rows(path, table) if {"annotation_id", "lead_time"} <= set(table.names) else table
