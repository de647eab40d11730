"""Counts the same sums and histograms for each value of a carried column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bulklabel.model.counting.bins import bins_count
from bulklabel.model.counting.block import Block
from bulklabel.model.counting.filled_bins import PLANES, FilledBins
from bulklabel.model.counting.histograms import MOST_OF_ALL, Histograms
from bulklabel.model.counting.sums import Sums
from bulklabel.model.metric_families.families import sums_of
from bulklabel.model.statistic.histograms import coarse_precision

Slices = Mapping[str | None, "Slice"]
"""By the column's value; null is a value too."""


def most_values(labels: int) -> int:
    """Returns how many values of a column are kept, the first in alphabetical order, which makes the merge exact.

    A value may take 30 kB a label.
    """
    return max(4, min(256, 8_000 // labels))


def most_filled_of_slice(labels: int, groups_count: int) -> int:
    """Returns how many filled bins the histograms of a slice have at most.

    All slices of a column together have as many as those of all records, and bins as coarse as those by group fit.

    >>> most_filled_of_slice(1, 20), most_filled_of_slice(10, 20) // 10, most_filled_of_slice(1000, 20) // 1000
    (131072, 13107, 4194)
    """
    coarse = PLANES * bins_count(coarse_precision(labels, groups_count))
    return max(labels * coarse, MOST_OF_ALL // most_values(labels))


@dataclass(eq=False)
class Slice:
    """Holds what is counted of the records with one value: sums by group, and histograms of probabilities.

    `records` counts all that were scored.
    """

    records: int
    sums: Sums
    histograms: Histograms

    def __iadd__(self, other: "Slice") -> "Slice":
        """Add the other's records to these, in place."""
        self.records += other.records
        self.sums += other.sums
        self.histograms += other.histograms
        return self

    def __eq__(self, other: object) -> bool:
        """Whether both are the same in every count."""
        return (
            isinstance(other, Slice)
            and self.records == other.records
            and self.sums == other.sums
            and self.histograms == other.histograms
        )

    def copy(self) -> "Slice":
        """Returns a slice that can be added to without changing this one."""
        return Slice(self.records, self.sums.copy(), self.histograms.copy())


def slices_of(
    block: Block, values: Sequence[str | None], groups: npt.NDArray[np.int64], groups_count: int
) -> dict[str | None, Slice]:
    """Returns the slices of a block's records; `values` and `groups` are N long."""
    names = first_values(dict.fromkeys(values), block.labels)
    numbers = {name: number for number, name in enumerate(names)}
    number = np.array([numbers.get(value, -1) for value in values], np.int64)
    kept = number >= 0
    block, groups, number = (block, groups, number) if kept.all() else (block.take(kept), groups[kept], number[kept])
    known = block.with_truth
    slice_groups = (number * groups_count + groups)[known]  # a group in a slice is a group of its own
    sums = sums_of(block if known.all() else block.take(known), slice_groups, len(names) * groups_count)
    most = most_filled_of_slice(block.labels, groups_count)

    def slice_of(index: int) -> Slice:
        own = number == index
        histograms = Histograms(block.labels, most, [FilledBins.of_block(block.take(own))])
        return Slice(
            int(own.sum()), sums.group(slice(index * groups_count, (index + 1) * groups_count)).copy(), histograms
        )

    return {name: slice_of(index) for index, name in enumerate(names)}


def add_slices(slices: dict[str | None, Slice], others: Slices, labels: int) -> dict[str | None, Slice]:
    """Returns both sets of slices together; the first are changed in place."""
    for value, other in others.items():
        if value in slices:
            slices[value] += other
        else:
            slices[value] = other.copy()
    return {value: slices[value] for value in first_values(slices, labels)}


def first_values(values: Mapping[str | None, object], labels: int) -> list[str | None]:
    """Returns as many of the values as are kept, null first."""
    return sorted(values, key=lambda value: (value is not None, value))[: most_values(labels)]
