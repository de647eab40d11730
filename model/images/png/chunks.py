"""Reads the chunks of PNG files that pixels depend on, and verifies their checksums (https://www.w3.org/TR/png-3/)."""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from isal.isal_zlib import crc32

from bulklabel.model.errors import RecordError
from bulklabel.model.images.kinds import Encoded
from bulklabel.model.images.limits import truncated_image
from bulklabel.model.images.orientation import UPRIGHT, orientation_of_exif, orientation_of_xmp
from bulklabel.model.images.png.header import GRAY, PALETTE, RGB, SIGNATURE, PngHeader, damaged_png
from bulklabel.model.images.resize import Pixels
from bulklabel.model.images.samples import on_white

NEEDLESS = re.compile(
    rb"pHYs|gAMA|cHRM|sRGB|iCCP|sBIT|bKGD|hIST|tIME|sPLT|cICP|mDCV|mDCv|cLLI|cLLi|oFFs|pCAL|sCAL|sTER"
)
"""Chunks on which no pixel depends, so that not even their checksums matter."""

TEXT = (b"tEXt", b"zTXt", b"iTXt")

XMP, PROFILES = b"XML:com.adobe.xmp", (b"Raw profile type exif", b"Raw profile type APP1")
"""The keywords of text that may turn the image: by Adobe, and by ImageMagick."""

MOST_TEXT = 2**24
"""Bytes of text that are unpacked at most."""


@dataclass
class PngChunks:
    """Holds the chunks of a PNG file that decide its pixels.

    `by_exif` and `by_xmp` are how these say that the image is turned, the first that can be understood counting;
    `ended` tells that the file has its end mark, and `cut` that its last IDAT is cut off, before the checksum.
    """

    header: PngHeader
    palette: bytes = b""
    transparency: bytes = b""
    data: list[memoryview] = field(default_factory=list)
    by_exif: int | None = None
    by_xmp: int | None = None
    ended: bool = False
    cut: bool = False

    @property
    def orientation(self) -> int:
        """Returns how the image is turned: as EXIF says, or else XMP."""
        return self.by_exif or self.by_xmp or UPRIGHT

    @cached_property
    def colors(self) -> Pixels:
        """Returns the colors of all 256 indices on white; those that the palette lacks are black."""
        colors = np.frombuffer(self.palette.ljust(3 * 256, b"\0"), np.uint8).reshape(256, 3)
        if not self.transparency:
            return colors
        alpha = np.frombuffer(self.transparency.ljust(256, b"\xff"), np.uint8)
        return on_white(np.column_stack([colors, alpha])[None])[0]  # type: ignore[no-any-return]


def read_chunks(content: Encoded) -> PngChunks:
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
            raise damaged_png(f"its chunk {_name(kind)} has a wrong checksum")
        if kind == b"IHDR" and chunks is None and len(body) == 13:
            chunks = PngChunks(PngHeader(*struct.unpack(">IIBBBBB", body)))
        elif chunks is not None:
            _add(chunks, kind, body)
            chunks.cut = verified is None
    if chunks is None:
        raise damaged_png("it has no header")
    if chunks.header.color_type == PALETTE and chunks.data and not chunks.palette:
        raise damaged_png("it has no palette")
    if not chunks.data:
        raise damaged_png("it has no data") if chunks.ended else truncated_image("PNG", "it ends before its pixels")
    return chunks


def _chunks(content: Encoded) -> Iterator[tuple[bytes, memoryview, bool | None]]:
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
        yield kind, view[position + 8 : end], crc32(view[position + 4 : end]) == checksum
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
    if kind == b"PLTE":
        if header.color_type == PALETTE and early and not chunks.palette:
            chunks.palette = _palette(bytes(body), header)
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


def _palette(body: bytes, header: PngHeader) -> bytes:
    if len(body) % 3 or len(body) > 3 * 256:
        raise damaged_png(f"its palette has {len(body):,} bytes")
    return body[: 3 * 2**header.bit_depth]


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


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")
