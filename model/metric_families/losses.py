"""Measures losses: how far the probabilities are from the truth."""

import math

import numpy as np

from bulklabel.model.counting.block import Block
from bulklabel.model.counting.fixed import FIXED_POINT, fixed
from bulklabel.model.counting.grouping import Grouping
from bulklabel.model.counting.tally import Counts
from bulklabel.model.metric_families.confusion import known
from bulklabel.model.metric_families.family import Estimate, Family, NamedSums, Totals, Values
from bulklabel.model.metric_families.jackknife import unbounded_interval
from bulklabel.model.metric_families.quotients import divide_known, ratio

FLOAT_EPSILON = float(np.finfo(np.float64).eps)
KERAS_EPSILON = 1e-7
_BELOW_ONE = 1 - float(np.float32(1 - KERAS_EPSILON))
_LEAST = -np.log1p(-_BELOW_ONE)


def _label_sums(block: Block, grouping: Grouping) -> NamedSums:
    """Sums log losses as whole part and fraction, G×L×2: no sum overflows below two billion records."""
    log_loss, binary_crossentropy = _log_losses(block)
    distance = np.square(block.probabilities.astype(np.float64) - block.present)
    return {
        "log_loss": _whole_and_fraction(log_loss, grouping),
        "binary_crossentropy": _whole_and_fraction(binary_crossentropy, grouping),
        "brier": grouping.by_label(fixed(distance * block.known)),
    }


def _log_losses(block: Block) -> tuple[Values, Values]:
    """Returns -log(probability of the truth), L×N, as scikit-learn and as Keras clip it; 0 where unknown.

    scikit-learn (`log_loss`) keeps away from 0 and 1 by float64's epsilon, Keras (`binary_crossentropy`) by 1e-7 in
    float32: from 1 that is 2**-23.
    """
    exact = block.probabilities.astype(np.float64)
    truth = np.where(block.present, exact, 1 - exact)
    losses = -np.log(np.clip(truth, FLOAT_EPSILON, 1 - FLOAT_EPSILON))
    clipped = np.clip(losses, _LEAST, np.where(block.present, -np.log(KERAS_EPSILON), -np.log(_BELOW_ONE)))
    return losses * block.known, clipped * block.known


def _whole_and_fraction(values: Values, grouping: Grouping) -> Counts:
    whole = np.floor(values)
    return np.stack([grouping.by_label(whole), grouping.by_label(fixed(values - whole))], axis=-1)


def _real(whole_and_fraction: Counts) -> Values:
    real: Values = whole_and_fraction[..., 0] + whole_and_fraction[..., 1] / FIXED_POINT
    return real


def _estimate(totals: Totals) -> Estimate:
    known_answers = known(totals.sums)
    answers = int(known_answers.sum())
    log_loss, crossentropy = (_real(totals.sums[name]) for name in ("log_loss", "binary_crossentropy"))
    brier = totals.sums["brier"] / FIXED_POINT
    return Estimate(
        overall={
            "log_loss": ratio(math.fsum(log_loss), answers),
            "binary_crossentropy": ratio(math.fsum(crossentropy), answers),
            "brier": ratio(math.fsum(brier), answers),
        },
        per_label={
            "log_loss": divide_known(log_loss, known_answers, known_answers),
            "brier": divide_known(brier, known_answers, known_answers),
        },
    )


LOSSES = Family(
    _estimate,
    label_sums=_label_sums,
    intervals={"log_loss": unbounded_interval, "binary_crossentropy": unbounded_interval},
)
"""Of all labels, and of each. Log losses are in nats."""
