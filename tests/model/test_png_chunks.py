"""PNG files of any chunks: what is scored has the pixels that the standard says, whichever decoder they meet."""

import io
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from bulklabel.model.errors import RecordError
from bulklabel.model.images.decode import decode_whole
from bulklabel.model.images.limits import Limits
from bulklabel.model.images.png.header import DEPTHS, GRAY, GRAY_ALPHA, PALETTE, RGB, RGB_ALPHA
from tests.support.png_files import chunk, interlaced_rows_of, png_of, rows_of, xmp

BANDS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGB_ALPHA: 4}

IDLE = (
    *(chunk(b"pHYs", bytes(9)), chunk(b"gAMA", struct.pack(">I", 100_000)), chunk(b"sRGB", b"\0")),
    *(chunk(b"tEXt", b"Comment\0tiff"), chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x")), chunk(b"tIME", bytes(7))),
    *(chunk(b"iCCP", b"no profile"), chunk(b"acTL", bytes(8)), chunk(b"prVt", b"private"), chunk(b"eXIf", b"broken")),
    *(chunk(b"bKGD", bytes(6)), chunk(b"sBIT", b"\1\1\1"), chunk(b"cICP", bytes([9, 16, 0, 1]))),
)
"""Chunks on which no pixel depends."""


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def itxt(text: bytes, packed: bool) -> bytes:
    body = zlib.compress(text) if packed else text
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0" + bytes([packed, 0]) + b"\0\0" + body)


def profile(content: bytes, packed: bool) -> bytes:
    """EXIF as ImageMagick writes it."""
    text = b"\nexif\n%8d\n%s\n" % (len(content), content.hex().encode())
    body = b"\0" + zlib.compress(text) if packed else text
    return chunk(b"zTXt" if packed else b"tEXt", b"Raw profile type exif\0" + body)


def turning(kind: str, orientation: int) -> list[bytes]:
    packed = kind.endswith("packed")
    chunks = {
        "none": [],
        "exif": [chunk(b"eXIf", exif(orientation)[6:]), itxt(xmp(3), packed=False)],
        "xmp": [itxt(xmp(orientation), packed)],
        "profile": [profile(exif(orientation), packed)],
    }
    return chunks[kind.removesuffix(" packed")]


@st.composite
def images(draw: st.DrawFn) -> tuple[bytes, np.ndarray]:
    """A PNG file, and its pixels as the standard has them: by numpy alone, but for mixing with white."""
    color = draw(st.sampled_from(sorted(BANDS)))
    depth = draw(st.sampled_from(DEPTHS[color]))
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    numbers = np.random.default_rng(draw(st.integers(0, 2**16)))
    palette = numbers.integers(0, 256, (2 ** min(depth, 8), 3))
    samples = numbers.integers(0, draw(st.sampled_from([2, 2**depth])), (height, width, BANDS[color]))
    opaque = 2**depth - 1
    chunks, clear = [], None
    if color == PALETTE:
        chunks.append(chunk(b"PLTE", palette.astype(np.uint8).tobytes()))
    if color not in (GRAY_ALPHA, RGB_ALPHA) and draw(st.booleans()):
        clear = numbers.integers(0, 256, len(palette) // 2 + 1) if color == PALETTE else samples[0, 0]
        chunks.append(chunk(b"tRNS", clear.astype(np.uint8 if color == PALETTE else ">u2").tobytes()))
    if color == PALETTE:
        alpha = np.full(len(palette), 255)
        alpha[: len(clear) if clear is not None else 0] = clear if clear is not None else ()
        colors, alpha = palette[samples[:, :, 0]], alpha[samples[:, :, 0]]
    else:
        colors = samples[:, :, : 3 if color in (RGB, RGB_ALPHA) else 1].repeat(1 if color in (RGB, RGB_ALPHA) else 3, 2)
        alpha = samples[:, :, -1] if color in (GRAY_ALPHA, RGB_ALPHA) else np.full((height, width), opaque)
        if clear is not None:
            alpha = np.where((samples == clear).all(axis=2), 0, opaque)
        colors, alpha = (eight_bits(values, depth) for values in (colors, alpha))
    orientation = draw(st.integers(1, 8))
    kind = draw(st.sampled_from(["none", "exif", "xmp", "xmp packed", "profile", "profile packed"]))
    expected = turned(on_white(colors, alpha), orientation if kind != "none" else 1)
    interlaced = draw(st.booleans())
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    idle = draw(st.lists(st.sampled_from(IDLE), max_size=3))
    idle = [broken(some) if some[4:8] in (b"pHYs", b"gAMA", b"tEXt") and draw(st.booleans()) else some for some in idle]
    chunks_of_turning = turning(kind, orientation)
    before, after = ([*idle, *chunks_of_turning], []) if draw(st.booleans()) else (idle, chunks_of_turning)
    filters = draw(st.lists(st.integers(0, 4), min_size=1, max_size=9))
    data = (interlaced_rows_of if interlaced else rows_of)(samples, depth, filters)
    file = png_of(header, *before, *chunks, data=data)
    return file[:-12] + b"".join(after) + file[-12 if draw(st.booleans()) else len(file) :], expected


def broken(some: bytes) -> bytes:
    return some[:-1] + bytes([some[-1] ^ 1])


def eight_bits(values: np.ndarray, depth: int) -> np.ndarray:
    return values >> 8 if depth == 16 else values * (255 // (2**depth - 1))


def on_white(colors: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    image = Image.fromarray(np.dstack([colors, alpha]).astype(np.uint8))
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(white, image))[:, :, :3]


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    tags = Image.Exif()
    tags[0x0112] = orientation
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


@given(images())
def test_every_pixel_is_what_the_standard_says(image: tuple[bytes, np.ndarray]) -> None:
    content, expected = image
    assert np.array_equal(decode_whole(content), expected)


@pytest.mark.parametrize("bands", [3, 4])
def test_a_png_is_turned_with_alpha_and_without(bands: int) -> None:
    """Pillow#4529: XMP, as Preview writes it, in an image whose alpha says nothing."""
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, bands), np.uint8)
    pixels[:, :, 3:] = 255
    header = struct.pack(">IIBBBBB", 7, 5, 8, RGB if bands == 3 else RGB_ALPHA, 0, 0, 0)
    content = png_of(header, itxt(xmp(6), packed=False), data=rows_of(pixels, 8))
    assert np.array_equal(decode_whole(content), np.rot90(pixels[:, :, :3], -1))


def simple(*chunks: bytes) -> bytes:
    return png_of(struct.pack(">IIBBBBB", 8, 8, 8, RGB, 0, 0, 0), *chunks, data=bytes(8 * 25))


def problem(content: bytes, limits: Limits | None = None) -> tuple[str, str]:
    with pytest.raises(RecordError) as caught:
        decode_whole(content, limits or Limits())
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [
        (simple(broken(chunk(b"tRNS", bytes(6)))), "damaged_image", "tRNS has a wrong checksum"),
        (simple(broken(chunk(b"PLTE", bytes(6)))), "damaged_image", "PLTE has a wrong checksum"),
        (simple(broken(chunk(b"eXIf", exif(6)))), "damaged_image", "eXIf has a wrong checksum"),
        (simple(broken(itxt(xmp(6), packed=True))), "damaged_image", "iTXt has a wrong checksum"),
        (simple(broken(chunk(b"pHYt", bytes(9)))), "damaged_image", "pHYt has a wrong checksum"),
        (simple(chunk(b"NEWC", b"")), "unsupported_image", "the chunk NEWC"),
        (simple()[:8] + chunk(b"CgBI", bytes(4)) + simple()[8:], "unsupported_image", "Apple's own variant"),
        (png_of(struct.pack(">IIBBBBB", 8, 8, 3, RGB, 0, 0, 0)), "damaged_image", "what no PNG file is"),
        (png_of(struct.pack(">IIBBBBB", 8, 8, 8, PALETTE, 0, 0, 0), data=bytes(72)), "damaged_image", "no palette"),
        (simple()[:40], "truncated_image", "before its pixels"),
        (simple()[:-25], "truncated_image", "bytes of pixels are missing"),
    ],
    ids=range(11),
)
def test_what_pixels_depend_on_must_be_whole(content: bytes, reason: str, words: str) -> None:
    found, detail = problem(content)
    assert found == reason
    assert words in detail


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("color", [RGB, RGB_ALPHA])
def test_what_is_there_of_a_png_is_scored_if_asked_for(color: int, interlaced: bool) -> None:
    samples = np.random.default_rng(1).integers(1, 256, (64, 64, BANDS[color]))
    samples[:, :, 3:] = 255
    header = struct.pack(">IIBBBBB", 64, 64, 8, color, 0, 0, interlaced)
    content = png_of(header, data=(interlaced_rows_of if interlaced else rows_of)(samples, 8))
    for cut in (len(content) // 2, len(content) - 40):
        assert problem(content[:cut])[0] == "truncated_image"
        pixels = decode_whole(content[:cut], Limits(truncated="score"))
        there = (pixels == samples[:, :, :3]).all(axis=2)
        assert there.mean() > 0.4
        assert (pixels[~there].reshape(-1, 3).min(axis=1) == (255 if color == RGB_ALPHA else 0)).mean() > 0.9
    for cut in (1, 4, 12, 16):  # the end mark, and the checksum before it
        assert np.array_equal(decode_whole(content[:-cut]), samples[:, :, :3])


ROWS = rows_of(np.random.default_rng(3).integers(0, 256, (8, 8, 3)), 8)


def in_chunks(*data: bytes, end: bool = True) -> bytes:
    """A PNG file of 8×8 pixels, whose data are in several chunks."""
    file = png_of(struct.pack(">IIBBBBB", 8, 8, 8, RGB, 0, 0, 0))
    return file[:33] + b"".join(chunk(b"IDAT", some) for some in data) + (file[-12:] if end else b"")


def test_data_may_be_in_any_number_of_chunks() -> None:
    packed, whole = zlib.compress(ROWS), decode_whole(in_chunks(zlib.compress(ROWS)))
    bytewise = [packed[i : i + 1] for i in range(len(packed))]
    for content in (in_chunks(b"", packed[:9], b"", packed[9:]), in_chunks(*bytewise), in_chunks(packed, b"")):
        assert np.array_equal(decode_whole(content), whole)


@pytest.mark.parametrize("end", [True, False], ids=["with IEND", "without"])
def test_what_comes_after_the_last_pixel_does_not_matter(end: bool) -> None:
    packed, whole = zlib.compress(ROWS), decode_whole(in_chunks(zlib.compress(ROWS)))
    for content in (packed[:-4], packed + b"more", zlib.compress(ROWS + ROWS), zlib.compress(ROWS + b"x")):
        assert np.array_equal(decode_whole(in_chunks(content, end=end)), whole)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (zlib.compress(ROWS)[:-1] + b"?", "cannot be decompressed"),  # zlib's own checksum
        (b"\x78\x9d" + zlib.compress(ROWS)[2:], "cannot be decompressed"),  # and that of its header
        (zlib.compress(b"\5" + ROWS[1:]), "a filter that PNG does not know"),
        (zlib.compress(ROWS[:-25] + b"\xff" + ROWS[-24:]), "a filter that PNG does not know"),
        (b"\x78\x9c\7" + zlib.compress(ROWS)[3:], "cannot be decompressed"),  # a block of no kind
    ],
    ids=range(5),
)
@pytest.mark.parametrize("ended", [True, False])
def test_data_that_are_not_what_was_packed_are_damaged(data: bytes, words: str, ended: bool) -> None:
    reason, detail = problem(in_chunks(data, end=ended), Limits(truncated="score"))
    assert reason == "damaged_image"
    assert words in detail


@pytest.mark.parametrize("idle", [[], [chunk(b"tIME", bytes(7))]], ids=["plain", "not"])
def test_what_comes_after_the_last_pixel_is_not_unpacked(idle: list[bytes]) -> None:
    bomb = png_of(struct.pack(">IIBBBBB", 8, 8, 8, RGB, 0, 0, 0), *idle, data=bytes(2**26))
    tracemalloc.start()
    assert decode_whole(bomb).shape == (8, 8, 3)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**20


def test_more_pixels_than_there_are_show_damage_where_no_checksum_vouches() -> None:
    cut = in_chunks(zlib.compress(ROWS + ROWS))[:-20]
    assert "more pixels than its header claims" in problem(cut, Limits(truncated="score"))[1]


def test_colors_that_a_palette_lacks_are_black_and_a_palette_of_no_whole_colors_is_damage() -> None:
    header = struct.pack(">IIBBBBB", 2, 1, 8, PALETTE, 0, 0, 0)
    content = png_of(header, chunk(b"PLTE", b"\1\2\3"), data=b"\0\0\1")
    assert decode_whole(content).tolist() == [[[1, 2, 3], [0, 0, 0]]]
    for colors in (b"\1\2\3\4", bytes(3 * 257)):
        assert "its palette has" in problem(png_of(header, chunk(b"PLTE", colors), data=b"\0\0\1"))[1]


@pytest.mark.parametrize("color", [GRAY, RGB])
def test_of_a_transparent_color_the_bits_that_samples_have_count(color: int) -> None:
    """By the standard (tRNS), decoders must mask the others."""
    header = struct.pack(">IIBBBBB", 2, 1, 8, color, 0, 0, 0)
    key, row = b"\xff\x07" * BANDS[color], b"\0" + b"\7" * BANDS[color] + b"\5" * BANDS[color]
    assert decode_whole(png_of(header, chunk(b"tRNS", key), data=row)).tolist() == [[[255] * 3, [5] * 3]]


def test_pillow_agrees_where_it_keeps_to_the_standard() -> None:
    """On the standard's own ground: 8 bits, no key of transparency below 8 bits or in gray."""
    numbers = np.random.default_rng(2)
    options: list[tuple[int, Any]] = [(GRAY, {}), (RGB, {}), (RGB_ALPHA, {}), (GRAY_ALPHA, {})]
    for color, _ in options:
        samples = numbers.integers(0, 256, (9, 11, BANDS[color]))
        for orientation in range(1, 9):
            header = struct.pack(">IIBBBBB", 11, 9, 8, color, 0, 0, 0)
            content = png_of(header, chunk(b"eXIf", exif(orientation)[6:]), data=rows_of(samples, 8))
            with Image.open(io.BytesIO(content)) as image:
                upright = ImageOps.exif_transpose(image).convert("RGBA")
            white = Image.new("RGBA", upright.size, (255, 255, 255, 255))
            assert np.array_equal(decode_whole(content), np.asarray(Image.alpha_composite(white, upright))[:, :, :3])
