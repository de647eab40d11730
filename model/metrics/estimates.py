"""Computes the metrics of a statistic's records, and what they are without each group of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bulklabel.model.counting.filled_bins import FilledBins
from bulklabel.model.counting.sums import Sums
from bulklabel.model.counting.tally import Counts
from bulklabel.model.metric_families.families import estimate
from bulklabel.model.metric_families.family import Estimate, Totals
from bulklabel.model.metric_families.jackknife import Values, degrees_of_freedom
from bulklabel.model.statistic import Statistic


@dataclass(frozen=True, eq=False)
class Evidence:
    """Holds sums by group, G×…, beside histograms of probabilities: all records', and by group where truth is known.

    `histograms_by_group` is G×L×2×bins, with coarse bins, or None.
    """

    sums: Sums
    histograms: FilledBins
    histograms_by_group: Counts | None = None

    @staticmethod
    def of(statistic: Statistic) -> "Evidence":
        """Returns all that a statistic holds of its records."""
        return Evidence(statistic.sums, statistic.histograms.filled(), statistic.histograms_by_group.counts())

    @cached_property
    def total(self) -> Sums:
        """The sums of all groups together, without the first axis."""
        return self.sums.total()

    @property
    def freedom(self) -> Values:
        """The degrees of freedom of intervals of metrics of all labels."""
        return degrees_of_freedom(self.sums["with_truth"])

    @property
    def label_freedom(self) -> Values:
        """The degrees of freedom of intervals of each label's metrics, L, which rest on the rarer of its two sides."""
        present = self.sums["true_positives"] + self.sums["false_negatives"]
        absent = self.sums["false_positives"] + self.sums["true_negatives"]
        return np.minimum(degrees_of_freedom(present), degrees_of_freedom(absent))

    def estimate(self) -> Estimate:
        """Returns the metrics of all records."""
        return estimate(Totals(self.total, self.histograms))

    def without_groups(self) -> Iterator[Estimate]:
        """Yields the metrics without each group that has records with truth."""
        known_histograms = None if self.histograms_by_group is None else self.histograms_by_group.sum(axis=0)
        for group in np.flatnonzero(self.sums["with_truth"]):
            histograms = None
            if known_histograms is not None and self.histograms_by_group is not None:
                histograms = FilledBins.of_counts(known_histograms - self.histograms_by_group[group])
            yield estimate(Totals(self.total - self.sums.group(int(group)), histograms))
