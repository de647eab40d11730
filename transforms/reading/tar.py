"""The members of a tar, read once from front to back: Python's own reader takes damage for the archive's end."""

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from bulklabel.model.errors import first_line
from bulklabel.transforms.files.files import MAX_RECORD_BYTES
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.reading.records import Problem
from bulklabel.transforms.reading.streams import MAX_STATED_BYTES

BLOCK_BYTES = tarfile.BLOCKSIZE

MAX_HEADER_BYTES = 2**20
"""Extended headers hold names; nobody's are longer."""

EXTENDED_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
"""Members that say something of the next one, or of all."""

TYPES_WITHOUT_DATA = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)
"""Members without data, whatever size they state."""

EMPTY_ARCHIVE_BYTES = (2 * BLOCK_BYTES, tarfile.RECORDSIZE)
"""The sizes of an archive without members."""

TORN = "torn_file"


@dataclass(frozen=True)
class Member:
    """One file of a tar. `start` is its first byte, extended headers included.

    `content` is None if nobody wanted it, or if the problem says why it cannot be had; `TORN` is the problem of the
    last one: nobody knows where another would start.
    """

    name: str
    start: int
    content: bytes | None = None
    problem: Problem | None = None


def members(stream: BinaryIO, start: int, stop: int | None, wanted: Callable[[str], bool]) -> Iterator[Member]:
    """The regular files and links from a byte on to another, or to the archive's end mark where `stop` is None.

    The stream stands at `start`; members that are not `wanted`, by name, are passed over.
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
    """The next file or link and the byte after it; none at the end mark."""
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
    """A file or a link; `extent` is its size, and the byte after it."""
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
    """An end mark is followed by nothing but zeros; one with members behind it is a hole in the file.

    Raises:
        ValueError: if something else follows, or an archive without members has not the size of one.
    """
    size = BLOCK_BYTES
    while rest := stream.read(MAX_HEADER_BYTES):
        size += len(rest)
        if rest.strip(b"\0"):
            raise ValueError("the archive's end mark is not at its end")
    if empty and size not in EMPTY_ARCHIVE_BYTES:
        raise ValueError(f"{size:,} zero bytes are no archive")


def _extended(info: tarfile.TarInfo, content: bytes) -> dict[str, str]:
    """What an extended header says of the next member: pax records `<length> <key>=<value>`, or GNU's long name."""
    if info.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": _decoded(content.rstrip(b"\0"))}
    if info.type in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
        return {}
    found = {}
    content = content.rstrip(b"\0")
    start = 0
    while start < len(content):
        space = content.index(b" ", start)
        end = start + int(content[start:space])
        key, equals, value = content[space + 1 : end - 1].partition(b"=")
        if not space < end <= len(content) or not equals:
            raise ValueError("a damaged extended header")
        found[_decoded(key)] = _decoded(value)
        start = end
    return found


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _read(stream: BinaryIO, size: int, padded: int) -> bytes:
    content = stream.read(padded)
    if len(content) < size:
        raise EOFError("the file ends in a member")
    return content[:size]
