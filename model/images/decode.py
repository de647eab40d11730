"""Turns the bytes of an image file into the pixels that a network takes: the one way, for training and for scoring."""

import re

import cv2
import numpy as np
import simplejpeg

from bulklabel.model.errors import RecordError
from bulklabel.model.images import jpeg
from bulklabel.model.images.kinds import EXTRAS, Encoded, Kind, format_of, has_extra, kind_of, other_format_of
from bulklabel.model.images.limits import DEFAULT_LIMITS, Limits
from bulklabel.model.images.orientation import turned_upright
from bulklabel.model.images.other_formats import OPENERS, decode_other
from bulklabel.model.images.png.decode import decode_png
from bulklabel.model.images.resize import Box, resize, spare_factor
from bulklabel.model.images.resize import Pixels as Pixels
from bulklabel.model.images.resize import Preprocessing as Preprocessing
from bulklabel.model.images.samples import PixelRange

PLAIN_WEBP = re.compile(
    rb"RIFF(?P<riff>.{4})WEBPVP8 (?P<frame>.{4})...\x9d\x01\x2a(?P<width>..)(?P<height>..)", re.DOTALL
)  # RFC 9649, 2.5, and RFC 6386, 9.1

SIDE = 2**14 - 1
"""The bits that are a side of a WebP image; those above are a hint for viewers."""

BATCH_BYTES = 16 * 2**20
MAX_BATCH_SIZE = 256


def batch_size_for(preprocessing: Preprocessing) -> int:
    """Returns how many images make a batch: a power of two, at most 256, whose pixels fit into 16 MiB.

    It follows from the model alone, since the shape of a batch may decide the last bit of an answer.

    >>> batch_size_for(Preprocessing(height=224, width=224)), batch_size_for(Preprocessing(height=32, width=32))
    (64, 256)
    """
    fitting = max(1, BATCH_BYTES // (preprocessing.height * preprocessing.width * 3))
    return int(min(MAX_BATCH_SIZE, 2 ** (fitting.bit_length() - 1)))


def decode(data: Encoded | None, preprocessing: Preprocessing, limits: Limits = DEFAULT_LIMITS) -> Pixels:
    """Returns the pixels of one image file at the network's size, height×width×3, uint8.

    Raises:
        RecordError: at the stage `read` if there are no bytes, at the stage `decode` if they are not an image.

    >>> import io
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (640, 480), "red").save(file, "PNG")
    >>> decode(file.getvalue(), Preprocessing(height=1, width=2)).tolist()
    [[[255, 0, 0], [255, 0, 0]]]
    """
    return decode_with_kind(data, preprocessing, limits)[0]


def decode_with_kind(
    data: Encoded | None, preprocessing: Preprocessing, limits: Limits = DEFAULT_LIMITS
) -> tuple[Pixels, Kind]:
    """Returns what `decode` returns, and the kind of image that it was.

    Raises:
        RecordError: as `decode` does.

    >>> import io
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (640, 480)).save(file, "JPEG")
    >>> pixels, kind = decode_with_kind(file.getvalue(), Preprocessing(height=32, width=32))
    >>> pixels.shape, kind
    ((32, 32, 3), Kind(format='JPEG', size=512, truncated=False))
    """
    if preprocessing.decode == "scaled" and data and format_of(data) == "JPEG":
        data = bytes(data)  # once, also where it is then decoded in full
        smaller = _decode_smaller(data, preprocessing, limits)
        if smaller is not None:
            pixels, box, size = smaller
            return resize(pixels, preprocessing, box), kind_of("JPEG", size)
    file_format, whole, truncated = _decode(data, limits, preprocessing.pixel_range)
    return resize(whole, preprocessing), kind_of(file_format, whole.shape, truncated)


def decode_whole(data: Encoded | None, limits: Limits = DEFAULT_LIMITS, pixel_range: PixelRange = None) -> Pixels:
    """Returns the pixels of one image file at its own size, H×W×3, uint8.

    EXIF orientation is applied, transparency is flattened on white, 16 bits are scaled to 8, and of several
    frames the first is taken.

    Raises:
        RecordError: at the stage `read` if there are no bytes, at the stage `decode` if they are not an image.
    """
    return _decode(data, limits, pixel_range)[1]


def _decode_smaller(
    data: bytes, preprocessing: Preprocessing, limits: Limits
) -> tuple[Pixels, Box, tuple[int, int]] | None:
    """Decodes a large JPEG file smaller than it is.

    Returns:
        Pixels, the box in them that is the image, and its own height and width; None for what is decoded in full.
    """
    header = jpeg.read_header(data)
    if header is None or not header.plain:
        return None
    limits.check_size(header.width, header.height)
    factor = spare_factor(*header.upright_size, preprocessing)
    try:
        return None if factor == 1 else (*jpeg.decode_smaller(data, header, factor), header.upright_size)
    except ValueError:  # decoding it in full tells what is wrong, and whether it matters
        return None


def _decode(data: Encoded | None, limits: Limits, pixel_range: PixelRange) -> tuple[str, Pixels, bool]:
    """Returns the format of one image file, its pixels at its own size, and whether some of them are missing."""
    if data is None:
        raise RecordError("read", "missing_image", "the image is null")
    if not data:
        raise RecordError("read", "empty_image", "the image has no bytes")
    file_format = format_of(data)
    if file_format == "PNG":
        return file_format, *decode_png(data, limits, pixel_range)
    data = bytes(data)  # which copies nothing but a view
    if file_format == "JPEG":
        return file_format, *_decode_jpeg(data, limits)
    if file_format == "WEBP" and (pixels := _decode_plain_webp(data, limits)) is not None:
        return file_format, pixels, False
    if file_format in OPENERS:
        return file_format, *decode_other(data, file_format, limits, pixel_range)
    if file_format is not None:
        return file_format, *_decode_by_extra(data, file_format, limits, pixel_range)
    other = other_format_of(data)
    if other:
        raise RecordError("decode", "unsupported_image", f"an image of the format {other}, which cannot be decoded")
    raise RecordError("decode", "not_an_image", f"it starts with {data[:8]!r}, as no image of a known format does")


def _decode_plain_webp(data: bytes, limits: Limits) -> Pixels | None:
    """Decodes a lossy WebP file of one frame and nothing else by OpenCV, in half of Pillow's time; both use libwebp.

    Returns:
        Pixels; None for what is not so plain, or damaged, which Pillow decodes or judges.
    """
    match = PLAIN_WEBP.match(data)
    header = {name: int.from_bytes(value, "little") for name, value in match.groupdict().items()} if match else {}
    if not header or not len(data) == header["riff"] + 8 == header["frame"] + header["frame"] % 2 + 20:
        return None
    limits.check_size(header["width"] & SIDE, header["height"] & SIDE)
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)  # type: ignore[return-value]


def _decode_by_extra(data: bytes, file_format: str, limits: Limits, pixel_range: PixelRange) -> tuple[Pixels, bool]:
    if not has_extra(file_format):
        detail = f"a {file_format} file, which needs bulklabel's extra `{EXTRAS[file_format][0]}` where it is scored"
        raise RecordError("decode", "unsupported_image", detail)
    if file_format == "DICOM":
        from bulklabel.model.images.dicom import decode_dicom  # imports what not everybody has

        return decode_dicom(data, limits, pixel_range)
    return decode_other(data, file_format, limits, pixel_range)


def _decode_jpeg(data: bytes, limits: Limits) -> tuple[Pixels, bool]:
    """Decodes by libjpeg-turbo, at two thirds of the time of Pillow, which uses it too and makes RGB of other colors.

    What libjpeg only warns of, besides missing data, is left to Pillow to judge.
    """
    header = jpeg.read_header(data)
    if header is None:
        return decode_other(data, "JPEG", limits)
    limits.check_size(header.width, header.height)
    colors, missing = "RGB" if header.plain else "CMYK", False
    try:
        pixels = simplejpeg.decode_jpeg(data, colors, strict=True)
    except ValueError as error:
        if "premature end" not in str(error).lower():
            return decode_other(data, "JPEG", limits)
        data += jpeg.END_OF_IMAGE
        missing = not _is_whole(data, colors)
        if missing:
            limits.check_truncated("JPEG", str(error))
        pixels = simplejpeg.decode_jpeg(data, colors, strict=False)
    if header.plain:
        return turned_upright(pixels, header.orientation), missing
    del pixels  # Pillow decodes it again, and there should not be two of it
    return decode_other(data, "JPEG", limits)[0], missing


def _is_whole(data: bytes, colors: str) -> bool:
    """Tells whether a JPEG file has all pixels, now that it has an end mark."""
    try:
        simplejpeg.decode_jpeg(data, colors, strict=True)
    except ValueError:
        return False
    return jpeg.has_all_scans(data)
