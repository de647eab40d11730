"""Measures calibration: whether labels are present as often as their probabilities promise."""

import numpy as np
import numpy.typing as npt

from bulklabel.model.counting.block import Block
from bulklabel.model.counting.fixed import FIXED_POINT, fixed
from bulklabel.model.counting.grouping import Grouping
from bulklabel.model.counting.tally import Counts
from bulklabel.model.metric_families.family import Estimate, Family, NamedSums, Totals, Values
from bulklabel.model.metric_families.jackknife import distance_interval
from bulklabel.model.metric_families.quotients import divide_known

RELIABILITY_BINS = 10
"""Equal bins of probability, as in scikit-learn's `calibration_curve`: each includes its upper end."""

RELIABILITY = ("reliability_records", "reliability_present", "reliability_probability")
"""The sums, G×L×10: records, those where the label is present, and the probabilities in units of `fixed`."""

_UPPER_ENDS = [
    np.nextafter(np.float32(end), np.float32(0)) if float(np.float32(end)) > end else np.float32(end)
    for end in np.linspace(0, 1, RELIABILITY_BINS + 1)[1:-1].tolist()
]
"""The largest float32 in each bin: what is above it lies above the exact end, too."""


def reliability_bins(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Returns the bin of each probability, 0 to 9.

    >>> reliability_bins(np.array([0, 0.1, 0.25, 1], np.float32)).tolist()
    [0, 1, 2, 9]
    """
    bins = np.zeros(probabilities.shape, np.uint8)
    for end in _UPPER_ENDS:
        bins += probabilities > end
    return bins


def _label_sums(block: Block, grouping: Grouping) -> NamedSums:
    shape = (grouping.count, block.labels, RELIABILITY_BINS)
    bins = reliability_bins(block.probabilities)
    cells = (grouping.groups * block.labels + np.arange(block.labels)[:, None]) * RELIABILITY_BINS + bins
    cells, present = block.of_known(cells), block.of_known(block.present)
    probabilities = block.of_known(block.probabilities).astype(np.float64)
    size = int(np.prod(shape))
    sums = np.bincount(cells, fixed(probabilities), size)
    return {
        "reliability_records": np.bincount(cells, minlength=size).reshape(shape),
        "reliability_present": np.bincount(cells[present], minlength=size).reshape(shape),
        "reliability_probability": sums.astype(np.int64).reshape(shape),
    }


def _calibration_error(records: Counts, present: Counts, probability: Counts) -> Values:
    """Returns the mean over records of |share present - mean probability|, of rows of bins.

    With ten equal bins (Naeini, Cooper and Hauskrecht, 2015); NaN without records.
    """
    gaps = np.abs(present - probability / FIXED_POINT).sum(axis=-1)
    total = records.sum(axis=-1)
    return divide_known(gaps, total, total)


def _estimate(totals: Totals) -> Estimate:
    by_label = [totals.sums[name] for name in RELIABILITY]
    of_all = [counts.sum(axis=0, keepdims=True) for counts in by_label]
    return Estimate({"ece": float(_calibration_error(*of_all)[0])}, {"ece": _calibration_error(*by_label)})


CALIBRATION = Family(_estimate, label_sums=_label_sums, intervals={"ece": distance_interval})
"""The expected calibration error of all answers together, and of each label."""
