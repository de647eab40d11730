"""Counts probabilities by label, truth and bin: in fine bins of all records, in coarse ones by group."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bulklabel.model.counting.bins import bin_of, bins_count, coarser, finest
from bulklabel.model.counting.block import Block, in_threads, label_chunks
from bulklabel.model.counting.tally import Cells, Tally

PLANES = 3
"""Of truth: absent is 0, present 1, and unknown the last, so that truth itself is the index of its plane."""

MOST_PRECISION = 12
MOST_GROUP_PRECISION = 5
MOST_CELLS = 40_000_000
MOST_GROUP_CELLS = 2**22
"""Limits of the histograms' size: 160 MB, and (unless labels are many) 17 MB by group."""


def fine_precision(labels: int) -> int:
    """Returns the precision of the bins of all records: 12 for 10 labels, 8 for 1,000, 4 for 10,000."""
    return finest(PLANES * labels, MOST_CELLS, MOST_PRECISION)


def coarse_precision(labels: int, groups: int) -> int:
    """Returns the precision of the bins by group, and of slices: 5 for 10 labels, 1 for 1,000, 0 for 10,000."""
    return finest(2 * groups * labels, MOST_GROUP_CELLS, MOST_GROUP_PRECISION)


def histogram_cells(block: Block, precision: int) -> Cells:
    """Returns each answer's cell in an array L×3×bins, L×N."""
    label = np.arange(block.labels, dtype=np.int32)[:, np.newaxis]
    return _cells(block, label, bin_of(block.probabilities, precision), precision)


def histograms_tally(labels: int, precision: int, cells: Sequence[Cells]) -> Tally:
    """Returns a tally of answers by label, by truth (absent, present, unknown) and by bin: L×3×bins."""
    return Tally((labels, PLANES, bins_count(precision)), [chunk.ravel() for chunk in cells if chunk.size])


def histograms_of(block: Block, groups: npt.NDArray[np.int64], groups_count: int) -> tuple[Tally, Tally]:
    """Returns the histogram of all records, L×3×bins, and the one by group where truth is known, G×L×2×bins."""
    precision, coarse = fine_precision(block.labels), coarse_precision(block.labels, groups_count)
    width, groups32 = bins_count(coarse), groups.astype(np.int32)

    def cells(labels: slice) -> tuple[Cells, Cells]:
        chunk = block.of_labels(labels)
        bins = bin_of(chunk.probabilities, precision)
        label = np.arange(block.labels, dtype=np.int32)[labels, np.newaxis]
        by_group = ((groups32 * block.labels + label) * 2 + chunk.present) * width + coarser(bins, precision, coarse)
        return _cells(chunk, label, bins, precision), chunk.of_known(by_group)

    everything, known = zip(*in_threads(cells, label_chunks(block)), strict=True)
    by_group = Tally((groups_count, block.labels, 2, width), [chunk for chunk in known if chunk.size])
    return histograms_tally(block.labels, precision, everything), by_group


def no_histograms(labels: int, groups_count: int) -> tuple[Tally, Tally]:
    """Returns both histograms of no records."""
    by_group = Tally((groups_count, labels, 2, bins_count(coarse_precision(labels, groups_count))), [])
    return histograms_tally(labels, fine_precision(labels), []), by_group


def _cells(block: Block, label: Cells, bins: npt.NDArray[np.int32], precision: int) -> Cells:
    plane = np.where(block.known, block.present, np.int32(PLANES - 1))
    return (label * PLANES + plane) * bins_count(precision) + bins
