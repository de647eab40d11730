"""Sums over records, kept apart by group: what the metrics of thresholds and of single probabilities need."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from model.statistic.block import Block
from model.statistic.fixed import fixed
from model.statistic.ranking import rank_sums
from model.statistic.tally import Counts

Values = npt.NDArray[np.float64]

RELIABILITY_BINS = 10
"""Equal bins of probability, as in scikit-learn's `calibration_curve`: each includes its upper end."""

FLOAT_EPSILON = float(np.finfo(np.float64).eps)
KERAS_EPSILON = 1e-7

_UPPER_ENDS = [
    np.nextafter(np.float32(end), np.float32(0)) if np.float32(end) > end else np.float32(end)
    for end in np.linspace(0, 1, RELIABILITY_BINS + 1)[1:-1].tolist()
]
"""The largest float32 in each bin: what is above it lies above the exact end, too."""


@dataclass(eq=False)
class Sums:
    """Integer sums of G groups of records (or of one, without the first axis), with L labels.

    The four `*_by_size` sums make the averages over samples exact: they hold, at the index d, the sum of the
    numerators of all records whose fraction has the denominator d. Losses are (whole, fraction), the fraction in
    units of `model.statistic.fixed`, as are `brier`, `reliability_probability`, `ranking_precision`, `ranking_loss`
    and `recall_at`.
    """

    with_truth: Counts  # G
    all_correct: Counts  # G
    true_positives: Counts  # G×L, as the next three
    false_positives: Counts
    false_negatives: Counts
    true_negatives: Counts
    precision_by_size: Counts  # G×(L+1)
    recall_by_size: Counts
    f1_by_size: Counts  # G×(2L+1)
    jaccard_by_size: Counts  # G×(L+1)
    log_loss: Counts  # G×L×2
    binary_crossentropy: Counts  # G×L×2
    brier: Counts  # G×L
    reliability_records: Counts  # G×L×10, as the next two
    reliability_present: Counts
    reliability_probability: Counts
    ranking_precision: Counts  # G
    coverage: Counts  # G
    ranking_loss: Counts  # G
    hits_at: Counts  # G×(number of ranks in `model.statistic.ranking.ranks`)
    recall_at: Counts  # likewise

    @staticmethod
    def of(block: Block, groups: npt.NDArray[np.int64], count: int) -> "Sums":
        """The sums of a block's records; `groups` holds for each of the N its group, from 0 to `count` - 1."""
        by_label, by_record = _summed_by(groups, count)
        hits, trues, guesses = (rows.sum(axis=0) for rows in (block.hits, block.present, block.predicted))
        true_positives, present, predicted = (by_label(rows) for rows in (block.hits, block.present, block.predicted))
        sizes = np.bincount(groups, minlength=count)
        known = by_label(block.known) if not block.all_known else np.repeat(sizes[:, None], block.labels, axis=1)
        false_positives, false_negatives = predicted - true_positives, present - true_positives
        wrong = block.present != block.predicted  # neither is set where truth is unknown
        log_loss, binary_crossentropy = _losses(block)
        return Sums(
            with_truth=by_record(block.with_truth),
            all_correct=by_record(block.with_truth & ~wrong.any(axis=0)),
            true_positives=true_positives,
            false_positives=false_positives,
            false_negatives=false_negatives,
            true_negatives=known - true_positives - false_positives - false_negatives,
            precision_by_size=_by_size(hits, guesses, block.labels, groups, count),
            recall_by_size=_by_size(hits, trues, block.labels, groups, count),
            f1_by_size=_by_size(2 * hits, trues + guesses, 2 * block.labels, groups, count),
            jaccard_by_size=_by_size(hits, trues + guesses - hits, block.labels, groups, count),
            log_loss=_whole_and_fraction(log_loss, by_label),
            binary_crossentropy=_whole_and_fraction(binary_crossentropy, by_label),
            brier=by_label(fixed(np.square(block.scores - block.present, dtype=np.float64) * block.known)),
            **_reliability(block, groups, count),
            **{name: by_record(values) for name, values in rank_sums(block).items()},
        )

    @staticmethod
    def zero(labels: int, count: int) -> "Sums":
        """The sums of no records in `count` groups."""
        return _zero(labels, count).copy()

    @property
    def labels(self) -> int:
        """L."""
        return int(self.true_positives.shape[-1])

    @property
    def known(self) -> Counts:
        """Records whose truth is known, by label."""
        return self.true_positives + self.false_positives + self.false_negatives + self.true_negatives

    @property
    def support(self) -> Counts:
        """Records where the label is present."""
        return self.true_positives + self.false_negatives

    def total(self) -> "Sums":
        """All groups together, without the first axis."""
        return self._each(lambda values: values.sum(axis=0))

    def group(self, group: int | slice) -> "Sums":
        """One group, or some."""
        return self._each(lambda values: values[group])

    def __iadd__(self, other: "Sums") -> "Sums":
        """Add the other's sums to these, in place."""
        for item in fields(self):
            values = getattr(self, item.name)
            values += getattr(other, item.name)
        return self

    def __sub__(self, other: "Sums") -> "Sums":
        """Of the records that are in these sums, but not in the other's, which are some of them."""
        return Sums(**{item.name: getattr(self, item.name) - getattr(other, item.name) for item in fields(self)})

    def __eq__(self, other: object) -> bool:
        """Whether both are the same in every sum."""
        return isinstance(other, Sums) and all(
            np.array_equal(getattr(self, item.name), getattr(other, item.name)) for item in fields(self)
        )

    def copy(self) -> "Sums":
        """One that can be added to without changing this one."""
        return self._each(np.copy)

    def _each(self, change: Callable[[Counts], Counts]) -> "Sums":
        return Sums(**{item.name: change(getattr(self, item.name)) for item in fields(self)})


Numbers = npt.NDArray[Any]  # bool, int64 or float64
SumRows = Callable[[Numbers], Counts]


def _summed_by(groups: npt.NDArray[np.int64], count: int) -> tuple[SumRows, SumRows]:
    """What sums rows of values (L×N, or N) by group, to G×L, or G.

    By a product of matrices, which is exact: all values are integers whose sums stay below 2**53.
    """
    member = np.zeros((len(groups), count))
    member[np.arange(len(groups)), groups] = 1
    member_of_few = member.astype(np.float32)  # counts of a block's records are exact in float32, and twice as fast

    def by_label(rows: Numbers) -> Counts:
        return _whole((rows.astype(np.float32) @ member_of_few).T if rows.dtype == bool else (rows @ member).T)

    def by_record(values: Numbers) -> Counts:
        return _whole(member.T @ values)

    return by_label, by_record


def _whole(values: npt.NDArray[Any]) -> Counts:
    return np.asarray(np.rint(values), np.int64)


def _by_size(
    numerators: Counts, denominators: Counts, largest: int, groups: npt.NDArray[np.int64], count: int
) -> Counts:
    cells = groups * (largest + 1) + denominators
    sums = np.bincount(cells, weights=numerators, minlength=count * (largest + 1))
    return sums.astype(np.int64).reshape(count, largest + 1)


def _losses(block: Block) -> tuple[Values, Values]:
    """-log(probability of the truth), L×N, as scikit-learn and as Keras clip it; 0 where truth is unknown.

    scikit-learn (`log_loss`) keeps away from 0 and 1 by float64's epsilon, Keras (`binary_crossentropy`) by 1e-7.
    """
    exact = block.scores.astype(np.float64)
    truth = np.where(block.present, exact, 1 - exact)
    losses = -np.log(np.clip(truth, FLOAT_EPSILON, 1 - FLOAT_EPSILON))
    clipped = np.clip(losses, -np.log1p(-KERAS_EPSILON), -np.log(KERAS_EPSILON))
    return losses * block.known, clipped * block.known


def _whole_and_fraction(values: Values, by_label: SumRows) -> Counts:
    whole = np.floor(values)
    return np.stack([by_label(whole), by_label(fixed(values - whole))], axis=-1)


def _reliability(block: Block, groups: npt.NDArray[np.int64], count: int) -> dict[str, Counts]:
    """Records, those where the label is present, and the probabilities' sum: by group, label and bin, where known."""
    shape = (count, block.labels, RELIABILITY_BINS)
    bins = np.zeros(block.scores.shape, np.uint8)
    for end in _UPPER_ENDS:
        bins += block.scores > end
    cells = (groups * block.labels + np.arange(block.labels)[:, None]) * RELIABILITY_BINS + bins
    cells, present, scores = block.of_known(cells), block.of_known(block.present), block.of_known(block.scores)
    size = int(np.prod(shape))
    records = np.bincount(cells, minlength=size)
    return {
        "reliability_records": records.reshape(shape),
        "reliability_present": np.bincount(cells[present], minlength=size).reshape(shape),
        "reliability_probability": np.bincount(cells, fixed(scores.astype(np.float64)), size)
        .astype(np.int64)
        .reshape(shape),
    }


@functools.lru_cache(4)
def _zero(labels: int, count: int) -> Sums:
    truth, probabilities = np.zeros((0, labels), np.int8), np.zeros((0, labels), np.float32)
    return Sums.of(Block.of(truth, probabilities, [0.5] * labels), np.zeros(0, np.int64), count)
