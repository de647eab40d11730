"""Makes the tables that every reader yields from single records, and their columns from the values of files."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa

from bulklabel.model.errors import RecordError, SourceChangedError
from bulklabel.model.labels.label_rule import Labels
from bulklabel.transforms.files.read_many import MAX_RECORD_BYTES, Content
from bulklabel.transforms.files.text import escape_surrogates, shortened
from bulklabel.transforms.reading.records import TABLE_BYTES, Problem, ReadSpec, Record, RecordTable, Unreadable

CHANGED_SOURCE = "changed_source"
"""The reason of records whose file is not what it was when the run was planned."""


def tables(records: Iterable[Record | Unreadable], spec: ReadSpec) -> Iterator[RecordTable | Unreadable]:
    """Yields records as tables of `spec.schema`, of at most `spec.batch_size` rows and `TABLE_BYTES`.

    Each record is yielded once, in a table or as unreadable: one whose labels are not as the rule has them, or that is
    above `MAX_RECORD_BYTES`. Records in tables come in the order of their positions; an unreadable one may come before
    a table of earlier records, which is still being filled. A record without an id gets one from file and position.

    >>> from bulklabel.model.labels.label_rule import LabelRule
    >>> from bulklabel.transforms.reading.records import Columns
    >>> record = Record(None, "a.tar", 7, {"cls": [0]}, b"", ())
    >>> spec = ReadSpec("webdataset", Columns(), ("cat", "dog"), 100, LabelRule("indices", "cls"))
    >>> [table] = tables([record], spec)
    >>> table.rows.column("id").to_pylist(), table.rows.column("labels").to_pylist()
    (['a.tar#7'], [['cat']])
    """
    pending: list[_Row] = []
    size = 0
    for record in records:
        row = record if isinstance(record, Unreadable) else _row(record, spec)
        if isinstance(row, Unreadable):
            yield row
            continue
        if pending and (len(pending) == spec.batch_size or size + row.bytes > TABLE_BYTES):
            yield _table(pending, spec)
            pending, size = [], 0
        pending.append(row)
        size += row.bytes
    if pending:
        yield _table(pending, spec)


class _Row(NamedTuple):
    """Holds a record with its truth, and its size in bytes."""

    record: Record
    labels: Labels
    unknown: Labels
    bytes: int


def _row(record: Record, spec: ReadSpec) -> _Row | Unreadable:
    """Returns a record with its truth, or why it cannot be used."""
    try:
        labels, unknown = spec.truth_reader.read(record.fields, record.class_names)
    except RecordError as error:
        return unreadable(record.source, record.position, error, record.id)
    length = len(record.image or b"") + sum(map(len, filter(None, record.carried)))
    if length > MAX_RECORD_BYTES:
        detail = f"the record has {length:,} bytes or more; at most {MAX_RECORD_BYTES:,} are read"
        return unreadable(record.source, record.position, RecordError("read", "too_large", detail), record.id)
    return _Row(record, labels, unknown, length)


def name_of(record: Record) -> str:
    """Returns a record's id; one that is made of its file and position if the file has none for it.

    >>> name_of(Record(None, "a.tar", 7, {}, None, ()))
    'a.tar#7'
    """
    return escape_surrogates(f"{record.source}#{record.position}" if record.id is None else record.id)


def unreadable(source: str, position: int, error: RecordError, record_id: str | None = None) -> Unreadable:
    """Returns one record as unreadable, with the reason and the detail of an error."""
    return Unreadable(source, range(position, position + 1), Problem(error.reason, error.detail), record_id)


def content_of(result: Content, name: str | None = None) -> bytes:
    """Returns the content of a file as `read_many` yields it; `name` is what the data calls the file, if it does.

    Raises:
        RecordError: if the result is an error.

    >>> content_of(FileNotFoundError(2, "No such file or directory"))
    Traceback (most recent call last):
    bulklabel.model.errors.RecordError: ('read', 'missing_file', 'the file cannot be read (No such file or directory)')
    """
    if isinstance(result, SourceChangedError):
        raise RecordError("read", CHANGED_SOURCE, str(result))
    if isinstance(result, OSError):
        reason = "missing_file" if isinstance(result, FileNotFoundError) else "unreadable_file"
        what = "the file" if name is None else shortened(name)
        raise RecordError("read", reason, f"{what} cannot be read ({result.strerror or result})")
    return result


def id_of(value: Any) -> str | None:
    """Returns a value as an id: a whole number by its digits whatever its type, anything else as `text_of` has it.

    An empty text and NaN, as which some programs write a number that is missing, identify nothing.

    >>> import decimal, uuid
    >>> [id_of(value) for value in (7, 7.0, decimal.Decimal("7.00"), decimal.Decimal("7.50"), 7.5, "007")]
    ['7', '7', '7', '7.5', '7.5', '007']
    >>> id_of(uuid.UUID(int=1)), id_of(""), id_of(float("nan"))
    ('00000000-0000-0000-0000-000000000001', None, None)
    """
    if isinstance(value, float | Decimal) and math.isfinite(value):
        # From 2^53 on a float may stand for several whole numbers, and its digits are no better than its text.
        if value == int(value) and (isinstance(value, Decimal) or abs(value) < 2**53):
            return str(int(value))
        return f"{value.normalize():f}" if isinstance(value, Decimal) else text_of(value)
    return text_of(value) or None if value == value else None


def text_of(value: Any) -> str | None:
    r"""Returns a value as text: strings and UTF-8 bytes as they are, lists and objects as JSON; None stays None.

    Bytes that are not UTF-8 become `\x..`. Numbers and booleans are as in JSON, dates and the like as Python has them.

    >>> text_of("3"), text_of("naïve".encode()), text_of(3), text_of(True), text_of([1.5, None])
    ('3', 'naïve', '3', 'true', '[1.5, null]')
    >>> import datetime
    >>> text_of(datetime.date(2023, 1, 5)), text_of([datetime.date(2023, 1, 5)])
    ('2023-01-05', '["2023-01-05"]')
    >>> print(text_of(b"\xff!"))
    \xff!
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, bool | int | float | list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=_inner_text)
    return str(value)


def _inner_text(value: Any) -> str | None:
    """Returns a value inside of another as a string for JSON, which has no bytes, dates and the like."""
    return text_of(value) if isinstance(value, bytes) else str(value)


def escape_all(labels: Labels) -> Labels:
    """Returns labels with surrogates escaped; None, and labels that are None, stay so."""
    return labels and [label and escape_surrogates(label) for label in labels]


def _table(rows: Sequence[_Row], spec: ReadSpec) -> RecordTable:
    records = [row.record for row in rows]
    values: dict[str, list[Any]] = {
        "id": [name_of(record) for record in records],
        "source": [escape_surrogates(record.source) for record in records],
        "position": [record.position for record in records],
        "labels": [escape_all(row.labels) for row in rows],
    }
    if spec.rule.three_valued:
        values["unknown"] = [escape_all(row.unknown) for row in rows]
    for index, name in enumerate(spec.columns.carry):
        values[name] = [value and escape_surrogates(value) for value in (record.carried[index] for record in records)]
    return RecordTable(pa.table(values, schema=spec.schema), [record.image for record in records])
