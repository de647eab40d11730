"""Finds out whether a JPEG file is plain enough to be decoded without Pillow, by its markers (ITU-T T.81, annex B)."""

import struct
from collections.abc import Iterator

import simplejpeg
from PIL import Image

from bulklabel.model.errors import RecordError

SIGNATURE = b"\xff\xd8\xff"

APP1, START_OF_SCAN = 0xE1, 0xDA
EXIF = b"Exif\0\0"
ORIENTATION, UPRIGHT = 0x0112, 1


def plain_size(data: bytes) -> tuple[int, int] | None:
    """Returns width and height of an upright JPEG file in grayscale or YCbCr; None for any other, or a damaged one."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=True)
        upright = all(_is_upright(content) for marker, content in _segments(data) if marker == APP1)
    except Exception:  # whatever is wrong, Pillow says it
        return None
    return (width, height) if upright and colours in ("Gray", "YCbCr") else None


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


def _is_upright(content: bytes) -> bool:
    """Whether an application segment leaves the image as it is: Exif and XMP both may turn it."""
    if not content.startswith(EXIF):
        return b"Orientation" not in content
    exif = Image.Exif()
    exif.load(content)
    return bool(exif.get(ORIENTATION, UPRIGHT) == UPRIGHT)
