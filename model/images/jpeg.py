"""Reads what a JPEG file says of itself in its markers (ITU-T T.81, annex B), and tells whether all of it is there."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import simplejpeg

from bulklabel.model.errors import RecordError
from bulklabel.model.images.orientation import UPRIGHT, orientation_of_exif, orientation_of_xmp

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


def has_all_scans(data: bytes) -> bool:
    """Tells whether the scans of a JPEG file that may be cut off give every coefficient of each component in full.

    A progressive file that ends after one of its scans looks whole to a decoder, and blurred to people.
    """
    components: dict[int, set[int]] = {}
    for marker, content in _all_segments(data):
        if marker in START_OF_FRAME:
            components = {content[6 + 3 * index]: set() for index in range(content[5])}
        elif marker == START_OF_SCAN:
            first, last, bits = content[1 + 2 * content[0] : 4 + 2 * content[0]]
            if bits & 0x0F == 0:
                for index in range(content[0]):
                    components[content[1 + 2 * index]].update(range(first, last + 1))
    return bool(components) and all(len(coefficients) == COEFFICIENTS for coefficients in components.values())


def _all_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 2
    while match := MARKER.search(data, position):
        marker, start = match[1][0], match.end()
        if marker == END_OF_IMAGE[1] or start + 2 > len(data):
            return
        length = struct.unpack_from(">H", data, start)[0]
        yield marker, data[start + 2 : start + length]
        position = start + length
