"""All metrics of a statistic at once: their values, and what they are without each group of records."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bulklabel.model.metrics import rates
from bulklabel.model.metrics.areas import areas, averages
from bulklabel.model.statistic import GROUPS, Statistic
from bulklabel.model.statistic.scores import group_precision, score_precision
from bulklabel.model.statistic.sums import Sums
from bulklabel.model.statistic.tally import Counts

Values = npt.NDArray[np.float64]
Bounds = dict[str, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Estimate:
    """The metrics of some records: by name one number (`overall`), or one for each of L labels; NaN is undefined.

    `bounds` and `label_bounds` hold those of the areas under curves.
    """

    overall: dict[str, float]
    per_label: dict[str, Values]
    bounds: Bounds
    label_bounds: dict[str, tuple[Values, Values]]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Sums by group, G×…, beside histograms of probabilities: all records' (L×3×bins), and by group where it is known.

    The precision of each histogram says what its bins are. `scores_by_group` is G×L×2×bins, or None.
    """

    sums: Sums
    scores: Counts
    precision: int
    scores_by_group: Counts | None
    group_precision: int

    @staticmethod
    def of(statistic: Statistic) -> "Evidence":
        """All that a statistic holds of its records."""
        labels = statistic.labels
        by_group = statistic.scores_by_group.counts()
        scores = statistic.scores.counts()
        return Evidence(statistic.sums, scores, score_precision(labels), by_group, group_precision(labels, GROUPS))

    @cached_property
    def total(self) -> Sums:
        """The sums of all groups together."""
        return self.sums.total()

    def estimate(self) -> Estimate:
        """The metrics of all records."""
        return estimate(self.total, self.scores, self.precision)

    def without_groups(self) -> Iterator[Estimate]:
        """The metrics without each group that has records with truth."""
        scores = None if self.scores_by_group is None else self.scores_by_group.sum(axis=0)
        for group in np.flatnonzero(self.sums.with_truth):
            left = self.total - self.sums.group(int(group))
            if scores is None or self.scores_by_group is None:
                yield estimate(left)
            else:
                yield estimate(left, scores - self.scores_by_group[group], self.group_precision)


def estimate(sums: Sums, scores: Counts | None = None, precision: int = 0) -> Estimate:
    """The metrics of sums without groups and, if there is one, of a histogram of probabilities."""
    overall, per_label = rates.overall(sums), rates.per_label(sums)
    if scores is None:
        return Estimate(overall, per_label, {}, {})
    found = areas(scores, precision)
    averaged = averages(found, areas(scores.sum(axis=0, keepdims=True), precision), sums.support)
    return Estimate(
        overall | {name: value for name, (value, _, _) in averaged.items()},
        per_label | {name: value for name, (value, _, _) in found.items()},
        {name: (low, high) for name, (_, low, high) in averaged.items()},
        {name: (low, high) for name, (_, low, high) in found.items()},
    )
