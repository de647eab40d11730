"""95 % confidence intervals by the delete-a-group jackknife.

Records are in groups by a hash of their id. How much a metric moves when each group in turn is left out tells its
standard error (Kott, "The delete-a-group jackknife", 2001); the interval is Student's, with one degree of freedom less
than there are groups. For metrics in 0…1 it is drawn on the logit scale, so that it stays inside of them.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Values = npt.NDArray[np.float64]

LEVEL = 0.95

UNBOUNDED = frozenset({"log_loss", "binary_crossentropy", "coverage_error"})
"""The metrics that may exceed 1."""


def interval(name: str, value: Values, without: Values) -> tuple[Values, Values]:
    """The low and high ends of the intervals of metrics; NaN where there is none.

    The mean of gaps without their sign, as the expected calibration error is, comes out too large by about a constant
    over the root of the number of records. Without a group it grows by half of what a bias of one over the number
    would: so twice the jackknife's estimate of the bias is allowed for at the low end.

    A metric that moves with no group has an interval of no width, which says that nothing is known of its error.

    Args:
        name: the metric's, or `change` for a difference, which lies in -1…1 or further.
        value: the metrics of all records, of any shape.
        without: the same without each of the G groups that hold records, G×that shape.
    """
    error = standard_error(without)
    spread = stdtrit(max(len(without) - 1, 1), (1 + LEVEL) / 2) * error
    if name == "change":
        return value - spread, value + spread
    if name in UNBOUNDED:
        return np.maximum(value - spread, 0), value + spread
    if name == "ece":
        return np.maximum(value - spread - 2 * _bias(value, without), 0), np.minimum(value + spread, 1)
    inside = (value > 0) & (value < 1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        odds, factor = value / (1 - value), np.exp(spread / (value * (1 - value)))
        low, high = odds / factor / (1 + odds / factor), 1 / (1 + 1 / (odds * factor))
    at_end = np.where(np.isnan(error), np.nan, value)
    low, high = np.minimum(low, value), np.maximum(high, value)  # rounded they could pass the value by a last bit
    return np.where(inside, low, at_end), np.where(inside, high, at_end)


def _bias(value: Values, without: Values) -> Values:
    """The jackknife's estimate of how much too large a metric is in the mean; never negative."""
    return np.maximum((len(without) - 1) * (without.mean(axis=0) - value), 0) if len(without) else value


def standard_error(without: Values) -> Values:
    """The jackknife's standard error from the G estimates; NaN if one is, or if there are fewer than two."""
    groups = len(without)
    if groups < 2:
        return np.full(without.shape[1:], np.nan)
    deviations = without - without.mean(axis=0)
    error: Values = np.sqrt((groups - 1) / groups * np.square(deviations).sum(axis=0))
    return error
