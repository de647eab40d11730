"""JPEG files that are decoded smaller than they are: nearly the whole's pixels, where it has plenty."""

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bulklabel.model.errors import RecordError
from bulklabel.model.images.decode import decode, decode_with_kind
from bulklabel.model.images.kinds import Kind
from bulklabel.model.images.limits import Limits
from bulklabel.model.images.resize import FIT, RESIZE, Pixels, Preprocessing, spare_factor
from tests.conftest import png

SCALED = Preprocessing(32, 40, decode="scaled")
EXACT = replace(SCALED, decode="exact")


def photograph(height: int, width: int) -> Pixels:
    """Smooth colors with noise, brighter from left to right and from top to bottom, so it shows how it is turned."""
    random = np.random.default_rng(height * width)
    small = random.integers(0, 160, (7, 9, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    slope = np.linspace(0, 50, width)[:, None] + np.linspace(0, 30, height)[:, None, None]
    return np.clip(smooth + slope + random.integers(-8, 9, smooth.shape), 0, 255).astype(np.uint8)


def jpeg(pixels: Pixels, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **{"quality": 85} | options)
    return file.getvalue()


def assert_close(image: bytes, how: Preprocessing) -> None:
    """Between both ways lies less than a level on the average; `area` takes in whole pixels, or leaves them out."""
    apart = np.abs(np.subtract(decode(image, how), decode(image, replace(how, decode="exact")), dtype=int))
    assert apart.mean() < (1.5 if how.resize == "area" else 0.5)
    assert apart.max() <= 12


@pytest.mark.parametrize(
    ("size", "how", "factor"),
    [
        ((3000, 4000), Preprocessing(224, 224), 4),
        ((1536, 2048), Preprocessing(224, 224), 2),
        ((375, 500), Preprocessing(224, 224), 1),
        ((448, 448), Preprocessing(224, 224), 1),
        ((896, 896), Preprocessing(224, 224), 2),
        ((895, 9000), Preprocessing(224, 224), 1),
        ((895, 9000), Preprocessing(224, 224, fit="crop"), 1),
        ((895, 9000), Preprocessing(224, 224, fit="pad"), 8),
        ((10, 5000), Preprocessing(224, 224, fit="pad"), 4),  # of which one row is left, and two are kept
        ((10, 5000), Preprocessing(224, 224), 1),
        ((100, 100), Preprocessing(224, 224), 1),
        ((20000, 20000), Preprocessing(224, 224), 8),
    ],
)
def test_twice_the_pixels_that_are_asked_for_are_kept(size: tuple[int, int], how: Preprocessing, factor: int) -> None:
    assert spare_factor(*size, how) == factor
    assert spare_factor(*size[::-1], replace(how, height=how.width, width=how.height)) == factor


@pytest.mark.parametrize("fit", FIT)
@pytest.mark.parametrize("size", [(128, 160), (301, 403), (517, 129), (263, 1030), (900, 64), (35, 1200)])
def test_the_pixels_are_nearly_those_of_the_whole(size: tuple[int, int], fit: str) -> None:
    for filter_ in RESIZE:
        assert_close(jpeg(photograph(*size)), replace(SCALED, fit=fit, resize=filter_))


@pytest.mark.parametrize(
    "options",
    [{"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"progressive": True}, {"quality": 30}],
    ids=str,
)
def test_files_of_every_make_are_decoded_smaller(options: dict[str, object]) -> None:
    assert_close(jpeg(photograph(333, 517), **options), SCALED)
    assert_close(jpeg(photograph(333, 517)[:, :, 0], **{**options, "subsampling": 0}), SCALED)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", FIT)
def test_turned_files_are_upright(orientation: int, fit: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_close(jpeg(photograph(333, 517), exif=exif), replace(SCALED, fit=fit))


def test_the_size_of_an_image_is_its_own() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for image in (jpeg(photograph(300, 500)), jpeg(photograph(300, 500), exif=exif)):
        assert decode_with_kind(image, SCALED)[1] == decode_with_kind(image, EXACT)[1] == Kind("JPEG", 256)


@pytest.mark.parametrize("side", [430, 429, 431])
def test_what_an_encoder_filled_its_blocks_with_is_not_seen(side: int) -> None:
    """Some fill them with black (libjpeg-turbo#297): here, rows and columns that the header was told to leave out."""
    full = np.zeros((432, 432, 3), np.uint8)
    full[:side, :side] = 255
    image = bytearray(jpeg(full, quality=95, subsampling=0))
    start = image.index(b"\xff\xc0")
    image[start + 5 : start + 9] = struct.pack(">HH", side, side)
    for size in (54, 27, 13, 10):
        for fit in FIT:
            assert decode(bytes(image), Preprocessing(size, size, fit=fit, decode="scaled")).min() >= 250


@pytest.mark.parametrize("side", [257, 401, 403])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_edges_keep_their_place(side: int, orientation: int) -> None:
    """A side that the factor does not divide ends within a pixel; to stretch that would move edges by half of one."""
    pixels, exif = np.zeros((side, side, 3), np.uint8), Image.Exif()
    pixels[:, side - 60 :] = 255
    pixels[side - 60 :] = 255
    exif[0x0112] = orientation
    for size in (12, 24, 48):
        how = Preprocessing(size, size, decode="scaled")
        image = jpeg(pixels, quality=95, subsampling=0, exif=exif)
        apart = np.subtract(decode(image, how), decode(image, replace(how, decode="exact")), dtype=int)
        assert np.abs(apart).max() <= 15


def test_all_else_is_decoded_in_full() -> None:
    whole = photograph(300, 400)
    cmyk = io.BytesIO()
    Image.fromarray(whole).convert("CMYK").save(cmyk, "JPEG")
    small = jpeg(photograph(63, 120))
    for image in (cmyk.getvalue(), small, png(whole), png(whole, format="WEBP"), png(whole, format="TIFF")):
        assert np.array_equal(decode(image, SCALED), decode(image, EXACT))


def test_a_file_is_damaged_or_too_large_either_way() -> None:
    image = jpeg(photograph(300, 400))
    for broken in (image[:-400], image[:100], image.replace(b"\xff\xda", b"\xff\xdb")):
        errors = []
        for how in (SCALED, EXACT):
            with pytest.raises(RecordError) as caught:
                decode(broken, how)
            errors.append(caught.value.args)
        assert errors[0] == errors[1]
    with pytest.raises(RecordError, match="too_large"):
        decode(image, SCALED, Limits(max_pixels=300 * 400 - 1))


def test_a_file_that_lacks_pixels_is_scored_in_full() -> None:
    image, limits = jpeg(photograph(300, 400))[:-400], Limits(truncated="score")
    assert np.array_equal(decode(image, SCALED, limits), decode(image, EXACT, limits))
