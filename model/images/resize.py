"""Brings decoded images to the size that a network takes: the one way, for training and for scoring."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

try:
    from bulklabel.model.images import resample as resample
except ImportError:  # it was installed without a compiler
    resample = None  # type: ignore[assignment]

Pixels = npt.NDArray[np.uint8]
"""RGB, H×W×3 or N×H×W×3, 0…255."""

RESIZE = {
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
}
"""Pillow's filters, each of which averages over all pixels that it merges when it makes an image smaller."""

LONGEST = 100
"""Pillow itself resizes images that are so many times longer than thick. Of high ones it does columns first, and the
weights of wide ones would need much memory."""

Box = tuple[float, float, float, float]
"""Part of an image: left, top, right and bottom, in pixels."""

FIT = ("stretch", "pad", "crop")


@dataclass(frozen=True)
class Preprocessing:
    """Says what size the network's images have, in pixels, and how others are brought to it.

    `resize` is a name in `RESIZE`. `fit` says what becomes of another aspect ratio: `stretch` ignores it, `pad`
    centres the whole image on black, `crop` takes the largest centred piece that has the network's.

    Raises:
        ValueError: if there is no such size, `resize` or `fit`.
    """

    height: int
    width: int
    resize: str = "bilinear"
    fit: str = "stretch"

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise ValueError(f"an image size of {self.height}×{self.width}")
        if self.resize not in RESIZE:
            raise ValueError(f"resize {self.resize!r} is none of {', '.join(RESIZE)}")
        if self.fit not in FIT:
            raise ValueError(f"fit {self.fit!r} is none of {', '.join(FIT)}")


def resize(pixels: Pixels, preprocessing: Preprocessing) -> Pixels:
    """Returns the pixels of one image, H×W×3, at the network's size; unchanged if they have it already.

    >>> black_and_white = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    >>> resize(black_and_white, Preprocessing(height=1, width=1, resize="area")).tolist()
    [[[128, 128, 128]]]
    """
    height, width, _ = pixels.shape
    size = (preprocessing.height, preprocessing.width)
    if (height, width) == size:
        return pixels
    if preprocessing.fit == "pad":
        return _pad(pixels, preprocessing)
    box = _crop(height, width, size) if preprocessing.fit == "crop" else (0.0, 0.0, width, height)
    return _resize_box(pixels, box, size, preprocessing.resize)


def _pad(pixels: Pixels, preprocessing: Preprocessing) -> Pixels:
    """Centres the whole image on black; a long thin one stays at least a pixel thick."""
    height, width, channels = pixels.shape
    scale = min(preprocessing.width / width, preprocessing.height / height)
    inside = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (preprocessing.height - inside[0]) // 2, (preprocessing.width - inside[1]) // 2
    canvas = np.zeros((preprocessing.height, preprocessing.width, channels), np.uint8)
    canvas[top : top + inside[0], left : left + inside[1]] = _resize_box(
        pixels, (0, 0, width, height), inside, preprocessing.resize
    )
    return canvas


def _crop(height: int, width: int, size: tuple[int, int]) -> Box:
    """Returns the largest centred box of the network's aspect ratio, to the last bit that of Pillow's `fit`."""
    ratio = size[1] / size[0]
    inside_width, inside_height = (ratio * height, height) if width / height >= ratio else (width, width / ratio)
    left, top = (width - inside_width) * 0.5, (height - inside_height) * 0.5
    return left, top, left + inside_width, top + inside_height


def _resize_box(pixels: Pixels, box: Box, size: tuple[int, int], name: str) -> Pixels:
    """Returns what is inside of the box at another size, as Pillow does, to the last bit."""
    height, width, channels = pixels.shape
    if resample is None or max(height, width) > LONGEST * min(height, width):
        return np.asarray(Image.fromarray(pixels).resize(size[::-1], RESIZE[name], box))
    target = np.empty((*size, channels), np.uint8)
    resample.resample(np.ascontiguousarray(pixels), pixels.shape, target, target.shape, name, box)
    return target
