"""WebP files: OpenCV and Pillow decode them to the same pixels, and think the same of damage."""

import io
import random

import cv2
import numpy as np
import pytest
from PIL import Image

from bulklabel.model.errors import RecordError
from bulklabel.model.images.decode import decode_whole
from bulklabel.model.images.limits import Limits
from bulklabel.model.images.resize import Pixels
from tests.model.test_scaled_jpeg import photograph


def webp(height: int, width: int, alpha: int = 255, **options: object) -> bytes:
    file, image = io.BytesIO(), Image.fromarray(photograph(height, width))
    image.putalpha(alpha)
    image.save(file, "WEBP", **options)
    return file.getvalue()


def by_pillow(content: bytes) -> Pixels:
    """What Pillow makes of a file: nothing, if that is damaged."""
    try:
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    except Exception:
        return np.zeros((0, 0, 3), np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (64, 64), (151, 203), (16, 300)])
def test_plain_files_have_pillows_pixels(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for quality in (1, 80, 100):
        content = webp(*size, quality=quality)
        with monkeypatch.context() as patched:
            patched.setattr("bulklabel.model.images.decode.decode_other", None)  # it is not needed
            decoded = decode_whole(content)
        assert np.array_equal(decoded, by_pillow(content))


def test_all_others_are_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    monkeypatch.setattr(cv2, "imdecode", None)
    assert decode_whole(webp(40, 60, lossless=True)).shape == (40, 60, 3)
    assert decode_whole(webp(40, 60, alpha=0)).min() == 255
    assert decode_whole(webp(40, 60, exif=exif)).shape == (60, 40, 3)


def test_damage_is_judged_as_pillow_judges_it() -> None:
    content, chance = webp(48, 64), random.Random(0)  # noqa: S311
    for _ in range(100):
        damaged = bytearray(content)
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        expected = by_pillow(bytes(damaged))
        try:
            decoded = decode_whole(bytes(damaged))
        except RecordError:
            assert not len(expected)
        else:
            assert np.array_equal(decoded, expected)


def test_a_file_that_is_cut_off_or_too_large_is_rejected() -> None:
    content = webp(48, 64)
    with pytest.raises(RecordError, match="truncated_image"):
        decode_whole(content[:-20])
    with pytest.raises(RecordError, match="too_large"):
        decode_whole(content, Limits(max_pixels=48 * 64 - 1))
