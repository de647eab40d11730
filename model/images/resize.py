"""Brings decoded images to the size that a network takes: the one way, for training and for scoring."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Pixels = npt.NDArray[np.uint8]
"""RGB, H×W×3 or N×H×W×3, 0…255."""

RESIZE = {
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
}
"""Pillow's filters, each of which averages over all pixels that it merges when it makes an image smaller."""

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
    size = (preprocessing.width, preprocessing.height)
    if pixels.shape[1::-1] == size:
        return pixels
    image, method = Image.fromarray(pixels), RESIZE[preprocessing.resize]
    if preprocessing.fit == "crop":
        return np.asarray(ImageOps.fit(image, size, method))
    if preprocessing.fit == "pad":
        return np.asarray(_pad(image, size, method))
    return np.asarray(image.resize(size, method))


def _pad(image: Image.Image, size: tuple[int, int], method: Image.Resampling) -> Image.Image:
    """Pads as Pillow's `pad` does, which fails where a long thin image would become less than a pixel thick."""
    scale = min(size[0] / image.width, size[1] / image.height)
    width, height = (max(1, round(side * scale)) for side in image.size)
    canvas = Image.new("RGB", size)
    canvas.paste(image.resize((width, height), method), ((size[0] - width) // 2, (size[1] - height) // 2))
    return canvas
