"""Reads the rows of CSV as other people's programs write it: any separator, quotes, blank cells, a byte-order mark."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from bulklabel.model.errors import RecordError, first_line
from bulklabel.transforms.files.text import escape_surrogates, shortened

SEPARATORS = ",;\t"

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""The first bytes of UTF-16."""

LONGEST_HEADER = 2**20

NO_HEADER = re.compile(r'"?sep=.{1,2}$|#[\s#]', re.IGNORECASE)
"""Matches what some programs write before the header: Excel its separator, others a comment."""

Row = dict[str, Any]

csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True)
class CsvHeader:
    """Holds the names of the columns, the separator, and the first byte after the header.

    `spaced` tells whether a space after a separator is no part of the cell.
    """

    names: tuple[str, ...]
    separator: str
    end: int
    spaced: bool

    def reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Returns Python's reader of lines in this form, which refuses what two programs would read in two ways."""
        return csv.reader(lines, delimiter=self.separator, skipinitialspace=self.spaced, strict=True)


def read_header(source: BinaryIO) -> CsvHeader:
    r"""Returns the header of CSV that is read from its start, and leaves the source at the first row.

    Raises:
        RecordError: if it is no CSV in UTF-8.

    >>> import io
    >>> read_header(io.BytesIO(b"id;path\r\n1;a.png\r\n"))
    CsvHeader(names=('id', 'path'), separator=';', end=9, spaced=False)
    """
    start = source.read(len(BYTE_ORDER_MARK))
    if start.startswith(WIDE_MARKS):
        raise RecordError("read", "damaged_file", "it is in UTF-16; save it as UTF-8")
    source.seek(len(BYTE_ORDER_MARK) if start == BYTE_ORDER_MARK else 0)
    line = source.readline(LONGEST_HEADER)
    while line and not line.strip():
        line = source.readline(LONGEST_HEADER)
    while line.count(b'"') % 2 and len(line) < LONGEST_HEADER:
        more = source.readline(LONGEST_HEADER)
        if not more:
            raise RecordError("read", "damaged_file", "a quote in its header is never closed")
        line += more
    text = _decoded(line)
    if text != escape_surrogates(text):
        raise RecordError("read", "damaged_file", "the names of its columns are not UTF-8; save it as UTF-8")
    if NO_HEADER.match(text.strip()):
        detail = f"its first line is {shortened(text.strip())}, and not the names of its columns; take it out"
        raise RecordError("read", "damaged_file", detail)
    unquoted = re.sub('"[^"]*"', "", text)
    # In `id;red, green` the comma is a part of a name, and in `id, path` it is not.
    separator = max(SEPARATORS, key=lambda mark: (len(re.findall(f"{mark}(?! )", unquoted)), unquoted.count(mark)))
    if "\r" in unquoted.rstrip("\r\n"):
        raise RecordError("read", "damaged_file", "its lines end in carriage returns alone; save it with line feeds")
    try:
        names = next(csv.reader([text], delimiter=separator, skipinitialspace=True, strict=True), [])
    except csv.Error as error:
        raise RecordError("read", "damaged_file", f"its header cannot be read ({first_line(error)})") from error
    spaced = f"{separator} " in unquoted and separator != "\t"
    return CsvHeader(tuple(name.strip() for name in names), separator, source.tell(), spaced)


def read_rows(source: BinaryIO, header: CsvHeader, stop: int | None = None) -> Iterator[Row | RecordError]:
    r"""Yields the rows from where the source is to the byte `stop`, or its end; what is wrong with one in its place.

    A blank cell is None. Lines without any character are no rows.

    >>> import io
    >>> source = io.BytesIO(b'id,path\n1,"a,\nb.png"\n2,\n')
    >>> list(read_rows(source, read_header(source)))
    [{'id': '1', 'path': 'a,\nb.png'}, {'id': '2', 'path': None}]
    """
    lines = _Lines(source, stop)
    reader = header.reader(lines)
    while True:
        lines.first = ""
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield _unreadable(error, lines.first)
            continue
        if cells is None:
            return
        if cells:
            yield _row(cells, header.names)


def _unreadable(error: csv.Error, line: str) -> RecordError:
    if "unexpected end" in str(error):
        return RecordError("read", "torn_file", f"a quote is never closed, in the row that starts {shortened(line)}")
    return RecordError("read", "damaged_record", f"the row cannot be read ({first_line(error)})")


def _row(cells: list[str], names: tuple[str, ...]) -> Row | RecordError:
    if len(cells) != len(names):
        words = f"the row that starts {shortened(cells[0])} has {len(cells)} cells, the header {len(names)}"
        return RecordError("read", "damaged_record", f"{words}; put cells that hold the separator in quotes")
    return {name: cell or None for name, cell in zip(names, cells, strict=True)}


class _Lines:
    """Gives the lines to the byte `stop`, or the end of a source; `first` is the first since it was made empty."""

    def __init__(self, source: BinaryIO, stop: int | None) -> None:
        self._source = source
        self._stop = stop
        self._position = source.tell() if stop is not None else 0
        self.first = ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._source.readline() if self._stop is None or self._position < self._stop else b""
        if not line:
            raise StopIteration
        self._position += len(line)
        text = _decoded(line)
        self.first = self.first or text
        return text


def _decoded(line: bytes) -> str:
    """Returns a line as text; bytes that are not UTF-8 are kept, since names of files may have them."""
    return line.decode("utf-8", "surrogateescape")
