"""Reads what a PNG file says about itself, after checking its checksums (https://www.w3.org/TR/png-3/)."""

import struct
import zlib
from dataclasses import dataclass

from bulklabel.model.errors import RecordError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB = 0, 2


@dataclass(frozen=True)
class PngHeader:
    """Holds size in pixels, bits a sample, colour type, and the kinds of chunk in the file."""

    width: int
    height: int
    bit_depth: int
    color_type: int
    chunks: frozenset[bytes]


def read_header(data: bytes) -> PngHeader:
    """Returns the header of a PNG file whose chunks are whole.

    libpng and Pillow differ in what damage they forgive; with the checksums verified first there is none
    left to forgive.

    Raises:
        RecordError: at the stage `decode`, if a chunk is cut off, a checksum is wrong, or the header is no header.
    """
    position = len(SIGNATURE)
    chunks: dict[bytes, bytes] = {}
    while b"IEND" not in chunks:
        if position + 12 > len(data):
            raise RecordError("decode", "damaged_image", "the PNG file ends before its end mark")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise RecordError("decode", "damaged_image", f"the PNG file is cut off in its chunk {kind!r}")
        body = memoryview(data)[position + 4 : end]
        if zlib.crc32(body) != struct.unpack_from(">I", data, end)[0]:
            raise RecordError("decode", "damaged_image", f"the PNG chunk {kind!r} has a wrong checksum")
        chunks.setdefault(kind, data[position + 8 : end] if kind == b"IHDR" else b"")
        position = end + 4
    if len(chunks.get(b"IHDR", b"")) != 13:
        raise RecordError("decode", "damaged_image", "the PNG file has no header")
    width, height, bit_depth, color_type = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    return PngHeader(width, height, bit_depth, color_type, frozenset(chunks))
