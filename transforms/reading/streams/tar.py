"""Reads the members of a tar once from front to back; Python's own reader takes damage for the archive's end."""

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from bulklabel.model.errors import first_line
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.files.read_many import MAX_RECORD_BYTES
from bulklabel.transforms.reading.records import Problem
from bulklabel.transforms.reading.streams.stream_reader import MAX_STATED_BYTES

BLOCK_BYTES = tarfile.BLOCKSIZE
"""Headers take one block, and contents are padded to whole blocks."""

MAX_HEADER_BYTES = 2**20
"""The longest extended header that is read: these hold names, which are never so long unless damaged."""

EXTENDED_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
"""The types of members that describe the next one, or all that follow."""

TYPES_WITHOUT_DATA = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)
"""The types of members that have no data, whatever size they state."""

EMPTY_ARCHIVE_BYTES = (2 * BLOCK_BYTES, tarfile.RECORDSIZE)
"""The sizes of an archive without members: its end mark of two blocks alone, or padded as tar programs do."""

TORN = "torn_file"
"""The reason of the problem that stands for the rest of a damaged file."""


@dataclass(frozen=True)
class Member:
    """Holds one file of a tar; `start` is the offset of its first byte, extended headers included.

    `content` is None if it was not wanted, or if there is a problem. A problem with the reason `TORN` is the last
    member's, since nobody knows where another would start.
    """

    name: str
    start: int
    content: bytes | None = None
    problem: Problem | None = None


def is_header(block: bytes) -> bool:
    """Returns whether the checksum of a block is that of a member's header.

    >>> is_header(tarfile.TarInfo("cat.jpg").tobuf()), is_header(bytes(BLOCK_BYTES))
    (True, False)
    """
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def members(stream: BinaryIO, start: int, stop: int | None, wanted: Callable[[str], bool]) -> Iterator[Member]:
    """Yields the regular files and links from one byte to another, or to the archive's end mark if `stop` is None.

    The stream stands at `start`. The contents of members whose names are not `wanted` are passed over.
    """
    offset = start
    while stop is None or offset < stop:
        try:
            member, offset = _next(stream, offset, wanted)
        except (tarfile.HeaderError, EOFError, gzip.BadGzipFile, zlib.error, ValueError, OSError, MemoryError) as error:
            raise_if_store_failed(error)
            detail = f"from byte {offset:,} on nothing can be read ({first_line(error)}); it counts as one record"
            yield Member("", offset, problem=Problem(TORN, detail))
            return
        if member is None:
            return
        yield member


def _next(stream: BinaryIO, start: int, wanted: Callable[[str], bool]) -> tuple[Member | None, int]:
    """Returns the next file or link and the offset of the byte after it; None and an offset at the end mark."""
    offset = start
    extended: dict[str, str] = {}
    while True:
        block = stream.read(BLOCK_BYTES)
        if not block:
            raise EOFError("the archive's end mark is missing")
        if block == bytes(BLOCK_BYTES):
            _check_end(stream, empty=offset == 0)
            return None, offset
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        offset += BLOCK_BYTES
        size = 0 if info.type in TYPES_WITHOUT_DATA else int(extended.get("size", info.size))
        if not 0 <= size <= MAX_STATED_BYTES:
            raise ValueError(f"a member of {size:,} bytes")
        padded = -(-size // BLOCK_BYTES) * BLOCK_BYTES
        if info.type in EXTENDED_HEADERS:
            if size > MAX_HEADER_BYTES:
                raise ValueError(f"an extended header of {size:,} bytes")
            extended |= _extended(info, _read(stream, size, padded))
        elif info.isdir() or info.isdev():
            start, extended = offset, {}
        else:
            info.name = extended.get("path", info.name)
            sparse = info.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse") for key in extended)
            return _member(stream, start, info, (size, offset + padded), sparse, wanted), offset + padded
        offset += padded


def _member(
    stream: BinaryIO,
    start: int,
    info: tarfile.TarInfo,
    extent: tuple[int, int],
    sparse: bool,
    wanted: Callable[[str], bool],
) -> Member:
    """Reads a file or a link with the header `info`; `extent` is its size, and the offset of the byte after it."""
    size, end = extent
    problem = None
    if info.islnk() or info.issym():
        problem = Problem("link", f"the member {info.name!r} is a link to {info.linkname!r}; links are not followed")
    elif sparse:
        raise ValueError(f"the member {info.name!r} is sparse")
    elif size > MAX_RECORD_BYTES:
        problem = Problem("too_large", f"the member {info.name!r} has {size:,} bytes; at most {MAX_RECORD_BYTES:,}")
    elif wanted(info.name):
        return Member(info.name, start, _read(stream, size, -(-size // BLOCK_BYTES) * BLOCK_BYTES))
    stream.seek(end)
    return Member(info.name, start, problem=problem)


def _check_end(stream: BinaryIO, empty: bool) -> None:
    """Checks that an end mark is followed by nothing but zeros; with members behind it, it is a hole in the file.

    Raises:
        ValueError: if something else follows, or if an archive without members does not have the size of one.
    """
    size = BLOCK_BYTES
    while rest := stream.read(MAX_HEADER_BYTES):
        size += len(rest)
        if rest.strip(b"\0"):
            raise ValueError("the archive's end mark is not at its end")
    if empty and size not in EMPTY_ARCHIVE_BYTES:
        raise ValueError(f"{size:,} zero bytes are not an archive")


def _extended(info: tarfile.TarInfo, content: bytes) -> dict[str, str]:
    """Returns what an extended header sets for the next member: pax records `<length> <key>=<value>`, or a path.

    A GNU long name is a path. Global headers and long names of links set nothing that is needed here.

    Raises:
        ValueError: if it is damaged.
    """
    if info.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": _decoded(content.rstrip(b"\0"))}
    if info.type in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
        return {}
    attributes = {}
    content = content.rstrip(b"\0")
    start = 0
    while start < len(content):
        space = content.index(b" ", start)
        end = start + int(content[start:space])
        key, equals, value = content[space + 1 : end - 1].partition(b"=")
        if not space < end <= len(content) or not equals:
            raise ValueError("a damaged extended header")
        attributes[_decoded(key)] = _decoded(value)
        start = end
    return attributes


def _decoded(text: bytes) -> str:
    """Returns a name as Python has file names, with surrogates for bytes that are not UTF-8."""
    return text.decode("utf-8", "surrogateescape")


def _read(stream: BinaryIO, size: int, padded: int) -> bytes:
    """Reads a content of `size` bytes with its padding, `padded` bytes in all.

    Raises:
        EOFError: if the content is not complete.
    """
    content = stream.read(padded)
    if len(content) < size:
        raise EOFError("the file ends in a member")
    return content[:size]
