"""Brings the samples of decoded images to what a network takes: 8 bits, three channels, and nothing transparent."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from bulklabel.model.images.resize import Pixels

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

WHITE = (255, 255, 255)

STRIP_BYTES = 2**24
"""Transparency is flattened in strips of about so many bytes, since it takes four times the memory of what it makes."""


def to_bytes(samples: Samples) -> Pixels:
    """Returns samples of 8 or 16 bits as 8.

    >>> to_bytes(np.array([0x0080, 0xff7f], np.uint16)).tolist()
    [0, 255]
    """
    return samples if samples.dtype == np.uint8 else (samples >> 8).astype(np.uint8)  # type: ignore[return-value]


def on_white(colors: Pixels, alpha: Pixels | None) -> Pixels:
    """Returns H×W×3 colors on white where alpha, H×W, lets it through; without alpha as they are.

    >>> on_white(np.zeros((1, 2, 3), np.uint8), np.array([[0, 255]], np.uint8)).tolist()
    [[[255, 255, 255], [0, 0, 0]]]
    """
    if alpha is None:
        return colors
    result = np.empty_like(colors)
    step = max(1, STRIP_BYTES // (4 * colors.shape[1]))
    for top in range(0, len(colors), step):
        strip = slice(top, top + step)
        image = Image.fromarray(np.dstack([colors[strip], alpha[strip]]))
        background = Image.new("RGBA", image.size, (*WHITE, 255))
        result[strip] = np.asarray(Image.alpha_composite(background, image))[:, :, :3]
    return result
