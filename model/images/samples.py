"""Brings the samples of decoded images to what a network takes: 8 bits, three channels, and nothing transparent."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from bulklabel.model.images.resize import Pixels

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

WHITE = (255, 255, 255)

STRIP_PIXELS = 2**18
"""Images are converted in strips of about so many pixels, so that no second copy of all samples is made."""


def strips(height: int, width: int) -> Iterator[slice]:
    """Yields the rows of an image in strips, from the top.

    >>> list(strips(3, 2**17))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def to_bytes(samples: Samples) -> Pixels:
    """Returns samples of 8 or 16 bits as 8.

    >>> to_bytes(np.array([0x0080, 0xff7f], np.uint16)).tolist()
    [0, 255]
    """
    return samples if samples.dtype == np.uint8 else (samples >> 8).astype(np.uint8)  # type: ignore[return-value]


def on_white(pixels: Pixels) -> Pixels:
    """Returns H×W×3 colors of H×W×4 pixels on white, where alpha lets it through.

    >>> on_white(np.array([[[0, 0, 0, 0], [0, 0, 0, 255]]], np.uint8)).tolist()
    [[[255, 255, 255], [0, 0, 0]]]
    """
    image = Image.fromarray(pixels)
    background = Image.new("RGBA", image.size, (*WHITE, 255))
    return np.asarray(Image.alpha_composite(background, image))[:, :, :3]
