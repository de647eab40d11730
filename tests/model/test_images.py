"""Decoding: every kind of image that people have, and that no damage passes for an image."""

import io
import itertools
import random
import re
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from bulklabel.model.errors import RecordError
from bulklabel.model.images import jpeg
from bulklabel.model.images.decode import batch_size_for, decode, decode_whole
from bulklabel.model.images.demo_collages import BROKEN, collages
from bulklabel.model.images.limits import Limits
from bulklabel.model.images.resize import FIT, Preprocessing
from tests.conftest import png
from tests.support.png_files import png_of, xmp

SIZE = Preprocessing(32, 32)
GRADIENT = np.arange(32 * 32 * 3, dtype=np.uint32).reshape(32, 32, 3) % 256


def pixels() -> np.ndarray:
    return GRADIENT.astype(np.uint8)


def reason(data: bytes | None) -> tuple[str, str]:
    with pytest.raises(RecordError) as caught:
        decode(data, SIZE)
    assert caught.value.detail
    return caught.value.stage, caught.value.reason


def test_a_plain_png_is_decoded_as_pillow_does() -> None:
    for image, _ in collages(20, 3, held_out=False):
        with Image.open(io.BytesIO(image)) as opened:
            assert np.array_equal(decode(image, SIZE), np.asarray(opened))


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_gray_and_palette(mode: str) -> None:
    expected = np.asarray(Image.fromarray(pixels()).convert(mode).convert("RGB"))
    assert np.array_equal(decode(png(pixels(), mode), SIZE), expected)


@pytest.mark.parametrize("format_name", ["JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_other_formats(format_name: str) -> None:
    smooth = np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[:, None], 32, axis=1)[:, :, None].repeat(3, axis=2)
    decoded = decode(png(smooth, format=format_name), SIZE)
    assert np.abs(decoded.astype(int) - smooth).max() <= 8


def answer(data: bytes | memoryview, how: Preprocessing) -> Any:
    try:
        return decode(data, how).tolist()
    except RecordError as error:
        return error.args


@pytest.mark.parametrize("decode_as", ["exact", "scaled"])
@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PDF"])
def test_a_view_is_decoded_as_its_bytes_are(format_name: str, decode_as: str) -> None:
    how = Preprocessing(32, 32, decode=decode_as)
    for side in (32, 400):
        image = png(photograph(side, side), format=format_name)
        for content in (image, image[: len(image) // 2], image[:-1], image[:20], b""):
            view = memoryview(pa.py_buffer(content)).cast("B")
            assert answer(view, how) == answer(content, how)


def test_cmyk_jpeg() -> None:
    red = np.zeros((32, 32, 3), np.uint8) + np.array([250, 10, 10], np.uint8)
    assert np.abs(decode(png(red, "CMYK", format="JPEG"), SIZE).astype(int) - red).max() <= 12


def test_alpha_is_flattened_on_white() -> None:
    transparent = np.zeros((32, 32, 4), np.uint8)
    transparent[:, 16:] = (10, 20, 30, 255)
    decoded = decode(png(transparent), SIZE)
    assert (decoded[:, :16] == 255).all()
    assert (decoded[:, 16:] == (10, 20, 30)).all()


def test_a_transparent_color_of_an_rgb_png_is_flattened_on_white() -> None:
    black = np.zeros((32, 32, 3), np.uint8)
    assert (decode(png(black, transparency=(0, 0, 0)), SIZE) == 255).all()


def test_16_bits_are_scaled_to_8() -> None:
    deep = (np.arange(1024, dtype=np.uint16) * 64).reshape(32, 32)
    assert np.array_equal(decode(png(deep), SIZE)[:, :, 0], (deep >> 8).astype(np.uint8))


@pytest.mark.parametrize("format_name", ["JPEG", "PNG"])
def test_exif_orientation_is_applied(format_name: str) -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[:16] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    decoded = decode(png(image, format=format_name, exif=exif), SIZE)
    assert decoded[:14].max() < 20
    assert decoded[18:].min() > 235


def test_the_first_of_several_frames_is_taken() -> None:
    buffer = io.BytesIO()
    first, second = (Image.fromarray(np.full((32, 32, 3), value, np.uint8)) for value in (40, 200))
    first.save(buffer, "GIF", save_all=True, append_images=[second])
    assert (decode(buffer.getvalue(), SIZE) == 40).all()


def test_other_sizes_are_resized() -> None:
    large = np.zeros((64, 96, 3), np.uint8)
    large[:, 48:] = 255
    decoded = decode(png(large), Preprocessing(16, 24))
    assert decoded.shape == (16, 24, 3)
    assert decoded[:, :11].max() == 0
    assert decoded[:, 13:].min() == 255


def test_what_is_no_image_is_rejected_with_its_reason() -> None:
    assert reason(None) == ("read", "missing_image")
    assert reason(b"") == ("read", "empty_image")
    assert reason(b"not an image") == ("decode", "not_an_image")
    assert reason(BROKEN[-1]) == ("decode", "damaged_image")
    assert reason(png(pixels(), format="JPEG")[:-20]) == ("decode", "truncated_image")


def test_a_decompression_bomb_is_rejected_from_its_header() -> None:
    side = 2**15
    content = png_of(struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
    assert reason(content) == ("decode", "too_large")


def with_damage(image: bytes, seed: int) -> bytes:
    """The file with up to three flipped bits, and sometimes cut off."""
    mutator = random.Random(seed)  # noqa: S311
    damaged = bytearray(image)
    for _ in range(mutator.randint(1, 3)):
        damaged[mutator.randrange(len(damaged))] ^= 1 << mutator.randrange(8)
    if mutator.random() < 0.3:
        del damaged[mutator.randrange(len(damaged)) :]
    return bytes(damaged)


@given(st.integers(0, 2**32), st.sampled_from(["RGB", "RGBA", "P"]))
def test_a_damaged_png_is_rejected_or_decoded_to_the_same_pixels(seed: int, mode: str) -> None:
    image = png(decode(next(iter(collages(1, seed % 7, held_out=False)))[0], SIZE), mode)
    damaged = with_damage(image, seed)
    try:
        decoded = decode(damaged, SIZE)
    except RecordError:
        return
    assert np.array_equal(decoded, decode(image, SIZE))


def test_a_batch_is_a_power_of_two_that_fits() -> None:
    assert batch_size_for(Preprocessing(32, 32)) == 256
    assert batch_size_for(Preprocessing(224, 224)) == 64
    assert batch_size_for(Preprocessing(4000, 4000)) == 1


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colours with noise, as cameras make them."""
    random_numbers = np.random.default_rng(seed)
    coarse = Image.fromarray(random_numbers.integers(0, 256, (6, 8, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    return np.clip(smooth + random_numbers.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_plain_jpeg_is_decoded_as_pillow_does(subsampling: int, progressive: bool, mode: str) -> None:
    for height, width in ((37, 41), (64, 48), (375, 500)):
        image = png(
            photograph(height, width), mode, format="JPEG", quality=80, subsampling=subsampling, progressive=progressive
        )
        assert jpeg.read_header(image) == jpeg.JpegHeader(width, height, 1, plain=True)
        with Image.open(io.BytesIO(image)) as opened:
            assert np.array_equal(decode(image, Preprocessing(height, width)), np.asarray(opened.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("written_as", ["EXIF", "XMP", "both"])
def test_a_jpeg_is_turned_as_pillow_turns_it(orientation: int, written_as: str) -> None:
    options: dict[str, Any] = {}
    if written_as != "XMP":
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    if written_as != "EXIF":
        options["xmp"] = xmp(orientation if written_as == "XMP" else 3)
    for mode in ("RGB", "L", "CMYK"):
        image = png(photograph(40, 60), mode, format="JPEG", **options)
        with Image.open(io.BytesIO(image)) as opened:
            turned = ImageOps.exif_transpose(opened).convert("RGB")
        assert turned.size == ((40, 60) if orientation >= 5 else (60, 40))
        assert np.array_equal(decode_whole(image), np.asarray(turned))


def test_a_jpeg_is_scored_if_all_pixels_are_there() -> None:
    for mode, progressive in itertools.product(("RGB", "L", "CMYK"), (False, True)):
        image = png(photograph(64, 64), mode, format="JPEG", progressive=progressive)
        whole = decode_whole(image)
        for cut in (1, 2):
            assert np.array_equal(decode_whole(image[:-cut]), whole)
        for cut in (len(image) - 20, len(image) - 60):
            for end in (b"", b"\xff\xd9"):
                assert reason(image[:cut] + end) == ("decode", "truncated_image")
                pixels = decode_whole(image[:cut] + end, Limits(truncated="score"))
                assert np.array_equal(pixels[:8], whole[:8]) or progressive
        forgiven = image[:-2] + b"\0\0\0" + image[-2:]  # libjpeg warns of extraneous bytes
        assert np.array_equal(decode_whole(forgiven), whole)


def test_a_progressive_jpeg_that_ends_after_one_of_its_scans_is_truncated() -> None:
    image = png(photograph(64, 64), format="JPEG", progressive=True)
    scans = [match.start() for match in re.finditer(b"\xff\xda", image)]
    assert len(scans) > 4
    for start in scans[1:]:
        assert reason(image[:start]) == ("decode", "truncated_image")


def test_formats_that_nobody_has_as_photographs_are_not_opened() -> None:
    for format_name in ("EPS", "PPM", "ICO", "PDF", "DDS"):
        assert reason(png(pixels(), format=format_name)) == ("decode", "unsupported_image")


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def by_hand(image: Image.Image, fit: str, method: Image.Resampling) -> Image.Image:
    """48×80 to 30×40 (height × width), by Pillow alone."""
    if fit == "stretch":
        return image.resize((40, 30), method)
    if fit == "crop":  # 4:3 of the full height is 64 wide, 8 off on each side
        return image.resize((40, 30), method, box=(8, 0, 72, 48))
    canvas = Image.new("RGB", (40, 30))
    canvas.paste(image.resize((40, 24), method), (0, 3))
    return canvas


@pytest.mark.parametrize("fit", FIT)
@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("bilinear", Image.Resampling.BILINEAR),
        ("area", Image.Resampling.BOX),
        ("bicubic", Image.Resampling.BICUBIC),
    ],
)
def test_each_resizing_is_pillows(kind: str, method: Image.Resampling, fit: str) -> None:
    wide = noise(48, 80) // 4 + 96  # nothing overshoots, so that the order of the two passes shows in roundings only
    expected = np.asarray(by_hand(Image.fromarray(wide), fit, method))
    assert np.array_equal(decode(png(wide), Preprocessing(30, 40, kind, fit)), expected)
    tall = wide.transpose(1, 0, 2)
    turned = decode(png(np.ascontiguousarray(tall)), Preprocessing(40, 30, kind, fit))
    assert np.abs(turned.transpose(1, 0, 2).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("fit", FIT)
@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1)])
def test_thin_images_are_resized(fit: str, size: tuple[int, int]) -> None:
    assert decode(png(noise(*size)), Preprocessing(32, 48, "bilinear", fit)).shape == (32, 48, 3)


@pytest.mark.parametrize(
    "arguments", [(0, 5), (5, 5, "lanczos"), (5, 5, "area", "squeeze"), (5, 5, "area", "pad", "exact", (9, 9))]
)
def test_a_preprocessing_that_does_not_exist_is_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"size|resize|fit|range"):
        Preprocessing(*arguments)


@given(st.integers(0, 2**32), st.sampled_from(["RGB", "L"]), st.booleans())
def test_a_damaged_jpeg_is_judged_as_pillow_judges_it(seed: int, mode: str, progressive: bool) -> None:
    image = png(photograph(40, 48, seed % 5), mode, format="JPEG", quality=60, progressive=progressive)
    damaged = with_damage(image, seed)
    try:
        with Image.open(io.BytesIO(damaged), formats=["JPEG"]) as opened:
            expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    except Exception:
        expected = None
    try:
        found = decode_whole(damaged)
    except RecordError as error:
        problem = error
    else:
        assert np.array_equal(found, decode_whole(image) if expected is None else expected)
        return
    assert expected is None or "remature end" in problem.detail


@pytest.mark.parametrize("format_name", ["PNG", "WEBP", "JPEG"])
def test_exif_that_says_nothing_costs_no_image(format_name: str) -> None:
    assert decode(png(pixels(), format=format_name, exif=b"Exif\0\0broken"), SIZE).shape == (32, 32, 3)
