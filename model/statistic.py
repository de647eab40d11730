"""The mergeable summary of truth against predictions, of which every metric is a function."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from model.labels import PRESENT, UNKNOWN, Truth
from model.thresholds import predict_labels

Counts = npt.NDArray[np.int64]

FIXED_POINT = 2**32
"""Real-valued sums are integers in this unit: each addend is off by at most 1.2e-10, and so is every mean."""

MAX_NAMES = 1000
"""How many unknown labels are kept by name: the first in alphabetical order, which makes the merge exact."""

KERAS_EPSILON = 1e-7
FLOAT_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Statistic:
    """Counts of N records, with L labels. Merging by `+` is exactly associative and commutative.

    `scored`, `rejected` (by stage and reason) and `unknown_labels` (records by label name) count all records, the
    rest only those with truth. The four `*_by_size` sums make the averages over samples exact: they hold, at the
    index d, the sum of the numerators of all records whose fraction has the denominator d.
    """

    scored: int
    rejected: Mapping[tuple[str, str], int]
    unknown_labels: Mapping[str, int]
    with_truth: int
    all_correct: int
    true_positives: Counts
    false_positives: Counts
    false_negatives: Counts
    true_negatives: Counts
    precision_by_size: Counts = field(repr=False)
    recall_by_size: Counts = field(repr=False)
    f1_by_size: Counts = field(repr=False)
    jaccard_by_size: Counts = field(repr=False)
    log_loss_sum: int
    binary_crossentropy_sum: int

    @staticmethod
    def zero(labels: int) -> "Statistic":
        """The statistic of no records: the identity of `+`."""
        nothing = np.zeros((0, labels))
        return Statistic.from_batch(nothing.astype(np.int8), nothing.astype(np.float32), [0.5] * labels)

    @staticmethod
    def from_batch(
        truth: Truth,
        probabilities: npt.NDArray[np.float32],
        thresholds: Sequence[float],
        unknown_labels: Mapping[str, int] | None = None,
        rejected: Mapping[tuple[str, str], int] | None = None,
    ) -> "Statistic":
        """The statistic of N scored records and of any rejected beside them.

        Args:
            truth: N×L; a record has truth if at least one of its labels is known, and only those count.
            probabilities: N×L, 0…1.
            thresholds: L numbers, 0…1.
            unknown_labels: records by the name of a label in the truth that the model does not know.
            rejected: records by stage and reason.
        """
        with_truth = (truth != UNKNOWN).any(axis=1)
        scored = len(truth)
        truth, probabilities = truth[with_truth], probabilities[with_truth]
        known, present = truth != UNKNOWN, truth == PRESENT
        predicted = predict_labels(probabilities, thresholds) & known
        hit = present & predicted
        hits, trues, guesses = (block.sum(axis=1) for block in (hit, present, predicted))
        labels = truth.shape[1]
        true_positives = hit.sum(axis=0)
        false_positives = predicted.sum(axis=0) - true_positives
        false_negatives = present.sum(axis=0) - true_positives
        log_loss, binary_crossentropy = _losses(present, known, probabilities)
        return Statistic(
            scored=scored,
            rejected=dict(rejected or {}),
            unknown_labels=_first_names(unknown_labels or {}),
            with_truth=len(truth),
            all_correct=int(((present == predicted) | ~known).all(axis=1).sum()),
            true_positives=true_positives,
            false_positives=false_positives,
            false_negatives=false_negatives,
            true_negatives=known.sum(axis=0) - true_positives - false_positives - false_negatives,
            precision_by_size=_sum_by_size(hits, guesses, labels),
            recall_by_size=_sum_by_size(hits, trues, labels),
            f1_by_size=_sum_by_size(2 * hits, trues + guesses, 2 * labels),
            jaccard_by_size=_sum_by_size(hits, trues + guesses - hits, labels),
            log_loss_sum=log_loss,
            binary_crossentropy_sum=binary_crossentropy,
        )

    def __add__(self, other: "Statistic") -> "Statistic":
        """The statistic of both sets of records together."""
        merged = {item.name: _merge(getattr(self, item.name), getattr(other, item.name)) for item in fields(self)}
        return Statistic(**merged | {"unknown_labels": _first_names(merged["unknown_labels"])})

    def __eq__(self, other: object) -> bool:
        """Whether both are the same in every count."""
        return isinstance(other, Statistic) and all(
            np.array_equal(getattr(self, item.name), getattr(other, item.name)) for item in fields(self)
        )


def merge(statistics: Sequence[Statistic], labels: int) -> Statistic:
    """The sum of many statistics of `labels` labels; of none, zero."""
    return functools.reduce(Statistic.__add__, statistics, Statistic.zero(labels))


def _merge(first: Any, second: Any) -> Any:
    if isinstance(first, Mapping):
        return {key: first.get(key, 0) + second.get(key, 0) for key in sorted({*first, *second})}
    return first + second


def _first_names(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts)[:MAX_NAMES]}


def _sum_by_size(numerators: Counts, denominators: Counts, largest: int) -> Counts:
    return np.bincount(denominators, weights=numerators, minlength=largest + 1).astype(np.int64)


def _losses(
    present: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float32]
) -> tuple[int, int]:
    """Sums of -log(probability of the truth) over the known labels, as scikit-learn and as Keras clip it.

    scikit-learn (`log_loss`, on float64) keeps away from 0 and 1 by float64's epsilon, Keras
    (`binary_crossentropy`, on float32) by 1e-7.
    """
    exact = probabilities.astype(np.float64)
    clipped = np.clip(probabilities, np.float32(KERAS_EPSILON), np.float32(1 - KERAS_EPSILON))
    log_loss = np.clip(np.where(present, exact, 1 - exact)[known], FLOAT_EPSILON, 1 - FLOAT_EPSILON)
    binary_crossentropy = np.where(present, clipped, 1 - clipped)[known].astype(np.float64)
    return _fixed_point_sum(-np.log(log_loss)), _fixed_point_sum(-np.log(binary_crossentropy))


def _fixed_point_sum(values: npt.NDArray[np.float64]) -> int:
    """The sum as a Python integer, which cannot overflow: the halves of each addend are summed apart."""
    units = np.rint(values * FIXED_POINT).astype(np.int64)
    high, low = units >> 32, units & (2**32 - 1)
    return (int(high.sum()) << 32) + int(low.sum())
