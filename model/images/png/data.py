"""Unpacks the data of a PNG file piece by piece, and says what is missing of them."""

from collections.abc import Iterator

from isal.igzip_lib import DECOMP_ZLIB, IgzipDecompressor, IsalError

from bulklabel.model.images.limits import Limits
from bulklabel.model.images.png.chunks import PngChunks
from bulklabel.model.images.png.header import damaged_png

PIECE = 2**16
"""Bytes of packed data that are given to the decompressor at once, which copies those that it does not need yet. Most
programs write chunks of 8 kB, each of which would be another turn with Python's lock."""


class PngData:
    """Holds the data of a PNG file, which are read from front to back; zeros where some are missing.

    `missing` tells whether any are, as far as they were read.
    """

    def __init__(self, chunks: PngChunks, limits: Limits) -> None:
        self.missing = False
        self._limits = limits
        self._cut = chunks.cut
        self._header = chunks.header
        self._unpacked = 0
        self._pieces = _pieces(chunks.data)
        self._decompressor = IgzipDecompressor(DECOMP_ZLIB)

    def read(self, size: int) -> bytes:
        """Returns the next bytes.

        Raises:
            RecordError: if they are damaged, or missing and that is to be rejected.
        """
        data = self._unpack(size)
        self._unpacked += len(data)
        if len(data) < size:
            whole = self._header.raw_bytes
            self._miss(f"{whole - self._unpacked:,} of {whole:,} bytes of pixels are missing")
            data += bytes(size - len(data))
        return data

    def check_end(self) -> None:
        """Checks the checksum behind the last byte, once all are read.

        Raises:
            RecordError: if it is wrong, or none vouches for the last chunk and that is to be rejected.
        """
        surplus = self._unpack(1)
        if self._cut and surplus:
            raise damaged_png("it has more pixels than its header claims")
        if self._cut and not self.missing and not self._decompressor.eof:
            self._miss("all checksums are missing")

    def _unpack(self, size: int) -> bytes:
        parts = []
        try:
            while size and not self._decompressor.eof:
                piece = next(self._pieces, None) if self._decompressor.needs_input else b""
                if piece is None:
                    break
                parts.append(self._decompressor.decompress(piece, size))
                size -= len(parts[-1])
        except IsalError as error:  # type: ignore[misc]  # which its stubs have as an object
            raise damaged_png(f"its pixels cannot be decompressed ({error})") from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _miss(self, what: str) -> None:
        self._limits.check_truncated("PNG", what)
        self.missing = True


def _pieces(chunks: list[memoryview]) -> Iterator[memoryview | bytes]:
    """Yields packed data in pieces: parts of large chunks, and small ones together."""
    small: list[memoryview] = []
    size = 0
    for chunk in chunks:
        if small and size + len(chunk) > PIECE:
            yield b"".join(small)
            small, size = [], 0
        while len(chunk) > PIECE:
            yield chunk[:PIECE]
            chunk = chunk[PIECE:]
        small.append(chunk)
        size += len(chunk)
    yield b"".join(small)
