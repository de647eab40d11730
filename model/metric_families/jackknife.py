"""Draws 95 % confidence intervals by the delete-a-group jackknife.

Records are in groups by a hash of their id, or of what they belong to. How much a metric moves when each group in turn
is left out tells its standard error (Kott, "The delete-a-group jackknife", 2001); the interval is Student's, with one
degree of freedom less than there are groups of equal size. For metrics in 0…1 it is drawn on the logit scale, so that
it stays inside of them. For shares of things that are counted it is Wilson's, which holds for a handful of them too.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from bulklabel.model.counting.tally import Counts

Values = npt.NDArray[np.float64]

LEVEL = 0.95

Freedom = Values | float

Interval = Callable[[Values, Values, Freedom], tuple[Values, Values]]
"""From the metrics of all records, of any shape, the same without each of the G groups that hold records, G×that shape,
and the degrees of freedom, one or of that shape, to the low and high ends of their intervals; NaN where there is none.

A metric that moves with no group has an interval of no width, which says that nothing is known of its error.
"""


def degrees_of_freedom(sizes: Counts) -> Values:
    """Returns the degrees of freedom of intervals, at least 1, from the numbers of records of each group, G×any shape.

    Where a few patients have very many films some groups are large, and the error rests on these. So groups count as
    their effective number: the square of the sum of their sizes, by the sum of the squares (Kish, "Survey Sampling",
    1965).

    >>> degrees_of_freedom(np.array([[5, 17], [5, 1], [5, 1], [5, 1]]))
    array([3., 1.])
    """
    numbers = sizes.astype(np.float64)  # which no square overflows
    squares = np.maximum(np.square(numbers).sum(axis=0), 1)
    freedom: Values = np.maximum(np.square(numbers.sum(axis=0)) / squares - 1, 1)
    return freedom


def counted_interval(value: Values, without: Values, freedom: Freedom, counted: Counts) -> tuple[Values, Values]:
    """Returns the ends for shares of `counted` things, by Wilson's score interval (1927); NaN where none are counted.

    Things of one group resemble each other, so they count as their effective number: as many as would by themselves
    have the jackknife's error, corrected for its degrees of freedom, and no more than there are (Korn and Graubard,
    "Confidence intervals for proportions with small expected number of positive counts", 1998). Where no group makes a
    difference, as where a few answers are all right, they count as what they are.

    >>> low, high = counted_interval(np.array(1.0), np.ones(20), 19, np.array(5))
    >>> print(f"{low:.3f} {high:.3f}")
    0.566 1.000
    """
    error = standard_error(without)
    quantile, size = (1 + LEVEL) / 2, np.maximum(counted, 1)
    correction = stdtrit(np.maximum(size - 1, 1), quantile) / stdtrit(freedom, quantile)
    spread = value * (1 - value)
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.where((spread > 0) & (error > 0), np.minimum(spread * np.square(correction / error), size), size)
    squared = stdtrit(np.inf, quantile) ** 2
    centre, half = (
        value + squared / (2 * effective),
        np.sqrt(squared * (spread + squared / (4 * effective)) / effective),
    )
    scale = np.where((counted > 0) & ~np.isnan(error), 1 + squared / effective, np.nan)
    low, high = (centre - half) / scale, (centre + half) / scale
    return np.clip(low, 0, value), np.clip(high, value, 1)  # rounded they could pass the value by a last bit


def f1_interval(value: Values, without: Values, freedom: Freedom, counted: Counts) -> tuple[Values, Values]:
    """Returns the ends for F1, which is no share but follows from one: the Jaccard index, of `counted` things."""
    low, high = counted_interval(value / (2 - value), without / (2 - without), freedom, counted)
    return np.minimum(2 * low / (1 + low), value), np.maximum(2 * high / (1 + high), value)


def share_interval(value: Values, without: Values, freedom: Freedom) -> tuple[Values, Values]:
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


def correlation_interval(value: Values, without: Values, freedom: Freedom) -> tuple[Values, Values]:
    """Returns the ends for correlations, which are in -1…1, by Fisher's transformation: the logit of (1 + r) / 2."""
    low, high = share_interval((1 + value) / 2, (1 + without) / 2, freedom)
    return np.minimum(2 * low - 1, value), np.maximum(2 * high - 1, value)


def mean_interval(values: Sequence[Values], ends: Sequence[tuple[Values, Values]]) -> tuple[Values, Values]:
    """Returns the ends for the mean of shares of different things, from each one's interval.

    They are as far from the mean as the root of the sum of squares of the distances of each share's own ends (Zou and
    Donner, "Construction of confidence limits about effect measures", 2008), so that they hold where those hold.

    >>> shares = [np.array(1.0), np.array(0.9)]
    >>> ends = [(np.array(0.6), np.array(1.0)), (np.array(0.85), np.array(0.95))]
    >>> low, high = mean_interval(shares, ends)
    >>> print(f"{low:.3f} {high:.3f}")
    0.748 0.975
    """
    mean = np.mean(values, axis=0)
    below = [value - low for value, (low, _) in zip(values, ends, strict=True)]
    above = [high - value for value, (_, high) in zip(values, ends, strict=True)]
    low, high = (np.sqrt(np.square(distances).sum(axis=0)) / len(values) for distances in (below, above))
    return mean - low, mean + high


def unbounded_interval(value: Values, without: Values, freedom: Freedom) -> tuple[Values, Values]:
    """Returns the ends for metrics that are not negative and may exceed 1, such as log losses."""
    _, spread = _error_and_spread(without, freedom)
    return np.maximum(value - spread, 0), value + spread


def distance_interval(value: Values, without: Values, freedom: Freedom) -> tuple[Values, Values]:
    """Returns the ends for means of distances without their sign, such as the expected calibration error, in 0…1.

    Such a mean comes out too large by about a constant over the root of the number of records. Without a group it grows
    by half of what a bias of one over the number would: so twice the jackknife's estimate of the bias is allowed for at
    the low end.
    """
    _, spread = _error_and_spread(without, freedom)
    return np.maximum(value - spread - 2 * _bias(value, without), 0), np.minimum(value + spread, 1)


def change_interval(value: Values, without: Values, freedom: Freedom) -> tuple[Values, Values]:
    """Returns the ends for differences of two metrics, which may be negative."""
    _, spread = _error_and_spread(without, freedom)
    return value - spread, value + spread


def _error_and_spread(without: Values, freedom: Freedom) -> tuple[Values, Values]:
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
