"""Reads the rows of CSV as other people's programs write it: any separator, quotes, blank cells, a byte-order mark."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

from bulklabel.model.errors import RecordError, first_line
from bulklabel.transforms.files.text import shortened

SEPARATORS = ",;\t"

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""The first bytes of UTF-16."""

LONGEST_HEADER = 2**20

END = "\0end of the rows\n"
"""A line put behind the last one: if it becomes a part of a row, a quote was never closed."""

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
        """Returns Python's reader of lines in this form."""
        return csv.reader(lines, delimiter=self.separator, skipinitialspace=self.spaced)


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
    unquoted = re.sub('"[^"]*"', "", text)
    # In `id;red, green` the comma is a part of a name, and in `id, path` it is not.
    separator = max(SEPARATORS, key=lambda mark: (len(re.findall(f"{mark}(?! )", unquoted)), unquoted.count(mark)))
    if "\r" in unquoted.rstrip("\r\n"):
        raise RecordError("read", "damaged_file", "its lines end in carriage returns alone; save it with line feeds")
    names = next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])
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
    reader = header.reader(chain(_lines(source, stop), [END]))
    while True:
        try:
            cells = next(reader)
        except csv.Error as error:
            yield RecordError("read", "damaged_record", f"the row cannot be read ({first_line(error)})")
            continue
        if cells == [END.rstrip("\n")]:
            return
        if cells and cells[-1].endswith((END, END.rstrip("\n"))):
            yield RecordError("read", "torn_file", f"a quote is never closed, in the row that starts {cells[0][:40]!r}")
            return
        if cells:
            yield _row(cells, header.names)


def _row(cells: list[str], names: tuple[str, ...]) -> Row | RecordError:
    if len(cells) > len(names):
        words = f"the row that starts {shortened(cells[0])} has {len(cells)} cells, the header {len(names)}"
        return RecordError("read", "damaged_record", f"{words}; put cells that hold the separator in quotes")
    return {name: cell or None for name, cell in zip(names, cells, strict=False)}


def _lines(source: BinaryIO, stop: int | None) -> Iterator[str]:
    position = source.tell() if stop is not None else 0
    for line in source:
        yield _decoded(line)
        position += len(line)
        if stop is not None and position >= stop:
            return


def _decoded(line: bytes) -> str:
    """Returns a line as text; bytes that are not UTF-8 are kept, since names of files may have them."""
    return line.decode("utf-8", "surrogateescape")
