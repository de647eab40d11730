"""Decodes by Pillow what has no decoder of its own here: WebP, GIF, BMP, TIFF, AVIF, JPEG 2000, and unusual JPEGs."""

import io
import struct
from typing import Any

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from bulklabel.model.errors import RecordError
from bulklabel.model.images.limits import Limits, truncated_image, unsupported_image
from bulklabel.model.images.orientation import UPRIGHT, orientation_in, turned_upright
from bulklabel.model.images.resize import Pixels
from bulklabel.model.images.samples import PixelRange, on_white, spread, strips, to_bytes

OPENERS = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
}
"""What reads each format: one class, and not Pillow's `open`, which tries all formats, some by starting other programs,
and has a limit for the whole process on how large an image may be."""

MOST_BANDS = 4

BITS, PHOTOMETRIC, BANDS, SAMPLE_FORMAT, COMPRESSION = 258, 262, 277, 339, 259
"""TIFF's tags."""

DATA_TAGS = ((273, 279), (324, 325))
"""TIFF's tags of where strips and tiles start, and of how long they are."""

BITS_BOX, BITS_AT = b"pixi", 9
"""The box of AVIF and HEIF that has the bits of each channel, and how far behind its name (ISO/IEC 23008-12, 6.5.6)."""

WHITE_IS_ZERO, YCBCR = 0, 6

JPEG2000_START = b"\xff\x4f\xff\x51"
"""The start of a codestream and its header (SIZ), whose byte 40 has the number of bands, and byte 42 the depth."""

CUT_OFF = ("runcated", "no more images", "only got")
"""What Pillow says of files that are cut off."""

SAMPLES_OF_MODE = {"I": "signed or 32-bit samples", "F": "floating-point samples"}

TIFF_SAMPLES = {2: "signed ", 3: "floating-point ", 5: "complex ", 6: "complex "}


def decode_other(content: bytes, kind: str, limits: Limits, pixel_range: PixelRange = None) -> tuple[Pixels, bool]:
    """Returns the pixels of a file of a kind in `OPENERS`, H×W×3, upright, and whether some of them are missing.

    Transparency is flattened on white, 16 bits are scaled to 8, and of several frames the first is taken.

    Raises:
        RecordError: at the stage `decode`, if it cannot be decoded within the limits.
    """
    if kind == "WEBP":
        _check_webp(content, limits)
    try:
        image: Any = _opener(kind)(io.BytesIO(content))
        limits.check_size(*image.size)
        _check_variant(content, kind, image)
        missing = _load(image, content, kind, limits)
        pixels = turned_upright(_to_rgb(image, content, kind, pixel_range), _orientation(image))
    except RecordError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly every type on damaged files
        raise _problem(error, content, kind) from error
    return pixels, missing


def _opener(kind: str) -> Any:
    if kind == "HEIF":
        from pillow_heif.as_plugin import HeifImageFile  # is an extra, which not everybody has

        return HeifImageFile
    return OPENERS[kind]


def _load(image: Any, content: bytes, kind: str, limits: Limits) -> bool:
    """Decodes the image's pixels, and returns whether some are missing.

    Raises:
        RecordError: if pixels are missing and that is to be rejected, or none can be decoded.
    """
    try:
        image.load()
    except Exception as error:
        problem = _problem(error, content, kind)
        if problem.reason != "truncated_image" or kind not in ("JPEG", "GIF", "BMP", "TIFF"):
            raise problem from error
        limits.check_truncated(kind, str(error))
        image.tile = []  # what was decoded until then is there, and the rest is black
        image.load()
        return True
    return False


def _orientation(image: Any) -> int:
    """Returns how the image is turned, as EXIF says, or else XMP; Pillow has turned TIFFs already."""
    try:
        return orientation_in(image.getexif()) or UPRIGHT
    except Exception:  # Pillow reads EXIF as a TIFF file, and raises as many types
        return UPRIGHT


def _to_rgb(image: Any, content: bytes, kind: str, pixel_range: PixelRange) -> Pixels:
    if image.mode in ("I", "F"):
        raise unsupported_image(f"a {kind} file of {SAMPLES_OF_MODE[image.mode]}, whose range is not known")
    deep, (bits, signed) = image.mode.startswith("I;16"), _depth(image, content, kind)
    if bits > 8 and pixel_range and not deep:
        raise unsupported_image(f"a {kind} file of {bits}-bit colors, whose values Pillow does not tell")
    white_is_zero = kind == "TIFF" and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for rows in strips(image.height, image.width):
        strip = image.crop((0, rows.start, image.width, rows.stop))
        if not deep:
            pixels[rows] = _strip_to_rgb(strip, image)
            continue
        samples = np.asarray(strip).astype(np.uint16)
        if kind == "TIFF":
            samples <<= 16 - bits  # as those of JPEG 2000 fill 16 bits already
        if pixel_range is None:
            gray = to_bytes(samples)
        else:
            values = (samples >> (16 - bits)).astype(np.int32) - (1 << (bits - 1) if signed else 0)
            gray = spread(values, *pixel_range)
        pixels[rows] = (255 - gray if white_is_zero else gray)[:, :, None]
    return pixels


def _strip_to_rgb(strip: Any, image: Any) -> Pixels:
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return on_white(np.asarray(strip.convert("RGBA")))
    return np.asarray(strip.convert("RGB"))


def _depth(image: Any, content: bytes, kind: str) -> tuple[int, bool]:
    """Returns the bits of a sample where that may be more than 8, and whether samples have a sign."""
    if kind == "TIFF":
        return image.tag_v2.get(BITS, (1,))[0], False
    if kind in ("AVIF", "HEIF"):
        box = content.find(BITS_BOX)
        return (content[box + BITS_AT] if 0 <= box < len(content) - BITS_AT else 8), False
    start = content.find(JPEG2000_START) if kind == "JPEG2000" else -1
    return ((content[start + 42] & 0x7F) + 1, content[start + 42] >= 0x80) if start >= 0 else (8, False)


def _check_variant(content: bytes, kind: str, image: Any) -> None:
    """Refuses what Pillow would show otherwise than it is: more than four bands, and YCbCr that is not packed.

    Raises:
        RecordError: if it is so.
    """
    bands = image.tag_v2.get(BANDS, 1) if kind == "TIFF" else _jpeg2000_bands(content) if kind == "JPEG2000" else 0
    if bands > MOST_BANDS:
        raise unsupported_image(f"a {kind} file of {bands} bands")
    if kind == "TIFF" and image.tag_v2.get(PHOTOMETRIC) == YCBCR and image.tag_v2.get(COMPRESSION, 1) == 1:
        raise unsupported_image("a TIFF file of uncompressed YCbCr")


def _jpeg2000_bands(content: bytes) -> int:
    """Returns how many bands the codestream's header (SIZ) says that there are; 0 if there is no such header."""
    start = content.find(JPEG2000_START)
    return struct.unpack_from(">H", content, start + 40)[0] if 0 <= start <= len(content) - 42 else 0


def _check_webp(content: bytes, limits: Limits) -> None:
    """Checks a WebP file's length, and its size in pixels, before Pillow allocates two frames of it.

    Raises:
        RecordError: if it is cut off or too large.
    """
    if len(content) < 30:
        raise truncated_image("WEBP", "it ends in its header")
    chunk, flags = content[12:16], content[20:30]
    if chunk == b"VP8X":
        size = (1 + int.from_bytes(flags[4:7], "little"), 1 + int.from_bytes(flags[7:10], "little"))
    elif chunk == b"VP8L":
        bits = int.from_bytes(flags[1:5], "little")
        size = (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    else:
        size = (int.from_bytes(flags[6:8], "little") & 0x3FFF, int.from_bytes(flags[8:10], "little") & 0x3FFF)
    limits.check_size(*size)


def _problem(error: Exception, content: bytes, kind: str) -> RecordError:
    """Returns why a file cannot be decoded: it is cut off, of a variant that is not supported, or damaged."""
    words = " ".join(f"{type(error).__name__}: {error}".split())
    if kind == "JPEG2000" and _jpeg2000_bands(content) > MOST_BANDS:
        return unsupported_image(f"a JPEG2000 file of {_jpeg2000_bands(content)} bands")
    if kind == "TIFF" and (variant := _tiff_variant(content)):
        lacking, words_of_it = variant
        if lacking:
            return truncated_image("TIFF", lacking)
        if isinstance(error, SyntaxError | KeyError):
            return unsupported_image(words_of_it)
    if kind == "WEBP" and len(content) < 8 + int.from_bytes(content[4:8], "little"):
        return truncated_image("WEBP", f"it has {len(content):,} bytes of those that it claims")
    if any(word in words for word in CUT_OFF) or (kind == "JPEG2000" and not content.endswith(b"\xff\xd9")):
        return truncated_image(kind, words)
    if any(word in words.lower() for word in ("unsupported", "not supported", "not yet supported")):
        return unsupported_image(f"a {kind} file ({words})")
    return RecordError("decode", "damaged_image", f"the {kind} file is damaged ({words})")


def _tiff_variant(content: bytes) -> tuple[str, str] | None:
    """Returns which data a TIFF file lacks, empty if none, and in words what it holds; None if its header is broken."""
    try:
        file = io.BytesIO(content)
        tags: Any = TiffImagePlugin.ImageFileDirectory_v2(file.read(16 if _is_big(content) else 8))
        file.seek(tags.next)
        if not _has_directory(content, tags.next):
            return "its directory is missing", ""
        tags.load(file)
        bits, bands = tags.get(BITS, (1,))[0], tags.get(BANDS, 1)
        sample_format = TIFF_SAMPLES.get(tags.get(SAMPLE_FORMAT, (1,))[0], "")
        ends = [
            offset + length
            for offsets, lengths in DATA_TAGS
            for offset, length in zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=False)
        ]
    except Exception:  # of a damaged header Pillow raises nearly every type
        return None
    lacking = max(ends, default=0) - len(content)
    words = f"a TIFF file of {bits}-bit {sample_format}samples, {bands} a pixel, photometric interpretation "
    words += f"{tags.get(PHOTOMETRIC)}, compression {tags.get(COMPRESSION, 1)}"
    return (f"it lacks {lacking:,} bytes" if lacking > 0 else "", words)


def _is_big(content: bytes) -> bool:
    return content[2:4] in (b"+\0", b"\0+")


def _has_directory(content: bytes, start: int) -> bool:
    """Tells whether all entries of a TIFF's directory are there, of 12 bytes each, or of 20 in a BigTIFF."""
    order = ">" if content.startswith(b"MM") else "<"
    count, length, entry = (order + "Q", 8, 20) if _is_big(content) else (order + "H", 2, 12)
    if start + length > len(content):
        return False
    return bool(start + length + entry * struct.unpack_from(count, content, start)[0] <= len(content))
