"""The filters of PNG's rows: undone as the standard says, by compiled code and by OpenCV, strip by strip."""

import shutil
import struct

import numpy as np
import pytest

from bulklabel.model.errors import RecordError
from bulklabel.model.images import samples as conversion
from bulklabel.model.images.decode import decode_whole
from bulklabel.model.images.png import filters
from bulklabel.model.images.png.filters import FORMS, undo_filters, unfilter_by_opencv
from bulklabel.model.images.png.header import CHANNELS, DEPTHS, PALETTE
from tests.support.png_files import chunk, filtered, interlaced_rows_of, png_of, rows_of

IS_COMPILED = filters.unfilter is not unfilter_by_opencv

SORTED = [(color, depth) for color, depths in DEPTHS.items() for depth in depths]


@pytest.fixture(params=["compiled", "OpenCV"])
def _either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to undo filters, one after the other."""
    if request.param == "compiled" and not IS_COMPILED:
        pytest.skip("it was installed without a compiler")
    if request.param == "OpenCV":
        monkeypatch.setattr(filters, "unfilter", unfilter_by_opencv)


def test_the_kernel_is_there_where_a_compiler_is() -> None:
    if shutil.which("cc") is None:
        pytest.skip("it was installed without a compiler")
    assert IS_COMPILED, "install it again: pip install -e ."


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize("pixel_bytes", FORMS)
@pytest.mark.parametrize("width", [1, 2, 3, 17, 300])
def test_each_filter_is_undone(pixel_bytes: int, width: int) -> None:
    """Of noise, and of few levels, so that neighbours are often equally near."""
    for levels in (256, 3):
        rows = np.random.default_rng(width).integers(0, levels, (27, width * pixel_bytes), np.uint8) * (
            255 // (levels - 1)
        )
        numbers = [*range(5), *np.random.default_rng(levels).integers(0, 5, 21)]
        data = b"".join(
            bytes([number]) + filtered(row, above, number, pixel_bytes)
            for above, row, number in zip(rows[:-1], rows[1:], numbers, strict=True)
        )
        target = np.empty_like(rows[1:])
        undo_filters(data, rows[0].copy(), target, pixel_bytes)
        assert np.array_equal(target, rows[1:])


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("color", "depth"), SORTED)
def test_strips_are_joined_without_a_seam(
    color: int, depth: int, interlaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(depth).integers(0, 2**depth, (41, 37, CHANNELS[color]))
    header = struct.pack(">IIBBBBB", 37, 41, depth, color, 0, 0, interlaced)
    palette = [chunk(b"PLTE", bytes(range(256)) * 3)] if color == PALETTE else []
    plain, rows = (
        (interlaced_rows_of if interlaced else rows_of)(pixels, depth, numbers) for numbers in ([0], [4, 3, 2, 1])
    )
    expected = decode_whole(png_of(header, *palette, data=plain))
    monkeypatch.setattr(conversion, "STRIP_PIXELS", 3 * 37)
    assert np.array_equal(decode_whole(png_of(header, chunk(b"tIME", bytes(7)), *palette, data=rows)), expected)


@pytest.mark.usefixtures("_either")
def test_a_filter_that_does_not_exist_is_damage() -> None:
    with pytest.raises(RecordError, match="a filter that PNG does not know"):
        undo_filters(bytes([1, 7, 5, 7]), np.zeros(1, np.uint8), np.empty((2, 1), np.uint8), 1)


@pytest.mark.parametrize(
    ("filtered_bytes", "row_bytes", "target_bytes", "pixel_bytes"),
    [
        *((14, 6, 12, pixel_bytes) for pixel_bytes in (-3, 0, 4, 5, 9)),
        *((13, 6, 12, 3), (21, 6, 12, 3), (14, 6, 11, 3), (0, 0, 0, 1), (2, 0, 0, 1)),
    ],
)
def test_the_kernel_refuses_what_does_not_fit(
    filtered_bytes: int, row_bytes: int, target_bytes: int, pixel_bytes: int
) -> None:
    if not IS_COMPILED:
        pytest.skip("it was installed without a compiler")
    above, target = np.zeros(row_bytes, np.uint8), np.zeros(target_bytes, np.uint8)
    with pytest.raises(ValueError, match="no rows of this length"):
        filters.unfilter(bytes(filtered_bytes), above, target, pixel_bytes)
