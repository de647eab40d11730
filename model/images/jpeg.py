"""Reads what a JPEG file says of itself in its markers (ITU-T T.81, annex B), and decodes it smaller than it is."""

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import simplejpeg

from bulklabel.model.errors import RecordError
from bulklabel.model.images.orientation import LYING, UPRIGHT, orientation_of_exif, orientation_of_xmp, turned_upright
from bulklabel.model.images.resize import Box, Pixels

APP1, START_OF_SCAN = 0xE1, 0xDA
EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"

END_OF_IMAGE = b"\xff\xd9"

START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}

MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
"""Finds the next marker in what a scan has coded, where a stuffed zero or a restart is none."""

COEFFICIENTS = 64


@dataclass(frozen=True)
class JpegHeader:
    """Holds size in pixels, the orientation as EXIF counts it, and whether the colors are gray or YCbCr."""

    width: int
    height: int
    orientation: int
    plain: bool

    @property
    def upright_size(self) -> tuple[int, int]:
        """Returns height and width of the image when it is turned upright."""
        return (self.width, self.height) if self.orientation >= LYING else (self.height, self.width)


def read_header(data: bytes) -> JpegHeader | None:
    """Returns what a JPEG file's header says; None if it cannot be understood."""
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data, strict=True)
        return JpegHeader(width, height, _orientation(data), colors in ("Gray", "YCbCr"))
    except Exception:  # whatever is wrong, Pillow says it
        return None


def _orientation(data: bytes) -> int:
    by_exif = by_xmp = None
    for marker, content in _segments(data):
        if marker == APP1 and content.startswith(EXIF):
            by_exif = by_exif or orientation_of_exif(content)
        elif marker == APP1 and content.startswith(XMP):
            by_xmp = by_xmp or orientation_of_xmp(content)
    return by_exif or by_xmp or UPRIGHT


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields the marker segments before the pixels."""
    position = 2
    while data[position] == 0xFF:
        marker, length = struct.unpack_from(">xBH", data, position)
        if marker == START_OF_SCAN:
            return
        yield marker, data[position + 4 : position + 2 + length]
        position += 2 + length
    raise RecordError("decode", "damaged_image", "the JPEG file's markers are not where they should be")


def decode_smaller(data: bytes, header: JpegHeader, factor: int) -> tuple[Pixels, Box]:
    """Decodes a plain JPEG file so many times smaller, and turns it upright.

    Where a side is no multiple of the factor, the last row or column stands partly for what the encoder filled its
    blocks up with, which may be anything (libjpeg-turbo#297): it is made equal to the one before.

    Returns:
        Pixels, and the box in them that is the image.

    Raises:
        ValueError: if there is anything wrong with the file.
    """
    height, width = header.height / factor, header.width / factor
    least = {"min_height": math.ceil(height), "min_width": math.ceil(width)}
    pixels = simplejpeg.decode_jpeg(data, strict=True, min_factor=factor, **least)
    below, right = pixels.shape[0] - height, pixels.shape[1] - width
    if below:
        pixels[-1] = pixels[-2]
    if right:
        pixels[:, -1] = pixels[:, -2]
    margins = np.array([[0, 0, 0], [0, 0, right], [0, below, 0]], float)[:, :, None]
    (_, top, _), (left, _, right), (_, below, _) = turned_upright(margins, header.orientation)[:, :, 0].tolist()
    pixels = turned_upright(pixels, header.orientation)
    return pixels, (left, top, pixels.shape[1] - right, pixels.shape[0] - below)


def has_all_scans(data: bytes) -> bool:
    """Tells whether the scans of a JPEG file that may be cut off give every coefficient of each component in full.

    A progressive file that ends after one of its scans looks whole to a decoder, and blurred to people.
    """
    components: dict[int, set[int]] = {}
    for marker, content in all_segments(data):
        if marker in START_OF_FRAME:
            components = {content[6 + 3 * index]: set() for index in range(content[5])}
        elif marker == START_OF_SCAN:
            first, last, bits = content[1 + 2 * content[0] : 4 + 2 * content[0]]
            if bits & 0x0F == 0:
                for index in range(content[0]):
                    components[content[1 + 2 * index]].update(range(first, last + 1))
    return bool(components) and all(len(coefficients) == COEFFICIENTS for coefficients in components.values())


def all_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields the marker segments up to the end mark, those between scans, too."""
    position = 2
    while match := MARKER.search(data, position):
        marker, start = match[1][0], match.end()
        if marker == END_OF_IMAGE[1] or start + 2 > len(data):
            return
        length = struct.unpack_from(">H", data, start)[0]
        yield marker, data[start + 2 : start + length]
        position = start + length
