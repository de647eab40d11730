"""Counts probabilities by label, truth and bin: as finely as can be of all records, in coarse bins by group."""

import numpy as np
import numpy.typing as npt

from bulklabel.model.counting.bins import bin_of, bins_count, finest
from bulklabel.model.counting.block import Block, in_threads, label_chunks
from bulklabel.model.counting.filled_bins import FilledBins, joined
from bulklabel.model.counting.histograms import Histograms, most_filled
from bulklabel.model.counting.tally import Cells, Tally

MOST_GROUP_PRECISION = 5
MOST_GROUP_CELLS = 2**22
"""Limits of the histograms by group: (unless labels are many) 17 MB."""


def coarse_precision(labels: int, groups: int) -> int:
    """Returns the precision of the bins by group: 5 for 10 labels, 1 for 1,000, 0 for 10,000."""
    return finest(2 * groups * labels, MOST_GROUP_CELLS, MOST_GROUP_PRECISION)


def histograms_of(block: Block, groups: npt.NDArray[np.int64], groups_count: int) -> tuple[Histograms, Tally]:
    """Returns the histograms of all records, and those by group where truth is known, G×L×2×bins."""
    precision = coarse_precision(block.labels, groups_count)
    width, groups32 = bins_count(precision), groups.astype(np.int32)

    def counted(labels: slice) -> tuple[FilledBins, Cells]:
        chunk = block.of_labels(labels)
        label = np.arange(block.labels, dtype=np.int32)[labels, np.newaxis]
        bins = bin_of(chunk.probabilities, precision)
        by_group = ((groups32 * block.labels + label) * 2 + chunk.present) * width + bins
        return FilledBins.of_block(chunk), chunk.of_known(by_group)

    everything, known = zip(*in_threads(counted, label_chunks(block)), strict=True)
    by_group = Tally((groups_count, block.labels, 2, width), [chunk for chunk in known if chunk.size])
    return Histograms(block.labels, most_filled(block.labels), [joined(everything)]), by_group


def no_histograms(labels: int, groups_count: int) -> tuple[Histograms, Tally]:
    """Returns both histograms of no records."""
    width = bins_count(coarse_precision(labels, groups_count))
    return Histograms(labels, most_filled(labels), []), Tally((groups_count, labels, 2, width), [])
