"""Makes the tables that every reader yields from single records, and their columns from the values of files."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from bulklabel.model.errors import RecordError, UserError
from bulklabel.transforms.files.read_many import MAX_RECORD_BYTES
from bulklabel.transforms.files.text import escape_surrogates, shortened
from bulklabel.transforms.reading.records import TABLE_BYTES, Columns, Problem, ReadSpec, Unreadable

Labels = list[str | None] | None
"""A record's labels, which may be null one by one; None where nothing is known of them."""


@dataclass(frozen=True)
class Record:
    """Holds one record, with its carried values in the order of `Columns.carry`.

    `id` is None if the file has none for it, `labels` if its truth is unknown, and `unknown` if the file does not say
    which labels are unknown.
    """

    id: str | None
    source: str
    position: int
    labels: Labels
    unknown: Labels
    image: bytes | None
    carried: tuple[str | None, ...]


def tables(records: Iterable[Record | Unreadable], spec: ReadSpec) -> Iterator[pa.Table | Unreadable]:
    """Yields records as tables of at most `spec.batch_size` rows and `TABLE_BYTES`, as `Reader.read` does.

    Unreadable records are yielded as they are, and records above `MAX_RECORD_BYTES` as unreadable. A record without an
    id gets one from its file and position.

    >>> record = Record(None, "a.tar", 7, ["cat"], None, b"", ())
    >>> [table] = tables([record], ReadSpec("webdataset", Columns(), None, batch_size=100))
    >>> table.column("id").to_pylist(), table.column("labels").to_pylist()
    (['a.tar#7'], [['cat']])
    """
    pending: list[Record] = []
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
        if pending and (len(pending) == spec.batch_size or size + length > TABLE_BYTES):
            yield _table(pending, spec.columns)
            pending, size = [], 0
        pending.append(record)
        size += length
    if pending:
        yield _table(pending, spec.columns)


def unreadable(source: str, position: int, error: RecordError, record_id: str | None = None) -> Unreadable:
    """Returns one record as unreadable, with the reason and the detail of an error."""
    return Unreadable(source, range(position, position + 1), Problem(error.reason, error.detail), record_id)


def truth_of(labels: Any, unknown: Any, label_names: tuple[str, ...] | None) -> tuple[Labels, Labels]:
    """Returns the labels that are present and those that are unknown, each from a file's value as in `labels_of`.

    Raises:
        RecordError: if a value is no list of labels, or if a label is both present and unknown.
        UserError: if there are label numbers, and `label_names` is None.

    >>> truth_of(["cat"], ["dog"], None)
    (['cat'], ['dog'])
    >>> truth_of([1, 0], None, ("cat", "dog"))
    (['dog', 'cat'], None)
    """
    present = labels_of(labels, label_names)
    if unknown is None:
        return present, None
    unknown_labels = labels_of(unknown, label_names)
    both = next((label for label in present or () if label is not None and label in (unknown_labels or ())), None)
    if both is not None:
        raise RecordError("read", "bad_labels", f"the label {both[:40]!r} is given as present and as unknown")
    return present, unknown_labels


def labels_of(value: Any, label_names: tuple[str, ...] | None) -> Labels:
    """Returns labels from a file's value, which is None or a list of labels or of their numbers from 0.

    A number beyond `label_names` becomes a label of its digits, which the model does not know.

    Raises:
        RecordError: if the value is something else.
        UserError: if it has numbers, and `label_names` is None.

    >>> labels_of([1, 7, "bird"], ("cat", "dog"))
    ['dog', '7', 'bird']
    >>> labels_of("cat", ("cat", "dog"))
    Traceback (most recent call last):
    bulklabel.model.errors.RecordError: ('read', 'bad_labels', "the labels are 'cat'; expected a list")
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


def content_of(result: bytes | OSError, name: str | None = None) -> bytes:
    """Returns the content of a file as `read_many` yields it; `name` is what the data calls the file, if it does.

    Raises:
        RecordError: if the result is an error.

    >>> content_of(FileNotFoundError(2, "No such file or directory"))
    Traceback (most recent call last):
    bulklabel.model.errors.RecordError: ('read', 'missing_file', 'the file cannot be read (No such file or directory)')
    """
    if isinstance(result, OSError):
        reason = "missing_file" if isinstance(result, FileNotFoundError) else "unreadable_file"
        what = "the file" if name is None else shortened(name)
        raise RecordError("read", reason, f"{what} cannot be read ({result.strerror or result})")
    return result


def text_of(value: Any) -> str | None:
    r"""Returns a value as text: strings and UTF-8 bytes as they are, anything else as JSON; None stays None.

    Bytes that are not UTF-8 become `\x..`. Values that JSON lacks, such as dates, become strings in it.

    >>> text_of("3"), text_of("naïve".encode()), text_of(3), text_of([1.5, None])
    ('3', 'naïve', '3', '[1.5, null]')
    >>> print(text_of(b"\xff!"))
    \xff!
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return json.dumps(value, ensure_ascii=False, default=_inner_text)


def _inner_text(value: Any) -> str | None:
    """Returns a value inside of another as a string for JSON, which has no bytes, dates and the like."""
    return text_of(value) if isinstance(value, bytes) else str(value)


def _escape_all(labels: Labels) -> Labels:
    return labels and [label and escape_surrogates(label) for label in labels]


def _table(records: Sequence[Record], columns: Columns) -> pa.Table:
    values: dict[str, list[Any]] = {
        "id": [
            escape_surrogates(f"{record.source}#{record.position}" if record.id is None else record.id)
            for record in records
        ],
        "source": [escape_surrogates(record.source) for record in records],
        "position": [record.position for record in records],
        "labels": [_escape_all(record.labels) for record in records],
        "image": [record.image for record in records],
    }
    if columns.unknown:
        values["unknown"] = [_escape_all(record.unknown) for record in records]
    for index, name in enumerate(columns.carry):
        values[name] = [value and escape_surrogates(value) for value in (record.carried[index] for record in records)]
    return pa.table(values, schema=columns.schema)
