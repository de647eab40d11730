"""Chooses which slices are published: those with the most records, and all others together."""

from collections.abc import Iterator, Mapping

from bulklabel.model.counting.filled_bins import FilledBins
from bulklabel.model.metrics.estimates import Evidence
from bulklabel.model.statistic import GROUPS, Statistic
from bulklabel.model.statistic.histograms import coarse_precision
from bulklabel.model.statistic.slices import Slice

MOST_SLICES = 20
"""Values of a column that are published by name; the rest are "other"."""


def slice_evidence(
    statistic: Statistic, slices: Mapping[str | None, Slice]
) -> Iterator[tuple[str | None, bool, int, Evidence]]:
    """Yields each published slice of a column: its value, whether it is "other", its scored records, and the evidence.

    The most frequent come first, equally frequent ones in alphabetical order. What is not named is all records less
    those that are: the statistic of a difference is as exact as that of a sum.
    """
    named = sorted(slices, key=lambda value: (-slices[value].records, value is not None, value))[:MOST_SLICES]
    precision = coarse_precision(statistic.labels, GROUPS)
    left_sums = statistic.sums
    left_histograms = statistic.histograms.filled().whole(precision)
    left = statistic.scored
    for value in named:
        counted = slices[value]
        histograms = counted.histograms.counts()
        yield value, False, counted.records, Evidence(counted.sums, FilledBins.of_counts(histograms))
        left_sums, left_histograms = left_sums - counted.sums, left_histograms - histograms
        left -= counted.records
    if left:
        yield None, True, left, Evidence(left_sums, FilledBins.of_counts(left_histograms))
