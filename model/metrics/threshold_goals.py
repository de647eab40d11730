"""Chooses thresholds: for the best F1, a wanted precision or recall, or at most so many predicted records.

Everything is chosen from a label's curve: all thresholds that make a difference, with the counts at each. It is made of
the probabilities themselves where they are at hand, as after training, and of a statistic's histogram else.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bulklabel.model.counting.bins import bins_count, finest, lowest_of
from bulklabel.model.counting.filled_bins import BIN_MASK, PLANE_BITS, PLANES, FilledBins
from bulklabel.model.counting.tally import Counts
from bulklabel.model.labels.thresholds import DEFAULT_THRESHOLD
from bulklabel.model.labels.truth import ABSENT, PRESENT, UNKNOWN, Truth

ENOUGH = 30
"""Records that must have a label for a threshold, or a calibration, of its own."""

F1, PRECISION, RECALL, SPECIFICITY, BUDGET = "f1", "precision", "recall", "specificity", "budget"

MOST_PRECISION = 12
MOST_CELLS = 40_000_000
"""Limits of the bins between which thresholds are looked for."""


@dataclass(frozen=True)
class Goal:
    """Says what thresholds are wanted for: `kind` and its `target`.

    `f1` has no target; for `precision`, `recall` and `specificity` it is in 0…1, for `budget` a number of records a
    label, whose truth need not be known.
    """

    kind: str = F1
    target: float | None = None


@dataclass(frozen=True)
class Choice:
    """Holds a label's threshold (0…1), whether it reaches the goal, and the counts of records above it."""

    threshold: float
    reached: bool
    predicted: int
    true_positives: int
    false_positives: int


@dataclass(frozen=True, eq=False)
class Curve:
    """Holds all K thresholds of one label that make a difference, falling, and the counts at each.

    `thresholds` are float32 and half-way between neighbours; `lowest` are the least probabilities that records above
    may have. `predicted` counts all records at or above, the other two those whose truth is known.
    """

    thresholds: npt.NDArray[np.float32]
    lowest: npt.NDArray[np.float32]
    predicted: Counts
    true_positives: Counts
    false_positives: Counts


def threshold_curves(histograms: FilledBins) -> list[Curve]:
    """Returns the curve of each label from its histogram: a threshold below each bin that holds records."""
    bins = histograms.coarser(finest(PLANES * histograms.labels, MOST_CELLS, MOST_PRECISION))
    keys = bins.label << PLANE_BITS | (bins.keys & BIN_MASK)
    columns, column = np.unique(keys, return_inverse=True)
    counts = np.zeros((PLANES, len(columns)), np.int64)
    counts[bins.keys >> np.uint32(PLANE_BITS), column] = bins.counts
    filled = (columns & BIN_MASK).astype(np.int32)
    starts = np.searchsorted(columns, np.arange(histograms.labels + 1) << PLANE_BITS)
    lowest = lowest_of(filled, bins.precision)
    end = np.zeros_like(lowest)  # just above what is excluded
    end[1:] = lowest_of(np.minimum(filled[:-1] + 1, bins_count(bins.precision) - 1), bins.precision)
    end[starts[starts < len(end)]] = 0
    middle = _middle(end, lowest)
    return [
        _falling(middle[label], lowest[label], counts[:, label])
        for label in map(slice, starts[:-1].tolist(), starts[1:].tolist())
    ]


def exact_curve(truth: Truth, probabilities: npt.NDArray[np.float32]) -> Curve:
    """Returns the curve of one label from N probabilities (0 to 1) and its truth, N: a threshold below each value.

    >>> curve = exact_curve(np.array([1, 0], np.int8), np.array([0.75, 0.25], np.float32))
    >>> curve.thresholds.tolist(), curve.true_positives.tolist(), curve.false_positives.tolist()
    ([0.5, 0.125], [1, 1], [0, 1])
    """
    lowest, index = np.unique(probabilities, return_inverse=True)
    histogram = np.zeros((3, len(lowest)), np.int64)
    np.add.at(histogram, (truth, index), 1)
    excluded = np.append(np.float32(0), lowest[:-1])
    middle = _middle(excluded, lowest)
    return _falling(np.where(middle > excluded, middle, lowest), lowest, histogram)  # none lies between neighbours


def _middle(low: npt.NDArray[np.float32], high: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return ((low.astype(np.float64) + high) / 2).astype(np.float32)


def _falling(thresholds: npt.NDArray[np.float32], lowest: npt.NDArray[np.float32], histogram: Counts) -> Curve:
    """Makes the curve of K rising thresholds, K lowest probabilities, and the records in between, 3×K."""
    counts = np.cumsum(histogram[:, ::-1], axis=1)
    return Curve(thresholds[::-1], lowest[::-1], counts.sum(axis=0), counts[PRESENT], counts[ABSENT])


def tune_thresholds(truth: Truth, probabilities: npt.NDArray[np.float32], enough: int = 1) -> tuple[float, ...]:
    """Returns for each label the threshold of maximum F1 on the records whose truth is known.

    A threshold lies half-way between the lowest probability that it includes and the highest that it excludes. Of
    several equal F1 the highest threshold is taken. A label that is never present gets 0.5.

    Args:
        truth: N×L.
        probabilities: N×L, 0 to 1.
        enough: labels that are present in fewer records share the threshold that is best for all their answers
            together, since their own would fit these few records alone.

    Raises:
        ValueError: if a probability is NaN.

    >>> tune_thresholds(np.array([[1], [1], [0]], np.int8), np.array([[0.75], [0.5], [0.25]], np.float32))
    (0.375,)
    """
    if np.isnan(probabilities).any():
        raise ValueError("thresholds cannot be tuned on probabilities that are NaN")
    present = (truth == PRESENT).sum(axis=0)
    few = (present > 0) & (present < enough)
    shared = _tuned(truth[:, few].ravel(), probabilities[:, few].ravel())
    own = [_tuned(truth[:, label], probabilities[:, label]) for label in range(truth.shape[1])]
    return tuple(np.where(few, shared, own).tolist())


def _tuned(truth: Truth, probabilities: npt.NDArray[np.float32]) -> float:
    known = truth != UNKNOWN
    curve = exact_curve(truth[known], probabilities[known])
    true, false = curve.true_positives, curve.false_positives
    if not true.any():
        return DEFAULT_THRESHOLD
    precision, recall = true / (true + false), true / true[-1]
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    return float(curve.thresholds[np.argmax(f1)])


def choose(curve: Curve, goal: Goal, in_force: Choice) -> Choice:
    """Returns the threshold of a label that reaches the goal best; of several equally good ones the highest.

    `precision` and `specificity` are reached with the largest recall possible, `recall` with the highest threshold,
    `budget` with the lowest. Where no other threshold reaches it, for want of present or absent records or because too
    many share one probability, it is 1, which predicts as little as can be and may keep a budget. Where the records say
    nothing of the goal the one in force stays: for `f1` and `recall` without present records, for `specificity` without
    absent ones, for `precision` without either.

    >>> curve = exact_curve(np.array([1, 1, 0], np.int8), np.array([0.75, 0.5, 0.25], np.float32))
    >>> choose(curve, Goal("precision", 0.9), Choice(0.2, False, 3, 2, 1))
    Choice(threshold=0.375, reached=True, predicted=2, true_positives=2, false_positives=0)
    """
    true, false = curve.true_positives, curve.false_positives
    support, absent = (int(counts[-1]) if len(counts) else 0 for counts in (true, false))
    telling = {F1: support, RECALL: support, SPECIFICITY: absent, PRECISION: support + absent}
    if telling.get(goal.kind) == 0:
        return in_force
    if goal.kind == F1:
        return _chosen(curve, int(np.argmax(2 * true / (support + true + false))))
    target = goal.target or 0.0
    if goal.kind == RECALL:
        return _chosen(curve, int(np.argmax(true / support >= target)))
    if goal.kind == BUDGET:
        good, worth = curve.predicted <= target, curve.predicted
    elif goal.kind == PRECISION:
        precise = true / np.maximum(true + false, 1) >= target  # as quotients, which equal a target like 0.07
        good, worth = precise & (true > 0), true
    else:
        good, worth = (absent - false) / absent >= target, true
    if not good.any():
        least = _at(curve, 1.0, reached=False)
        kept = goal.kind == BUDGET and least.predicted <= target
        kept |= goal.kind == SPECIFICITY and (absent - least.false_positives) / absent >= target
        return replace(least, reached=kept)
    return _chosen(curve, int(np.argmax(np.where(good, worth, -1))))


def _chosen(curve: Curve, index: int) -> Choice:
    return _at(curve, float(str(curve.thresholds[index])), reached=True)


def _at(curve: Curve, threshold: float, reached: bool) -> Choice:
    """Makes the choice of any threshold: of one of the curve, or of one between two bins, as 1 is."""
    above = int((curve.lowest >= np.float32(threshold)).sum())
    if not above:
        return Choice(threshold, reached, 0, 0, 0)
    counts = (curve.predicted, curve.true_positives, curve.false_positives)
    predicted, true, false = (int(values[above - 1]) for values in counts)
    return Choice(threshold, reached, predicted, true, false)
