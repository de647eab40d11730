"""Divides and averages, rounding once, with scikit-learn's answers to 0/0."""

import math

import numpy as np
import numpy.typing as npt

from bulklabel.model.counting.tally import Counts

Values = npt.NDArray[np.float64]


def ratio(numerator: float, denominator: int) -> float:
    """Returns the quotient of two numbers; NaN if the denominator is 0: undefined.

    >>> ratio(1, 4), ratio(0, 0)
    (0.25, nan)
    """
    return numerator / denominator if denominator else math.nan


def number_or_none(value: float) -> float | None:
    """Returns a number as JSON has it: None where it is undefined.

    >>> number_or_none(math.nan), number_or_none(0.5)
    (None, 0.5)
    """
    return None if math.isnan(value) else float(value)


def interval_or_none(low: float, high: float) -> list[float] | None:
    """Returns the ends of an interval as JSON has them: None where it is undefined."""
    return None if math.isnan(low) or math.isnan(high) else [float(low), float(high)]


def divide(numerators: Counts | Values, denominators: Counts) -> Values:
    """Returns the quotients of two arrays of one length, with 0 for 0/0: scikit-learn's `zero_division=0`.

    >>> divide(np.array([1, 0]), np.array([4, 0]))
    array([0.25, 0.  ])
    """
    quotients = np.zeros(len(denominators))
    np.divide(numerators, denominators, out=quotients, where=denominators > 0)
    return quotients


def divide_known(numerators: Counts | Values, denominators: Counts, known: Counts) -> Values:
    """Returns the quotients of each label, L, with 0 for 0/0, and NaN where no record's truth is known.

    >>> divide_known(np.array([1, 0, 0]), np.array([4, 0, 0]), known=np.array([4, 2, 0]))
    array([0.25, 0.  ,  nan])
    """
    return np.where(known > 0, divide(numerators, denominators), np.nan)


def mean_of(values: Values, weights: Counts | None = None) -> float:
    """Returns the mean of the values that are not NaN, weighted or not, rounded once.

    It is NaN where all are, and 0 where the weights of all others are.

    >>> mean_of(np.array([0.5, np.nan, 1.0])), mean_of(np.array([0.5, 1.0]), weights=np.array([3, 1]))
    (0.75, 0.625)
    """
    defined = ~np.isnan(values)
    if not defined.any():
        return math.nan
    if weights is None:
        return math.fsum(values[defined]) / int(defined.sum())
    total = int(weights[defined].sum())
    return math.fsum(values[defined] * weights[defined]) / total if total else 0.0
