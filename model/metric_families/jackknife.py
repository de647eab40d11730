"""Draws 95 % confidence intervals by the delete-a-group jackknife.

Records are in groups by a hash of their id, or of what they belong to. How much a metric moves when each group in turn
is left out tells its standard error (Kott, "The delete-a-group jackknife", 2001); the interval is Student's, with one
degree of freedom less than there are groups of equal size. For metrics in 0…1 it is drawn on the logit scale, so that
it stays inside of them.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from bulklabel.model.counting.tally import Counts

Values = npt.NDArray[np.float64]

LEVEL = 0.95

Interval = Callable[[Values, Values, float], tuple[Values, Values]]
"""From the metrics of all records, of any shape, the same without each of the G groups that hold records, G×that shape,
and the degrees of freedom, to the low and high ends of their intervals; NaN where there is none.

A metric that moves with no group has an interval of no width, which says that nothing is known of its error.
"""


def degrees_of_freedom(sizes: Counts) -> float:
    """Returns the degrees of freedom of an interval, from the number of records of each group; at least 1.

    Where a few patients have very many films some groups are large, and the error rests on these. So groups count as
    their effective number: the square of the sum of their sizes, by the sum of the squares (Kish, "Survey Sampling",
    1965).

    >>> degrees_of_freedom(np.array([5, 5, 5, 5])), degrees_of_freedom(np.array([17, 1, 1, 1]))
    (3.0, 1.0)
    """
    numbers = sizes.tolist()  # Python's, which no square overflows
    return max(sum(numbers) ** 2 / sum(number**2 for number in numbers) - 1, 1.0) if any(numbers) else 1.0


def share_interval(value: Values, without: Values, freedom: float) -> tuple[Values, Values]:
    """Returns the ends for metrics in 0…1, drawn on the logit scale.

    >>> low, high = share_interval(np.array(0.75), np.array([0.74, 0.75, 0.76]), 2)
    >>> print(f"{low:.3f} {high:.3f}")
    0.697 0.796
    """
    error, spread = _error_and_spread(without, freedom)
    inside = (value > 0) & (value < 1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        odds, factor = value / (1 - value), np.exp(spread / (value * (1 - value)))
        low, high = odds / factor / (1 + odds / factor), 1 / (1 + 1 / (odds * factor))
    at_end = np.where(np.isnan(error), np.nan, value)
    low, high = np.minimum(low, value), np.maximum(high, value)  # rounded they could pass the value by a last bit
    return np.where(inside, low, at_end), np.where(inside, high, at_end)


def unbounded_interval(value: Values, without: Values, freedom: float) -> tuple[Values, Values]:
    """Returns the ends for metrics that are not negative and may exceed 1, such as log losses."""
    _, spread = _error_and_spread(without, freedom)
    return np.maximum(value - spread, 0), value + spread


def distance_interval(value: Values, without: Values, freedom: float) -> tuple[Values, Values]:
    """Returns the ends for means of distances without their sign, such as the expected calibration error, in 0…1.

    Such a mean comes out too large by about a constant over the root of the number of records. Without a group it grows
    by half of what a bias of one over the number would: so twice the jackknife's estimate of the bias is allowed for at
    the low end.
    """
    _, spread = _error_and_spread(without, freedom)
    return np.maximum(value - spread - 2 * _bias(value, without), 0), np.minimum(value + spread, 1)


def change_interval(value: Values, without: Values, freedom: float) -> tuple[Values, Values]:
    """Returns the ends for differences of two metrics, which may be negative."""
    _, spread = _error_and_spread(without, freedom)
    return value - spread, value + spread


def _error_and_spread(without: Values, freedom: float) -> tuple[Values, Values]:
    """Returns the standard error, and half the width of the interval on a straight scale."""
    error = standard_error(without)
    return error, stdtrit(freedom, (1 + LEVEL) / 2) * error


def _bias(value: Values, without: Values) -> Values:
    """Returns the jackknife's estimate of how much too large a metric is in the mean; never negative."""
    return np.maximum((len(without) - 1) * (without.mean(axis=0) - value), 0) if len(without) else value


def standard_error(without: Values) -> Values:
    """Returns the jackknife's standard error of metrics from the G estimates, G×their shape.

    It is NaN if an estimate is, or if there are fewer than two.

    >>> print(f"{standard_error(np.array([0.74, 0.75, 0.76])):.4f}")
    0.0115
    """
    groups = len(without)
    if groups < 2:
        return np.full(without.shape[1:], np.nan)
    deviations = without - without.mean(axis=0)
    error: Values = np.sqrt((groups - 1) / groups * np.square(deviations).sum(axis=0))
    return error
