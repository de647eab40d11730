"""Decodes PNG files in one way, from the chunks that pixels depend on alone (https://www.w3.org/TR/png-3/)."""

import struct

import numpy as np
from isal.igzip_lib import DECOMP_ZLIB, IgzipDecompressor, IsalError
from isal.isal_zlib import crc32

from bulklabel.model.images.kinds import Encoded
from bulklabel.model.images.limits import Limits
from bulklabel.model.images.orientation import turned_upright
from bulklabel.model.images.png import filters
from bulklabel.model.images.png.chunks import PngChunks, read_chunks
from bulklabel.model.images.png.colors import are_rgb, rgb_of
from bulklabel.model.images.png.data import PngData
from bulklabel.model.images.png.filters import undo_filters
from bulklabel.model.images.resize import Pixels
from bulklabel.model.images.samples import PixelRange, strips, three_channels

PLAIN_FORMS = {b"\x08\x00\0\0\0": 1, b"\x08\x02\0\0\0": 3}
"""The end of IHDR for 8 bits of gray or RGB, not interlaced, and the bytes of a pixel."""

END_MARK = b"\0\0\0\0IEND\xaeB`\x82"

SMALL = 2**18
"""The most bytes that are unpacked at once."""


def decode_png(content: Encoded, limits: Limits, pixel_range: PixelRange = None) -> tuple[Pixels, bool]:
    """Returns the pixels of a PNG file, H×W×3, upright and on white, and whether some of them are missing.

    Decoders differ in what damage they forgive, and in what they make of transparency. So this is the only one here,
    and it is given those chunks alone that pixels depend on.

    Raises:
        RecordError: at the stage `decode`, if it cannot be decoded within the limits.
    """
    plain = _decode_plain(content, limits)
    if plain is not None:
        return plain, False
    chunks = read_chunks(content)
    header = chunks.header
    header.check()
    limits.check_size(header.width, header.height)
    pixels = np.empty((header.height, header.width, 3), np.uint8)
    data = PngData(chunks, limits)
    for rows, columns in header.passes:
        _fill(pixels[rows, columns], chunks, data, pixel_range)
    data.check_end()
    return turned_upright(pixels, chunks.orientation), data.missing


def _decode_plain(content: Encoded, limits: Limits) -> Pixels | None:
    """Decodes a small file of the commonest form in half of the time.

    Such a file has IHDR, one IDAT and IEND, and 8 bits of gray or RGB.

    Returns:
        Pixels; None for all other files, and for whatever is wrong.
    """
    pixel_bytes = PLAIN_FORMS.get(bytes(content[24:29]))
    if len(content) < 57 or content[8:16] != b"\0\0\0\rIHDR" or pixel_bytes is None:
        return None
    width, height, header_sum, length, kind = struct.unpack_from(">II5xII4s", content, 16)
    end, raw_bytes = 41 + length, height * (1 + pixel_bytes * width)
    if kind != b"IDAT" or content[end + 4 :] != END_MARK or not width or not 0 < raw_bytes <= SMALL:
        return None
    view = memoryview(content)
    data_sum = struct.unpack_from(">I", content, end)[0]
    if crc32(view[12:29]) != header_sum or crc32(view[37:end]) != data_sum:
        return None
    limits.check_size(width, height)
    lines, decompressor = np.empty((height, pixel_bytes * width), np.uint8), IgzipDecompressor(DECOMP_ZLIB)
    try:
        data = decompressor.decompress(view[41:end], raw_bytes + 1)
        filters.unfilter(data, np.zeros(lines.shape[1], np.uint8), lines, pixel_bytes)
    except (IsalError, ValueError):  # type: ignore[misc]  # its stubs have the first as an object
        return None
    if not decompressor.eof:  # zlib's checksum comes last
        return None
    return three_channels(lines) if pixel_bytes == 1 else lines.reshape(height, width, 3)


def _fill(target: Pixels, chunks: PngChunks, data: PngData, pixel_range: PixelRange) -> None:
    """Fills the pixels of one pass, strip by strip, so that no second copy of all samples is made."""
    height, width = target.shape[:2]
    row_bytes = chunks.header.row_bytes(width)
    above, in_place = np.zeros(row_bytes, np.uint8), are_rgb(chunks) and target.flags.c_contiguous
    for rows in strips(height, width):
        strip = target[rows]
        lines = strip.reshape(len(strip), -1) if in_place else np.empty((len(strip), row_bytes), np.uint8)
        undo_filters(data.read(lines.size + len(lines)), above, lines, chunks.header.pixel_bytes)
        if not in_place:
            strip[:] = rgb_of(lines, width, chunks, pixel_range)
        above = lines[-1]
