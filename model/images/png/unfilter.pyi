"""The compiled `unfilter.c`."""

import numpy as np
import numpy.typing as npt

def unfilter(filtered: bytes, above: npt.NDArray[np.uint8], target: npt.NDArray[np.uint8], pixel_bytes: int) -> None:
    """Fills `target` with the bytes of rows, each of which has the number of its filter before it.

    Args:
        filtered: the rows, as long as `above` and a byte.
        above: the bytes of the row before the first, or zeros.
        target: where the rows go, without the numbers of their filters.
        pixel_bytes: 1, 2, 3, 4, 6 or 8.

    Raises:
        ValueError: if lengths do not agree, or there is no such filter.
    """
