"""Resizing: to Pillow's pixels, by the compiled kernel and without it."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from bulklabel.model.images import resize
from bulklabel.model.images.resize import FIT, RESIZE, Pixels, Preprocessing

SIDES = st.one_of(st.integers(1, 40), st.integers(1, 600))


def by_pillow(pixels: Pixels, how: Preprocessing) -> Pixels:
    """What Pillow alone makes of an image, by its own words for the three ways to fit."""
    image, size, method = Image.fromarray(pixels), (how.width, how.height), RESIZE[how.resize]
    if how.fit == "crop":
        return np.asarray(ImageOps.fit(image, size, method))
    if how.fit == "stretch":
        return np.asarray(image.resize(size, method))
    scale = min(size[0] / image.width, size[1] / image.height)
    width, height = (max(1, round(side * scale)) for side in image.size)
    canvas = Image.new("RGB", size)
    canvas.paste(image.resize((width, height), method), ((size[0] - width) // 2, (size[1] - height) // 2))
    return np.asarray(canvas)


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    """Black, white and everything between: filters that overshoot do so here."""
    levels = np.random.default_rng(seed).integers(-128, 384, (height, width, 3))
    return np.clip(levels, 0, 255).astype(np.uint8)


def test_the_kernel_is_there_where_a_compiler_is() -> None:
    if shutil.which("cc") is None:
        pytest.skip("it was installed without a compiler")
    assert resize.resample is not None, "install it again: pip install -e ."


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(list(RESIZE)), st.sampled_from(FIT))
def test_every_pixel_is_pillows(height: int, width: int, to_height: int, to_width: int, filter_: str, fit: str) -> None:
    pixels, how = noise(height, width, height * width), Preprocessing(to_height, to_width, filter_, fit)
    assert np.array_equal(resize.resize(pixels, how), by_pillow(pixels, how))


@pytest.mark.parametrize(
    "shape", [(3000, 8), (8, 3000), (801, 8), (8, 801), (2000, 1503), (1, 1), (1, 5000), (5000, 1)]
)
@pytest.mark.parametrize("filter_", RESIZE)
def test_every_pixel_of_large_and_long_images_is_pillows(shape: tuple[int, int], filter_: str) -> None:
    pixels = noise(*shape)
    for fit in FIT:
        how = Preprocessing(24, 31, filter_, fit)
        assert np.array_equal(resize.resize(pixels, how), by_pillow(pixels, how))


def test_without_a_compiler_the_pixels_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, how = noise(150, 201), Preprocessing(17, 23, "bicubic", "crop")
    expected = resize.resize(pixels, how)
    monkeypatch.setattr(resize, "resample", None)
    assert np.array_equal(resize.resize(pixels, how), expected)


def test_a_part_of_another_array_is_resized() -> None:
    turned = noise(60, 90).transpose(1, 0, 2)[::-1, ::2]
    how = Preprocessing(10, 10)
    assert np.array_equal(resize.resize(turned, how), by_pillow(np.ascontiguousarray(turned), how))


def test_the_kernel_resizes_images_of_one_channel() -> None:
    if resize.resample is None:
        pytest.skip("it was installed without a compiler")
    gray, target = np.ascontiguousarray(noise(70, 50)[:, :, :1]), np.empty((9, 33, 1), np.uint8)
    resize.resample.resample(gray, gray.shape, target, target.shape, "bicubic", (0, 0, 50, 70))
    expected = Image.fromarray(gray[:, :, 0]).resize((33, 9), Image.Resampling.BICUBIC)
    assert np.array_equal(target[:, :, 0], np.asarray(expected))


@pytest.mark.parametrize(
    ("shape", "target", "filter_", "box"),
    [
        ((4, 4, 3), (2, 2, 3), "lanczos", (0, 0, 4, 4)),
        ((4, 4, 3), (2, 2, 3), "area", (0, 0, 4.5, 4)),  # beyond the image
        ((4, 4, 3), (2, 2, 3), "area", (-0.5, 0, 4, 4)),
        ((4, 4, 3), (2, 2, 3), "area", (2, 0, 2, 4)),  # of no width
        ((4, 4, 3), (2, 2, 3), "area", (float("nan"), 0, 4, 4)),
        ((4, 5, 3), (2, 2, 3), "area", (0, 0, 4, 4)),  # the buffer is shorter
        ((4, 4, 3), (3, 2, 3), "area", (0, 0, 4, 4)),
        ((4, 4, 3), (2, 2, 1), "area", (0, 0, 4, 4)),
        ((-4, -4, 3), (2, 2, 3), "area", (0, 0, 4, 4)),
        ((2**30, 2**30, 3), (2, 2, 3), "area", (0, 0, 4, 4)),
    ],
)
def test_the_kernel_refuses_what_does_not_fit(
    shape: tuple[int, ...], target: tuple[int, ...], filter_: str, box: tuple[float, float, float, float]
) -> None:
    if resize.resample is None:
        pytest.skip("it was installed without a compiler")
    with pytest.raises(ValueError, match="no images of these shapes"):
        resize.resample.resample(np.zeros(48, np.uint8), shape, np.zeros(12, np.uint8), target, filter_, box)
