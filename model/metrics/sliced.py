"""Chooses which slices are published: those with the most records, and all others together."""

import functools
import operator
from collections.abc import Iterator, Mapping

from bulklabel.model.counting.filled_bins import merged
from bulklabel.model.metrics.estimates import Evidence
from bulklabel.model.statistic import Statistic
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
    for value in named:
        yield value, False, slices[value].records, Evidence(slices[value].sums, slices[value].histograms.filled())
    left = statistic.scored - sum(slices[value].records for value in named)
    if left:
        sums = functools.reduce(operator.sub, [slices[value].sums for value in named], statistic.sums)
        histograms = statistic.histograms.filled() - merged([slices[value].histograms.filled() for value in named])
        yield None, True, left, Evidence(sums, histograms)
