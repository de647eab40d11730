"""Bins probabilities by the leading bits of a float32, so that every processor puts a number into the same bin.

A bin is a run of neighbouring float32 numbers. Below one half it is what shares exponent and the first `precision` bits
of the mantissa; above, what does so in one minus the probability. So bins are as fine near 0 and 1 as labels need that
are rare or nearly always right: about 2**-precision wide in terms of the odds.
"""

import numpy as np
import numpy.typing as npt

OCTAVES = 24
"""Of each side: from one half down to 2**-25. One minus a float32 is never smaller, unless it is 0."""

EXACT = 23
"""The precision with which a bin holds one float32 alone; a mantissa has as many bits."""

_LOWEST_EXPONENT = 127 - 1 - OCTAVES

Bins = npt.NDArray[np.int32]


def bins_count(precision: int) -> int:
    """Returns how many bins there are, for both sides together.

    >>> bins_count(precision=0), bins_count(precision=8)
    (48, 12288)
    """
    return 2 * OCTAVES << precision


def precision_of(bins: int) -> int:
    """Returns the precision of a histogram with so many bins.

    >>> precision_of(bins_count(8))
    8
    """
    return (bins // (2 * OCTAVES)).bit_length() - 1


def finest(cells_a_bin: int, cells: int, most: int) -> int:
    """Returns the largest precision, from 0 to `most`, with which a histogram has at most `cells` cells.

    >>> finest(cells_a_bin=3 * 1000, cells=40_000_000, most=12)
    8
    """
    return max([precision for precision in range(most + 1) if cells_a_bin * bins_count(precision) <= cells], default=0)


def bin_of(probabilities: npt.NDArray[np.float32], precision: int) -> Bins:
    """Returns the bin of each probability (0…1), ascending from 0; of any shape.

    >>> bin_of(np.array([0.0, 0.25, 0.5, 1.0], np.float32), precision=0)
    array([ 0, 23, 24, 47], dtype=int32)
    """
    if precision == EXACT:
        return probabilities.view(np.int32)
    side = OCTAVES << precision
    upper = probabilities >= np.float32(0.5)
    distance = np.where(upper, np.float32(1) - probabilities, probabilities)  # exact above one half
    bins = (distance.view(np.int32) >> (EXACT - precision)) - np.int32(_LOWEST_EXPONENT << precision)
    np.clip(bins, 0, side - 1, out=bins)
    return np.where(upper, np.int32(2 * side - 1) - bins, bins)


def coarser(bins: Bins, precision: int, coarse: int) -> Bins:
    """Returns the bins of a lower precision in which those of a higher one lie.

    >>> coarser(np.array([12287, 512], np.int32), precision=8, coarse=0)
    array([47,  2], dtype=int32)
    """
    if precision == EXACT > coarse:
        return bin_of(bins.view(np.float32), coarse)
    return bins >> (precision - coarse)


def lowest_of(bins: Bins, precision: int) -> npt.NDArray[np.float32]:
    """Returns the smallest float32 of each bin: what is at or above that of the bin b lies in b or above.

    >>> lowest_of(np.array([24, 47], np.int32), precision=0).tolist()
    [0.5, 1.0]
    """
    if precision == EXACT:
        return bins.view(np.float32)
    side = OCTAVES << precision
    upper = bins >= side
    ends = np.where(upper, 2 * side - bins, bins) + np.int32(_LOWEST_EXPONENT << precision)
    distance = (ends << (EXACT - precision)).view(np.float32)  # from 0 where a lower bin begins, from 1 below an upper
    below = 1 - distance.astype(np.float64)  # exact
    above = below.astype(np.float32)
    above = np.where(above > below, above, np.nextafter(above, np.float32(1)))
    above[bins == side] = 0.5  # one half itself belongs to the first bin of the upper side
    return np.where(upper, above, np.where(bins == 0, np.float32(0), distance))


def single_valued(bins: Bins, precision: int) -> npt.NDArray[np.bool_]:
    """Returns which bins hold one float32 number alone: the finest near 1, and 1 itself.

    >>> single_valued(np.array([45, 46, 47], np.int32), precision=0)
    array([False,  True,  True])
    """
    if precision == EXACT:
        return np.ones(bins.shape, np.bool_)
    lowest = lowest_of(bins, precision)
    single: npt.NDArray[np.bool_] = np.nextafter(lowest, np.float32(2)) == lowest_of(bins + 1, precision)
    single[bins == bins_count(precision) - 1] = True
    return single


def coarser_counts(counts: npt.NDArray[np.int64], coarse: int) -> npt.NDArray[np.int64]:
    """Returns histograms (…×bins) with the bins of a lower precision.

    >>> coarser_counts(np.ones((2, bins_count(8)), np.int64), coarse=0).shape
    (2, 48)
    """
    merged: npt.NDArray[np.int64] = counts.reshape(*counts.shape[:-1], bins_count(coarse), -1).sum(axis=-1)
    return merged
