"""From single records, as most formats have them, to the tables that every reader yields."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from bulklabel.model.errors import RecordError, UserError
from bulklabel.transforms.files.files import MAX_RECORD_BYTES
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.reading.records import TABLE_BYTES, Columns, Problem, ReadSpec, Unreadable

Labels = list[str | None] | None


@dataclass(frozen=True)
class Record:
    """One record: `labels` None where truth is unknown, `carried` in the order of `Columns.carry`."""

    id: str | None
    source: str
    position: int
    labels: Labels
    unknown: Labels
    image: bytes | None
    carried: tuple[str | None, ...]


def tables(records: Iterable[Record | Unreadable], spec: ReadSpec) -> Iterator[pa.Table | Unreadable]:
    """The records as tables, as `Reader.read` yields them."""
    waiting: list[Record] = []
    size = 0
    for record in records:
        if isinstance(record, Unreadable):
            yield record
            continue
        length = len(record.image or b"") + sum(len(text or "") for text in record.carried)
        if length > MAX_RECORD_BYTES:
            detail = f"the record has {length:,} bytes or more; at most {MAX_RECORD_BYTES:,} are read"
            yield unreadable(record.source, record.position, RecordError("read", "too_large", detail), record.id)
            continue
        if waiting and (len(waiting) == spec.batch_size or size + length > TABLE_BYTES):
            yield _table(waiting, spec.columns)
            waiting, size = [], 0
        waiting.append(record)
        size += length
    if waiting:
        yield _table(waiting, spec.columns)


def unreadable(source: str, position: int, error: RecordError, record_id: str | None = None) -> Unreadable:
    """One record that cannot be read, for the reason of an error."""
    return Unreadable(source, range(position, position + 1), Problem(error.reason, error.detail), record_id)


def truth_of(labels: Any, unknown: Any, label_names: tuple[str, ...] | None) -> tuple[Labels, Labels]:
    """The labels that are present and those that are unknown, each from what a file has for them.

    Raises:
        RecordError: if one of them is no list of labels, or a label is in both.
        UserError: if they have numbers and nobody knows what they stand for.
    """
    present = labels_of(labels, label_names)
    if unknown is None:
        return present, None
    doubtful = labels_of(unknown, label_names)
    both = next((label for label in present or () if label is not None and label in (doubtful or ())), None)
    if both is not None:
        raise RecordError("read", "bad_labels", f"the label {both[:40]!r} is given as present and as unknown")
    return present, doubtful


def labels_of(value: Any, label_names: tuple[str, ...] | None) -> Labels:
    """Labels from what a file has for it: a list of labels, of numbers that stand for labels, or nothing.

    A number that stands for none is a label unknown to the model.

    Raises:
        RecordError: if it is something else.
        UserError: if it has numbers and nobody knows what they stand for.
    """
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        raise RecordError("read", "bad_labels", f"the labels are {str(value)[:40]!r}; expected a list")
    return [_label_of(item, label_names) for item in value]


def _label_of(item: Any, label_names: tuple[str, ...] | None) -> str | None:
    if item is None or isinstance(item, str):
        return item
    if isinstance(item, bool) or not isinstance(item, int):
        raise RecordError("read", "bad_labels", f"the label {str(item)[:40]!r} is neither text nor a whole number")
    if label_names is None:
        raise UserError("the labels are numbers; give --label_file with their names, one a line.")
    return label_names[item] if 0 <= item < len(label_names) else str(item)


def content_of(found: bytes | OSError) -> bytes:
    """The bytes that `files.read_many` gave.

    Raises:
        RecordError: if it gave none.
    """
    if isinstance(found, OSError):
        reason = "missing_file" if isinstance(found, FileNotFoundError) else "unreadable_file"
        raise RecordError("read", reason, f"the file cannot be read ({found.strerror or found})")
    return found


def text_of(value: Any) -> str | None:
    """A carried value as text: strings and UTF-8 as they are, anything else as JSON; null stays null."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return json.dumps(value, ensure_ascii=False, default=_inner_text)


def _inner_text(value: Any) -> str | None:
    return text_of(value) if isinstance(value, bytes) else str(value)


def _clean_all(labels: Labels) -> Labels:
    return labels and [label and escape_surrogates(label) for label in labels]


def _table(records: Sequence[Record], columns: Columns) -> pa.Table:
    values: dict[str, list[Any]] = {
        "id": [
            escape_surrogates(f"{record.source}#{record.position}" if record.id is None else record.id)
            for record in records
        ],
        "source": [escape_surrogates(record.source) for record in records],
        "position": [record.position for record in records],
        "labels": [_clean_all(record.labels) for record in records],
        "image": [record.image for record in records],
    }
    if columns.unknown:
        values["unknown"] = [_clean_all(record.unknown) for record in records]
    for index, name in enumerate(columns.carry):
        values[name] = [value and escape_surrogates(value) for value in (record.carried[index] for record in records)]
    return pa.table(values, schema=columns.schema)
