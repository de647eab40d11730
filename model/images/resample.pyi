"""The compiled `resample.c`."""

import numpy as np
import numpy.typing as npt

def resample(
    source: npt.NDArray[np.uint8],
    source_shape: tuple[int, ...],
    target: npt.NDArray[np.uint8],
    target_shape: tuple[int, ...],
    resize: str,
    box: tuple[float, float, float, float],
) -> None:
    """Fills `target` with what is inside of the box (left, top, right, bottom) of `source`, resized.

    Raises:
        ValueError: if the images are not of these shapes, or there is no such way to resize, or box.
        MemoryError: if there is too little.
    """
