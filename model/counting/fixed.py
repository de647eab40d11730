"""Writes real numbers as whole ones, in fixed point, so that their sums do not depend on their order."""

import numpy as np
import numpy.typing as npt

FIXED_POINT = 2**32
"""Real-valued sums are integers in this unit: each addend is off by at most 1.2e-10, and so is every mean.

Addends of at most 1 leave room for two billion records; larger ones are summed as whole part and fraction.
"""


def fixed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns values in units of 1 / `FIXED_POINT`: whole numbers, which float64 holds exactly below 2**21.

    >>> fixed(np.array([0.5, 2**-32])).tolist()
    [2147483648.0, 1.0]
    """
    return np.rint(values * FIXED_POINT)
