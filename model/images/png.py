"""Decodes PNG files in one way, from the chunks that pixels depend on alone (https://www.w3.org/TR/png-3/)."""

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from bulklabel.model.errors import RecordError
from bulklabel.model.images.limits import Limits, truncated_image
from bulklabel.model.images.orientation import UPRIGHT, orientation_of_exif, orientation_of_xmp, turned_upright
from bulklabel.model.images.resize import Pixels
from bulklabel.model.images.samples import PixelRange, on_white, strips, to_bytes

SIGNATURE = b"\x89PNG\r\n\x1a\n"

GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6

DEPTHS = {GRAY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GRAY_ALPHA: (8, 16), RGB_ALPHA: (8, 16)}
"""Bits a sample that each color type may have."""

CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGB_ALPHA: 4}

PLAIN_FORMS = (b"\x08\x00\0\0\0", b"\x08\x02\0\0\0")
"""The end of IHDR: 8 bits of gray or RGB, not interlaced."""

END_MARK = b"\0\0\0\0IEND\xaeB`\x82"

NEEDLESS = re.compile(
    rb"pHYs|gAMA|cHRM|sRGB|iCCP|sBIT|bKGD|hIST|tIME|sPLT|cICP|mDCV|mDCv|cLLI|cLLi|oFFs|pCAL|sCAL|sTER"
)
"""Chunks on which no pixel depends, so that not even their checksums matter."""

TEXT = (b"tEXt", b"zTXt", b"iTXt")

XMP, PROFILES = b"XML:com.adobe.xmp", (b"Raw profile type exif", b"Raw profile type APP1")
"""The keywords of text that may turn the image: by Adobe, and by ImageMagick."""

MOST_TEXT = 2**24
"""Bytes of text that are unpacked at most."""

PIECE = 2**20
"""Bytes of data that are unpacked and packed at once."""

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Where the passes of an interlaced image start, and their steps: x, y, x, y."""


@dataclass(frozen=True)
class PngHeader:
    """Holds what IHDR says: size in pixels, bits a sample, and how samples make a pixel."""

    width: int
    height: int
    bit_depth: int
    color_type: int
    compression: int
    filtering: int
    interlaced: int

    def check(self) -> None:
        """Checks that the standard knows such an image.

        Raises:
            RecordError: if it does not.
        """
        known = self.bit_depth in DEPTHS.get(self.color_type, ())
        if not known or self.compression or self.filtering or self.interlaced > 1:
            raise _damaged("its header claims what no PNG file is")

    @property
    def raw_bytes(self) -> int:
        """Returns the length of the unpacked data: of each row, and a byte before it that names its filter."""
        passes = ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        bits = self.bit_depth * CHANNELS[self.color_type]
        total = 0
        for left, top, across, down in passes:
            columns, rows = -(-(self.width - left) // across), -(-(self.height - top) // down)
            total += rows * (1 + (columns * bits + 7) // 8) if columns > 0 and rows > 0 else 0
        return total


@dataclass
class PngChunks:
    """Holds the chunks of a PNG file that decide its pixels.

    `by_exif` and `by_xmp` are how these say that the image is turned, the first that can be understood counting;
    `ended` tells that the file has its end mark, `cut` that its last IDAT is cut off, before the checksum,
    and `plain` that it holds nothing but what pixels depend on.
    """

    header: PngHeader
    palette: bytes = b""
    transparency: bytes = b""
    data: list[memoryview] = field(default_factory=list)
    by_exif: int | None = None
    by_xmp: int | None = None
    ended: bool = False
    cut: bool = False
    plain: bool = True

    @property
    def orientation(self) -> int:
        """Returns how the image is turned: as EXIF says, or else XMP."""
        return self.by_exif or self.by_xmp or UPRIGHT


def decode_png(content: bytes, limits: Limits, pixel_range: PixelRange = None) -> tuple[Pixels, bool]:
    """Returns the pixels of a PNG file, H×W×3, upright and on white, and whether some of them are missing.

    libpng and Pillow differ in what damage they forgive, and in what they make of transparency. So checksums are
    verified here, and one decoder is given those chunks alone that pixels depend on.

    Raises:
        RecordError: at the stage `decode`, if it cannot be decoded within the limits.
    """
    size = _plain_size(content)
    if size is not None:
        limits.check_size(*size)
        plain = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
        if plain is not None:
            return plain, False  # type: ignore[return-value]
    chunks = read_chunks(content)
    chunks.header.check()
    limits.check_size(chunks.header.width, chunks.header.height)
    pixels, missing = None, False
    if chunks.ended:
        pixels = _decode(content if chunks.plain else _file(chunks, chunks.data), chunks, pixel_range)
    if pixels is None:
        data, missing = _completed(chunks, limits)
        pixels = _decode(_file(chunks, [memoryview(data)]), chunks, pixel_range)
    if pixels is None:
        raise _damaged("its pixels cannot be decompressed")
    return turned_upright(pixels, chunks.orientation), missing


def _plain_size(content: bytes) -> tuple[int, int] | None:
    """Returns width and height of a file of the commonest form, whose checksums hold; None for all other files.

    Such a file has IHDR, one IDAT and IEND, and 8 bits of gray or RGB. It needs none of what comes below, which costs a
    small image a quarter of its decoding.
    """
    if len(content) < 57 or content[8:16] != b"\0\0\0\rIHDR" or content[24:29] not in PLAIN_FORMS:
        return None
    width, height, header_sum, length, kind = struct.unpack_from(">II5xII4s", content, 16)
    end = 41 + length
    if kind != b"IDAT" or content[end + 4 :] != END_MARK:
        return None
    view = memoryview(content)
    data_sum = struct.unpack_from(">I", content, end)[0]
    if zlib.crc32(view[12:29]) != header_sum or zlib.crc32(view[37:end]) != data_sum:
        return None
    return width, height


def read_chunks(content: bytes) -> PngChunks:
    """Returns the chunks of a PNG file that its pixels depend on, verified by their checksums.

    Raises:
        RecordError: at the stage `decode`, if a checksum is wrong, there is no header, or no data.
    """
    chunks: PngChunks | None = None
    for kind, body, verified in _chunks(content):
        if chunks is None and kind != b"IHDR":
            if kind == b"CgBI":
                raise RecordError("decode", "unsupported_image", "a PNG file in Apple's own variant for apps (CgBI)")
            break
        if verified is False and not (NEEDLESS.fullmatch(kind) or (kind in TEXT and not _may_turn(body))):
            raise _damaged(f"its chunk {_name(kind)} has a wrong checksum")
        if kind == b"IHDR" and chunks is None and len(body) == 13:
            chunks = PngChunks(PngHeader(*struct.unpack(">IIBBBBB", body)))
        elif chunks is not None:
            _add(chunks, kind, body)
            chunks.cut = verified is None
    if chunks is None:
        raise _damaged("it has no header")
    if chunks.header.color_type == PALETTE and chunks.data and not chunks.palette:
        raise _damaged("it has no palette")
    if not chunks.data:
        raise _damaged("it has no data") if chunks.ended else truncated_image("PNG", "it ends before its pixels")
    return chunks


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview, bool | None]]:
    """Yields kind and content of each chunk up to the end mark, and whether the checksum is right.

    An IDAT that is cut off is yielded as far as it goes, since all pixels may be in it, and None for its checksum.
    """
    position, view = len(SIGNATURE), memoryview(content)
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 8 + length
        if end + 4 > len(content):
            if kind == b"IDAT":
                yield kind, view[position + 8 : end], None
            return
        checksum = struct.unpack_from(">I", content, end)[0]
        yield kind, view[position + 8 : end], zlib.crc32(view[position + 4 : end]) == checksum
        if kind == b"IEND":
            return
        position = end + 4


def _add(chunks: PngChunks, kind: bytes, body: memoryview) -> None:
    """Adds a chunk to those that decide pixels; one that is out of place is left aside, as libpng does."""
    header, early = chunks.header, not chunks.data
    if kind == b"IDAT":
        chunks.data.append(body)
        return
    if kind == b"IEND":
        chunks.ended = True
        return
    chunks.plain = False
    if kind == b"PLTE":
        if header.color_type == PALETTE and early and not chunks.palette:
            chunks.palette = bytes(body)
    elif kind == b"tRNS":
        fits = {GRAY: len(body) == 2, RGB: len(body) == 6, PALETTE: 0 < len(body) <= len(chunks.palette) // 3}
        if fits.get(header.color_type) and early and not chunks.transparency:
            chunks.transparency = bytes(body)
    elif kind == b"eXIf":
        chunks.by_exif = chunks.by_exif or orientation_of_exif(bytes(body))
    elif kind in TEXT:
        _add_text(chunks, kind, bytes(body))
    elif not kind[0] & 0x20:  # by the standard, whoever does not know such a chunk must not show the image
        raise RecordError(
            "decode", "unsupported_image", f"a PNG file with the chunk {_name(kind)}, which is no standard's"
        )


def _may_turn(body: memoryview) -> bool:
    """Tells whether a text, perhaps a damaged one, may be about orientation."""
    text = bytes(body)
    return b"rientation" in text or text.startswith((XMP, *PROFILES))


def _add_text(chunks: PngChunks, kind: bytes, body: bytes) -> None:
    keyword, _, text = body.partition(b"\0")
    if keyword != XMP and keyword not in PROFILES:
        return
    packed = kind == b"zTXt"
    if kind == b"iTXt":
        packed, text = text[:1] == b"\1", text[2:].split(b"\0", 2)[-1]
    elif packed:
        text = text[1:]
    if packed:
        try:
            text = zlib.decompressobj().decompress(text, MOST_TEXT)
        except zlib.error:
            return
    if keyword == XMP:
        chunks.by_xmp = chunks.by_xmp or orientation_of_xmp(text)
    else:
        chunks.by_exif = chunks.by_exif or orientation_of_exif(_profile(text))


def _profile(text: bytes) -> bytes:
    """Returns the EXIF in a profile of ImageMagick's, which has a name, a length, and hexadecimal digits, in lines."""
    try:
        return bytes.fromhex("".join(text.decode("ascii").split()[2:]))
    except ValueError:
        return b""


def _decode(content: bytes, chunks: PngChunks, pixel_range: PixelRange) -> Pixels | None:
    """Decodes to RGB, upright or not; None if the data are not what the header claims."""
    header, transparency = chunks.header, chunks.transparency
    file = np.frombuffer(content, np.uint8)
    if header.bit_depth <= 8 and header.color_type in (GRAY, RGB, PALETTE) and not transparency:
        return cv2.imdecode(file, cv2.IMREAD_COLOR_RGB)  # type: ignore[return-value]
    samples: Any = cv2.imdecode(file, cv2.IMREAD_UNCHANGED)
    if samples is None:
        return None
    pixels = np.empty((*samples.shape[:2], 3), np.uint8)
    for rows in strips(*samples.shape[:2]):
        pixels[rows] = _to_rgb(samples[rows], header, transparency, pixel_range)
    return pixels


def _to_rgb(samples: Any, header: PngHeader, transparency: bytes, pixel_range: PixelRange) -> Pixels:
    """Returns OpenCV's samples, which are gray, BGR or BGRA, as RGB on white."""
    if header.color_type == GRAY:
        gray = to_bytes(samples, pixel_range)
        if not transparency:
            return np.dstack([gray, gray, gray])
        clear = struct.unpack(">H", transparency)[0]
        if header.bit_depth < 8:
            clear *= 255 // (2**header.bit_depth - 1)
        return on_white(np.dstack([gray, gray, gray, np.where(samples == clear, 0, 255).astype(np.uint8)]))
    colors = to_bytes(samples[:, :, 2::-1], pixel_range)
    return on_white(np.dstack([colors, to_bytes(samples[:, :, 3])])) if samples.shape[2] == 4 else colors


def _file(chunks: PngChunks, data: Sequence[memoryview]) -> bytes:
    """Returns a PNG file of the chunks alone that pixels depend on."""
    header = chunks.header
    parts = [(b"IHDR", struct.pack(">IIBBBBB", *vars(header).values()))]
    parts += [(b"PLTE", chunks.palette)] if chunks.palette else []
    parts += [(b"tRNS", chunks.transparency)] if chunks.transparency else []
    parts += [(b"IDAT", b"".join(data)), (b"IEND", b"")]
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
        for kind, body in parts
    )


def _completed(chunks: PngChunks, limits: Limits) -> tuple[bytes, bool]:
    """Returns IDAT as if nothing had been cut off, black or transparent where pixels are missing, and whether any are.

    Raises:
        RecordError: if what is there is damaged, or pixels are missing and that is to be rejected.
    """
    wanted, unpacked = chunks.header.raw_bytes, 0
    unpacking, packing = zlib.decompressobj(), zlib.compressobj(1)
    packed, rest = bytearray(), b"".join(chunks.data)
    try:
        while raw := unpacking.decompress(rest, PIECE):
            unpacked, rest = unpacked + len(raw), unpacking.unconsumed_tail
            packed += packing.compress(raw)
            if unpacked > wanted:
                raise _damaged("it has more pixels than its header claims")
    except zlib.error as error:
        raise _damaged(f"its pixels cannot be decompressed ({error})") from error
    unverified = chunks.cut and not unpacking.eof  # zlib has a checksum of its own, at its end
    missing = unpacked < wanted or unverified
    if missing:
        lacking = "all checksums" if unpacked == wanted else f"{wanted - unpacked:,} of {wanted:,} bytes of pixels"
        limits.check_truncated("PNG", f"{lacking} are missing")
    for start in range(unpacked, wanted, PIECE):
        packed += packing.compress(bytes(min(PIECE, wanted - start)))
    return bytes(packed + packing.flush()), missing


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")


def _damaged(detail: str) -> RecordError:
    return RecordError("decode", "damaged_image", f"the PNG file is damaged: {detail}")
