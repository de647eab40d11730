"""Reads the rows of JSON lines."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from bulklabel.model.errors import RecordError
from bulklabel.model.parse_json import RepeatedKeyError, parse_json
from bulklabel.transforms.files.text import shortened
from bulklabel.transforms.reading.class_names import with_class_names

Row = dict[str, Any]


def read_rows(source: BinaryIO, stop: int | None = None) -> Iterator[Row | RecordError]:
    r"""Yields the objects from where the source is to the byte `stop`, or its end; what is wrong with one in its place.

    Lines of nothing but white space are no rows.

    >>> import io
    >>> for row in read_rows(io.BytesIO(b'{"id": 1}\n\n[2]\n')):
    ...     print(repr(row))
    {'id': 1}
    RecordError('read', 'damaged_record', "the row '[2]' is not an object")
    """
    position = source.tell() if stop is not None else 0
    for line in source:
        position += len(line)
        if not is_blank(line):
            yield _parsed(line)
        if stop is not None and position >= stop:
            return


def is_blank(line: bytes) -> bool:
    """Returns whether a line has nothing but spaces and control characters."""
    return max(line, default=0) <= ord(" ")


def _parsed(line: bytes) -> Row | RecordError:
    try:
        row = parse_json(line.decode("utf-8-sig"))
    except RepeatedKeyError as error:
        return RecordError("read", "damaged_record", str(error))
    except (ValueError, RecursionError):
        text = line.decode("utf-8", "backslashreplace").strip()
        return RecordError("read", "damaged_record", f"the row {shortened(text)} is no JSON")
    if not isinstance(row, dict):
        return RecordError("read", "damaged_record", f"the row {shortened(json.dumps(row))} is not an object")
    return with_class_names(row)
