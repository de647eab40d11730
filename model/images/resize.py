"""Brings decoded images to the size that a network takes: the one way, for training and for scoring."""

import math
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

DECODE = ("exact", "scaled")

FACTORS = (8, 4, 2)
"""How many times smaller libjpeg may decode a JPEG file; what lies between them is no faster than all of it."""

SPARE = 2
"""An image that is decoded smaller than it is keeps so many times the pixels that it is resized to, along each side."""


@dataclass(frozen=True)
class Preprocessing:
    """Says what size the network's images have, in pixels, and how others are brought to it.

    `resize` is a name in `RESIZE`. `fit` says what becomes of another aspect ratio: `stretch` ignores it, `pad`
    centres the whole image on black, `crop` takes the largest centred piece that has the network's. `decode` says
    whether large JPEG files are decoded in full (`exact`) or smaller than they are (`scaled`), before they are resized.
    `pixel_range` is what is black and what is white in files of more than 8 bits; None for the range of each file's
    own depth.

    Raises:
        ValueError: if there is no such size, `resize`, `fit`, `decode` or `pixel_range`.
    """

    height: int
    width: int
    resize: str = "bilinear"
    fit: str = "stretch"
    decode: str = "exact"
    pixel_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise ValueError(f"an image size of {self.height}×{self.width}")
        if self.resize not in RESIZE:
            raise ValueError(f"resize {self.resize!r} is none of {', '.join(RESIZE)}")
        if self.fit not in FIT:
            raise ValueError(f"fit {self.fit!r} is none of {', '.join(FIT)}")
        if self.decode not in DECODE:
            raise ValueError(f"decode {self.decode!r} is none of {', '.join(DECODE)}")
        if self.pixel_range is not None:
            low, high = map(float, self.pixel_range)  # a list, where it was read from JSON
            if not -math.inf < low < high < math.inf:
                raise ValueError(f"a pixel_range of {low:g} to {high:g}")
            object.__setattr__(self, "pixel_range", (low, high))


def spare_factor(height: int, width: int, preprocessing: Preprocessing) -> int:
    """Returns how many times smaller an image may be decoded, 8, 4, 2 or 1, and have twice the pixels that are needed.

    >>> spare_factor(3000, 4000, Preprocessing(224, 224)), spare_factor(375, 500, Preprocessing(224, 224))
    (4, 1)
    """
    if preprocessing.fit == "crop":
        scale = max(preprocessing.height / height, preprocessing.width / width)
        needed = (height * scale, width * scale)
    elif preprocessing.fit == "pad":
        needed = _inside(height, width, preprocessing)
    else:
        needed = (preprocessing.height, preprocessing.width)
    most = min(height / needed[0], width / needed[1]) / SPARE
    return next((factor for factor in FACTORS if factor <= most), 1)


def resize(pixels: Pixels, preprocessing: Preprocessing, box: Box | None = None) -> Pixels:
    """Returns the pixels of one image, H×W×3, at the network's size; unchanged if they have it already.

    Args:
        pixels: of the image.
        preprocessing: the size, and how it is brought to it.
        box: where in the pixels the image is, if not everywhere.

    >>> black_and_white = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    >>> resize(black_and_white, Preprocessing(height=1, width=1, resize="area")).tolist()
    [[[128, 128, 128]]]
    """
    whole = (0.0, 0.0, pixels.shape[1], pixels.shape[0])
    box, size = box or whole, (preprocessing.height, preprocessing.width)
    if pixels.shape[:2] == size and box == whole:
        return pixels
    if preprocessing.fit == "pad":
        return _pad(pixels, box, preprocessing)
    return _resize_box(pixels, _crop(box, size) if preprocessing.fit == "crop" else box, size, preprocessing.resize)


def _pad(pixels: Pixels, box: Box, preprocessing: Preprocessing) -> Pixels:
    """Centres the whole image on black."""
    inside = _inside(box[3] - box[1], box[2] - box[0], preprocessing)
    top, left = (preprocessing.height - inside[0]) // 2, (preprocessing.width - inside[1]) // 2
    canvas = np.zeros((preprocessing.height, preprocessing.width, pixels.shape[2]), np.uint8)
    canvas[top : top + inside[0], left : left + inside[1]] = _resize_box(pixels, box, inside, preprocessing.resize)
    return canvas


def _inside(height: float, width: float, preprocessing: Preprocessing) -> tuple[int, int]:
    """Returns the size of the whole image inside of the network's; a long thin one stays a pixel thick."""
    scale = min(preprocessing.width / width, preprocessing.height / height)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _crop(box: Box, size: tuple[int, int]) -> Box:
    """Returns the largest centred box of the network's aspect ratio, to the last bit that of Pillow's `fit`."""
    height, width, ratio = box[3] - box[1], box[2] - box[0], size[1] / size[0]
    inside_width, inside_height = (ratio * height, height) if width / height >= ratio else (width, width / ratio)
    left, top = box[0] + (width - inside_width) * 0.5, box[1] + (height - inside_height) * 0.5
    return left, top, left + inside_width, top + inside_height


def _resize_box(pixels: Pixels, box: Box, size: tuple[int, int], name: str) -> Pixels:
    """Returns what is inside of the box at another size, as Pillow does, to the last bit."""
    height, width, channels = pixels.shape
    if resample is None or max(height, width) > LONGEST * min(height, width):
        return np.asarray(Image.fromarray(pixels).resize(size[::-1], RESIZE[name], box))
    target = np.empty((*size, channels), np.uint8)
    resample.resample(np.ascontiguousarray(pixels), pixels.shape, target, target.shape, name, box)
    return target
