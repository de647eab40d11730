"""Unpacks files that were packed as a whole, by gzip or ZLIB, while they are read from front to back."""

import contextlib
import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from bulklabel.transforms.reading.records import HEAD_BYTES

GZIP_MAGIC = b"\x1f\x8b"
"""The first bytes of a gzip file."""

ZLIB_METHOD, ZLIB_CHECK = 8, 31
"""A ZLIB file starts with two bytes: a method in the low half of the first, and together a multiple of this number."""

PACKED_BYTES = 2**16
"""How much of a ZLIB file is unpacked at once."""

IsPlain = Callable[[bytes], bool]
"""Tells whether a file that starts with these bytes is of a format, and not packed."""


def is_gzip(head: bytes) -> bool:
    """Returns whether a file that starts with these bytes may be gzip."""
    return head.startswith(GZIP_MAGIC)


def is_zlib(head: bytes) -> bool:
    """Returns whether a file that starts with these bytes may be ZLIB; one of a few thousand others looks like it.

    >>> is_zlib(zlib.compress(b"cat")), is_zlib(gzip.compress(b"cat")), is_zlib(b"cat")
    (True, False, False)
    """
    return len(head) >= 2 and head[0] & 0xF == ZLIB_METHOD and int.from_bytes(head[:2]) % ZLIB_CHECK == 0


def is_packed(head: bytes, is_plain: IsPlain) -> bool:
    """Returns whether a file is packed: a plain one may start with the same two bytes by chance."""
    return (is_gzip(head) or is_zlib(head)) and not is_plain(head)


def unpacked_head(head: bytes, is_plain: IsPlain) -> bytes:
    """Returns the first bytes of a file as they are when it is unpacked; no bytes if they are damaged.

    >>> [unpacked_head(pack(b"ustar"), lambda head: head == b"ustar") for pack in (gzip.compress, zlib.compress, bytes)]
    [b'ustar', b'ustar', b'ustar']
    """
    if not is_packed(head, is_plain):
        return head
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(head)  # 32: gzip and ZLIB alike
    except zlib.error:
        return b""


@contextlib.contextmanager
def unpacked(file: BinaryIO, is_plain: IsPlain) -> Iterator[BinaryIO]:
    """Opens what is in a file, which stands at its start: unpacked if it is packed."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not is_packed(head, is_plain):
        yield file
    elif is_gzip(head):
        with gzip.GzipFile(fileobj=file) as stream:
            yield cast(BinaryIO, stream)
    else:
        yield cast(BinaryIO, ZlibStream(file))


class ZlibStream:
    """Reads what a ZLIB file holds, from front to back; several such files one after another are read as one.

    >>> import io
    >>> stream = ZlibStream(io.BytesIO(zlib.compress(b"cat") + zlib.compress(b"dog")))
    >>> stream.read(2), stream.seek(4), stream.read(9)
    (b'ca', 4, b'og')
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decompressor = zlib.decompressobj()
        self._packed = b""
        self._offset = 0

    def read(self, size: int) -> bytes:
        """Returns the next `size` bytes, or all that are left if these are fewer.

        Raises:
            EOFError: if the file ends before its end mark.
            zlib.error: if it is damaged.
        """
        pieces = []
        while size and (piece := self._piece(size)):
            pieces.append(piece)
            size -= len(piece)
            self._offset += len(piece)
        return b"".join(pieces)

    def seek(self, offset: int) -> int:
        """Passes over what comes before an offset, which must not lie behind, and returns where the stream stands."""
        while self._offset < offset and self.read(min(PACKED_BYTES, offset - self._offset)):
            pass
        return self._offset

    def _piece(self, size: int) -> bytes:
        """Returns at least one and at most `size` bytes; none at the end of the file."""
        while True:
            self._packed = self._packed or self._file.read(PACKED_BYTES)
            if self._decompressor.eof:
                if not self._packed:
                    return b""
                self._decompressor = zlib.decompressobj()
            ended = not self._packed
            piece = self._decompressor.decompress(self._packed, size)
            self._packed = self._decompressor.unconsumed_tail or self._decompressor.unused_data
            if piece:
                return piece
            if ended:
                raise EOFError("the file ended before its end mark")
