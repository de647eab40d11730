"""Sums over records, kept apart by group: what the metrics of thresholds and of single probabilities need."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from bulklabel.model.statistic.block import Block, in_threads, label_chunks
from bulklabel.model.statistic.grouping import Grouping
from bulklabel.model.statistic.label_sums import label_sums
from bulklabel.model.statistic.record_sums import record_sums
from bulklabel.model.statistic.tally import Counts


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
        grouping = Grouping.of(groups, count)
        if not grouping.is_sorted:
            block, grouping = block.take(grouping.order), Grouping.of(groups[grouping.order], count)
        chunks = in_threads(lambda labels: label_sums(block.of_labels(labels), grouping), label_chunks(block))
        by_label = {name: np.concatenate([chunk[name] for chunk in chunks], axis=1) for name in chunks[0]}
        return Sums(**by_label, **record_sums(block, grouping))

    @staticmethod
    def zero(labels: int, count: int) -> "Sums":
        """The sums of no records in `count` groups."""
        return Sums(**{name: np.zeros(shape, np.int64) for name, shape in _shapes(labels, count).items()})

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


@functools.lru_cache(4)
def _shapes(labels: int, count: int) -> dict[str, tuple[int, ...]]:
    truth, probabilities = np.zeros((0, labels), np.int8), np.zeros((0, labels), np.float32)
    nothing = Sums.of(Block.of(truth, probabilities, [0.5] * labels), np.zeros(0, np.int64), count)
    return {item.name: getattr(nothing, item.name).shape for item in fields(nothing)}
