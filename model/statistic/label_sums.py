"""The sums that are of each label alone: counts of right and wrong, losses, and how reliable probabilities are."""

import numpy as np
import numpy.typing as npt

from bulklabel.model.statistic.block import Block
from bulklabel.model.statistic.fixed import fixed
from bulklabel.model.statistic.grouping import Grouping
from bulklabel.model.statistic.tally import Counts

Values = npt.NDArray[np.float64]

RELIABILITY_BINS = 10
"""Equal bins of probability, as in scikit-learn's `calibration_curve`: each includes its upper end."""

FLOAT_EPSILON = float(np.finfo(np.float64).eps)
KERAS_EPSILON = 1e-7
_BELOW_ONE = 1 - float(np.float32(1 - KERAS_EPSILON))

_UPPER_ENDS = [
    np.nextafter(np.float32(end), np.float32(0)) if float(np.float32(end)) > end else np.float32(end)
    for end in np.linspace(0, 1, RELIABILITY_BINS + 1)[1:-1].tolist()
]
"""The largest float32 in each bin: what is above it lies above the exact end, too."""


def label_sums(block: Block, grouping: Grouping) -> dict[str, Counts]:
    """The fields of `Sums` that have an axis of labels, by name; the block's records are sorted by group."""
    by_label = grouping.by_label
    true_positives, present, predicted = (by_label(rows) for rows in (block.hits, block.present, block.predicted))
    false_positives, false_negatives = predicted - true_positives, present - true_positives
    log_loss, binary_crossentropy = _losses(block)
    distance = np.square(block.scores.astype(np.float64) - block.present)
    return {
        "true_positives": true_positives,
        "false_positives": false_positives,
        "false_negatives": false_negatives,
        "true_negatives": by_label(block.known) - true_positives - false_positives - false_negatives,
        "log_loss": _whole_and_fraction(log_loss, grouping),
        "binary_crossentropy": _whole_and_fraction(binary_crossentropy, grouping),
        "brier": by_label(fixed(distance * block.known)),
        **_reliability(block, grouping),
    }


def _losses(block: Block) -> tuple[Values, Values]:
    """-log(probability of the truth), L×N, as scikit-learn and as Keras clip it; 0 where truth is unknown.

    scikit-learn (`log_loss`) keeps away from 0 and 1 by float64's epsilon, Keras (`binary_crossentropy`) by 1e-7 in
    float32: from 1 that is 2**-23.
    """
    exact = block.scores.astype(np.float64)
    truth = np.where(block.present, exact, 1 - exact)
    losses = -np.log(np.clip(truth, FLOAT_EPSILON, 1 - FLOAT_EPSILON))
    clipped = np.clip(losses, -np.log1p(-_BELOW_ONE), -np.log(np.where(block.present, KERAS_EPSILON, _BELOW_ONE)))
    return losses * block.known, clipped * block.known


def _whole_and_fraction(values: Values, grouping: Grouping) -> Counts:
    whole = np.floor(values)
    return np.stack([grouping.by_label(whole), grouping.by_label(fixed(values - whole))], axis=-1)


def _reliability(block: Block, grouping: Grouping) -> dict[str, Counts]:
    """Records, those where the label is present, and the probabilities' sum: by group, label and bin, where known."""
    shape = (grouping.count, block.labels, RELIABILITY_BINS)
    bins = np.zeros(block.scores.shape, np.uint8)
    for end in _UPPER_ENDS:
        bins += block.scores > end
    cells = (grouping.groups * block.labels + np.arange(block.labels)[:, None]) * RELIABILITY_BINS + bins
    cells, present, scores = block.of_known(cells), block.of_known(block.present), block.of_known(block.scores)
    size = int(np.prod(shape))
    probability = np.bincount(cells, fixed(scores.astype(np.float64)), size)
    return {
        "reliability_records": np.bincount(cells, minlength=size).reshape(shape),
        "reliability_present": np.bincount(cells[present], minlength=size).reshape(shape),
        "reliability_probability": probability.astype(np.int64).reshape(shape),
    }
