"""Kinds of image that people have: each is scored, or rejected with the reason that docs/rejected.md gives."""

import io
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, TiffImagePlugin

from bulklabel.model.errors import RecordError
from bulklabel.model.images import kinds, other_formats
from bulklabel.model.images.decode import decode_whole
from bulklabel.model.images.kinds import EXTRAS, SIGNATURES, format_of
from bulklabel.model.images.limits import Limits
from bulklabel.model.versions import DECODERS, NOT_INSTALLED
from tests.conftest import ROOT, png
from tests.support.dicom_files import TEST_FILES, dicom
from tests.support.png_files import chunk, png_of, rows_of

COARSE = np.kron(np.random.default_rng(0).integers(0, 256, (4, 5, 3)), np.ones((8, 8, 1), int)).astype(np.uint8)
GRAY = COARSE[:, :, 0]


def outcome(content: bytes) -> str:
    try:
        decode_whole(content)
    except RecordError as error:
        return error.reason
    return "scored"


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(bands: np.ndarray, photometric: int = 1, sample_format: int = 1, extra: tuple[int, ...] = ()) -> bytes:
    """An uncompressed TIFF of H×W×C samples of their own type."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    height, width, count = bands.shape
    bits = bands.dtype.itemsize * 8
    values = {256: width, 257: height, 258: (bits,) * count, 259: 1, 262: photometric, 277: count, 278: height}
    for tag, value in values.items():
        tags[tag] = value
    tags[339] = (sample_format,) * count
    if extra:
        tags[338] = extra
    tags[279], tags[273] = bands.nbytes, 0  # Pillow takes it for a place behind the directory
    return b"II*\0" + struct.pack("<I", 8) + tags.tobytes(8) + bands.tobytes()


def heif(mode: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(COARSE).convert(mode)).save(buffer, **options)
    return buffer.getvalue()


def dicom_file(name: str) -> bytes:
    return (TEST_FILES / f"{name}.dcm").read_bytes()


def frames(kind: str, **options: Any) -> bytes:
    first = Image.fromarray(COARSE)
    return encoded(first, kind, save_all=True, append_images=[first.rotate(180)], **options)


IMAGE = Image.fromarray(COARSE)
EXAMPLES: dict[str, Callable[[], list[bytes]]] = {
    "JPEG: baseline, progressive, gray, CMYK": lambda: [
        encoded(IMAGE.convert(mode), "JPEG", progressive=progressive)
        for mode in ("RGB", "L", "CMYK")
        for progressive in (False, True)
    ],
    "PNG: any depth, palette, transparency, interlaced, animated": lambda: [
        encoded(IMAGE.convert("1"), "PNG"),
        encoded(IMAGE.quantize(3), "PNG", transparency=1),
        png(GRAY.astype(np.uint16) * 257),
        frames("PNG"),
    ],
    "PNG: Apple's variant for apps (CgBI)": lambda: [png(COARSE)[:8] + chunk(b"CgBI", bytes(4)) + png(COARSE)[8:]],
    "WebP: lossy, lossless, transparent, animated": lambda: [
        encoded(IMAGE, "WEBP"),
        encoded(IMAGE.convert("RGBA"), "WEBP", lossless=True),
        frames("WEBP"),
    ],
    "GIF: transparent, animated": lambda: [encoded(IMAGE.quantize(9), "GIF", transparency=0), frames("GIF")],
    "BMP": lambda: [encoded(IMAGE.convert(mode), "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")],
    "TIFF: 1 to 8 bits, 12 or 16 in gray, 16 in RGB; CMYK, Lab, several pages, BigTIFF": lambda: [
        *(encoded(IMAGE.convert(mode), "TIFF") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB")),
        *(encoded(IMAGE, "TIFF", compression=name) for name in ("tiff_lzw", "jpeg", "packbits", "tiff_deflate")),
        tiff(GRAY[:, :, None].astype("<u2")),
        tiff(COARSE.astype("<u2"), photometric=2),
        frames("TIFF"),
        encoded(IMAGE, "TIFF", big_tiff=True),
    ],
    "TIFF: floating-point, signed or 32-bit samples": lambda: [
        tiff(GRAY[:, :, None].astype("<f4"), sample_format=3),
        tiff(GRAY[:, :, None].astype("<f8"), sample_format=3),
        tiff(GRAY[:, :, None].astype("<i2"), sample_format=2),
        tiff(GRAY[:, :, None].astype("<u4")),
        tiff(COARSE.astype("<f4"), photometric=2, sample_format=3),
    ],
    "TIFF, JPEG 2000: more than four bands": lambda: [
        tiff(np.dstack([COARSE, COARSE[:, :, :2]]), photometric=2, extra=(0, 0)),
        tiff(np.dstack([COARSE, COARSE, COARSE, COARSE, GRAY]).astype("<u2")),
        five_band_jpeg2000(),
    ],
    "TIFF: YCbCr that is not compressed": lambda: [encoded(IMAGE.convert("YCbCr"), "TIFF")],
    "AVIF: transparent, turned, sequences": lambda: [
        encoded(IMAGE, "AVIF"),
        encoded(IMAGE.convert("RGBA"), "AVIF"),
        frames("AVIF"),
    ],
    "JPEG 2000: JP2 and codestreams, 8 to 16 bits, transparent": lambda: [
        encoded(IMAGE, "JPEG2000"),
        encoded(IMAGE.convert("LA"), "JPEG2000"),
        encoded(IMAGE.convert("RGBA"), "JPEG2000"),
        encoded(IMAGE, "JPEG2000", no_jp2=True),
        encoded(Image.fromarray(GRAY.astype(np.uint16) * 257), "JPEG2000"),
    ],
    "HEIF: HEIC, transparent, turned": lambda: [heif("RGB"), heif("RGBA"), heif("L")],
    "DICOM: plain, deflated, RLE, JPEG, lossless JPEG, JPEG-LS, JPEG 2000; the first frame": lambda: [
        dicom_file(name)
        for name in (
            *("CT_small", "MR_small_bigendian", "image_dfl", "MR_small_RLE", "SC_rgb_rle_2frame", "SC_rgb_jpeg_dcmtk"),
            *("MR_small_jpeg_ls_lossless", "MR_small_jp2klossless", "SC_rgb_small_odd", "examples_palette"),
        )
    ],
    "DICOM: no image, or floating-point samples": lambda: [dicom_file("test-SR"), dicom_file("rtplan")],
    "DICOM: more than 16 bits without a window": lambda: [dicom_file("rtdose")],
    "DICOM: JPEG of 12 bits, video, high-throughput JPEG 2000": lambda: [dicom_file("JPEG-lossy")],
    "JPEG XL, JPEG XR, Photoshop, PDF, PostScript, SVG, icons, OpenEXR and others": lambda: [
        b"\xff\x0a" + bytes(60),
        b"II\xbc\1" + bytes(60),
        b"8BPS" + bytes(60),
        b"%PDF-1.7",
        b'<?xml version="1.0"?>\n<svg>',
        encoded(IMAGE, "EPS"),
        encoded(IMAGE, "ICO"),
        encoded(IMAGE, "PPM"),
        encoded(IMAGE, "DDS"),
    ],
    "text, archives, and anything else": lambda: [b"<html>404</html>", zlib.compress(b"x"), bytes(600), b"BZh9"],
}


def five_band_jpeg2000() -> bytes:
    """A codestream whose header claims five bands."""
    content = bytearray(encoded(IMAGE, "JPEG2000", no_jp2=True))
    content[40:42] = b"\0\5"
    return bytes(content)


def documented() -> dict[str, str]:
    section = (ROOT / "docs" / "rejected.md").read_text().partition("## Kinds of image\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \| `?(\w+)`?(?:, .*)? \|$", section, re.MULTILINE)
    return {kind: result for kind, result in rows if kind != "kind"}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_each_kind_becomes_what_the_page_says(kind: str) -> None:
    expected = documented()[kind]
    assert {outcome(content) for content in EXAMPLES[kind]()} == {expected}


def test_the_page_lists_nothing_else() -> None:
    assert list(documented()) == list(EXAMPLES)


NO_IMAGE = re.compile(
    r"DICOMDIR|TINY_ALPHA/PT|rtplan|rtstruct|reportsi|test-SR|waveform|UN_sequence|priv_SQ|empty_charset|LitEndNoMeta|no_meta_g"
)
PROBLEMS = {
    "unsupported_image": re.compile(NO_IMAGE.pattern + r"|rtdose|JPEG-lossy|JPGExtended"),
    "truncated_image": re.compile("MR_truncated"),
    "damaged_image": re.compile("badVR|meta_missing_tsyntax|nested_priv_SQ|embedded-sequence-delimiter"),
    "not_an_image": re.compile(
        r"BigEndNoMeta|no_meta\.dcm|README|\.dump|\.icc|\.gz|\.json|\.zip|\.txt|\.py|\.xml|\.html"
    ),
}


def test_all_files_of_pydicom_are_scored_or_rejected_with_their_reason() -> None:
    found, expected = {}, {}
    for path in sorted(path for path in TEST_FILES.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        name = str(path.relative_to(TEST_FILES))
        fitting = [reason for reason, pattern in PROBLEMS.items() if pattern.search(name)]
        expected[name] = fitting[-1] if fitting else "scored"
        found[name] = outcome(path.read_bytes() or b"?")
    assert found == expected
    assert len([name for name, result in found.items() if result == "scored"]) > 70


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", ["AVIF", "HEIF", "WEBP", "TIFF"])
def test_whatever_turns_an_image_is_applied_once(kind: str, orientation: int) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation
    if kind == "HEIF":
        content = heif("RGB", exif=tags.tobytes(), quality=-1, chroma=444)
    else:
        content = encoded(IMAGE, kind, exif=tags, **({"lossless": True} if kind == "WEBP" else {}))
    turns = {1: 0, 3: 2, 6: 3, 8: 1}
    found, expected = decode_whole(content).astype(int), np.rot90(COARSE, turns[orientation])
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 12


def test_gray_of_12_and_16_bits_fills_the_range_and_white_may_be_zero() -> None:
    deep = tiff(GRAY[:, :, None].astype("<u2") * 257)
    assert np.array_equal(decode_whole(deep)[:, :, 0], GRAY)
    inverted = tiff((255 - GRAY[:, :, None]).astype("<u2") * 257, photometric=0)
    assert np.array_equal(decode_whole(inverted)[:, :, 0], GRAY)


@pytest.mark.parametrize("file_format", EXTRAS)
def test_what_needs_an_extra_names_it_where_it_is_missing(file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"HEIF": heif("RGB"), "DICOM": dicom_file("CT_small")}[file_format]
    assert format_of(content) == file_format
    assert EXTRAS[file_format][1] in DECODERS
    monkeypatch.setattr(kinds, "installed_version", lambda _: NOT_INSTALLED)
    with pytest.raises(RecordError, match=f"a {file_format} file, which needs .* `{EXTRAS[file_format][0]}`") as caught:
        decode_whole(content)
    assert caught.value.reason == "unsupported_image"


@pytest.mark.parametrize("file_format", SIGNATURES)
def test_a_size_is_checked_before_anything_is_allocated(file_format: str) -> None:
    contents = {
        "HEIF": heif("RGB"),
        "DICOM": dicom_file("CT_small"),
        "PNG": png_of(struct.pack(">IIBBBBB", 2**20, 2**20, 8, 2, 0, 0, 0)),
    }
    content = contents.get(file_format) or encoded(IMAGE, file_format)
    with pytest.raises(RecordError, match="pixels; at most 100 are decoded") as caught:
        decode_whole(content, Limits(max_pixels=100))
    assert caught.value.reason == "too_large"


def gray_by_range(content: bytes, low: float, high: float) -> np.ndarray:
    pixels = decode_whole(content, pixel_range=(low, high))
    assert (pixels == pixels[:, :, :1]).all()
    return pixels[:, :, 0]


DEEP = np.arange(2560, dtype=np.uint16).reshape(32, 80) * 2
BY_RANGE = np.floor(np.clip(DEEP / 4095, 0, 1) * 255 + 0.5)
"""Values of 0 to 5118, and what they are in a range of 0 to 4095."""


@pytest.mark.parametrize(
    "encode",
    [
        lambda: png(DEEP),
        lambda: tiff(DEEP[:, :, None].astype("<u2")),
        lambda: encoded(Image.fromarray(DEEP), "JPEG2000"),
        lambda: dicom(DEEP, bits=16),
        lambda: dicom(DEEP.astype(np.int16) - 1024, bits=16, RescaleSlope="1", RescaleIntercept="1024"),
        lambda: dicom(DEEP, bits=16, WindowCenter="7", WindowWidth="9"),
        lambda: png_of(struct.pack(">IIBBBBB", 80, 32, 16, 2, 0, 0, 0), data=rows_of(np.dstack([DEEP] * 3), 16)),
    ],
    ids=["PNG", "TIFF", "JPEG2000", "DICOM", "DICOM rescaled", "DICOM with a window", "PNG in RGB"],
)
def test_a_pixel_range_says_what_is_black_and_white(encode: Callable[[], bytes]) -> None:
    assert np.array_equal(gray_by_range(encode(), 0, 4095), BY_RANGE)


def test_a_pixel_range_may_begin_below_zero_and_white_may_be_low() -> None:
    hounsfield = dicom(DEEP.astype(np.int16), bits=16, RescaleSlope="1", RescaleIntercept="-1024")
    expected = np.floor(np.clip(DEEP / 2048, 0, 1) * 255 + 0.5)
    assert np.array_equal(gray_by_range(hounsfield, -1024, 1024), expected)
    inverted = dicom(DEEP, bits=16, meaning="MONOCHROME1")
    assert np.array_equal(gray_by_range(inverted, 0, 4095), 255 - BY_RANGE)
    assert np.array_equal(gray_by_range(tiff(DEEP[:, :, None], photometric=0), 0, 4095), 255 - BY_RANGE)


def test_a_pixel_range_leaves_8_bits_as_they_are_and_refuses_what_pillow_cuts() -> None:
    avif = encoded(IMAGE, "AVIF")
    whole = (png(COARSE), encoded(IMAGE, "JPEG"), encoded(IMAGE, "TIFF"), avif, heif("RGB"))
    for content in (*whole, dicom_file("SC_rgb_small_odd")):
        assert np.array_equal(decode_whole(content, pixel_range=(0, 4095)), decode_whole(content))
    deep = COARSE.astype("<u2") << 8
    of_ten_bits = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", deep.shape[1::-1], deep.tobytes()).save(of_ten_bits)
    claimed = avif.replace(b"pixi\0\0\0\0\3\x08", b"pixi\0\0\0\0\3\x0c")  # what is installed writes 8 bits alone
    assert [other_formats._depth(None, content, "AVIF")[0] for content in (avif, claimed, b"pixi")] == [8, 12, 8]
    for content, bits in ((tiff(deep, photometric=2), 16), (of_ten_bits.getvalue(), 10)):
        with pytest.raises(RecordError, match=f"{bits}-bit colors"):
            decode_whole(content, pixel_range=(0, 4095))
        assert decode_whole(content).shape[2] == 3
