"""Adds up the values of records within groups of records."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bulklabel.model.counting.tally import Counts


@dataclass(frozen=True, eq=False)
class Grouping:
    """Says which of `count` groups each of N records is in; sums need records that are sorted by group.

    `order` sorts the records by group, `starts` says where in that order the groups begin that have any, and `filled`
    which these are.

    >>> grouping = Grouping.of(np.array([0, 0, 2]), count=3)
    >>> grouping.by_record(np.array([1, 2, 5])).tolist()
    [3, 0, 5]
    >>> grouping.by_label(np.array([[True, False, True], [False, False, True]])).tolist()
    [[1, 0], [0, 0], [1, 1]]
    """

    groups: Counts
    count: int
    order: Counts
    starts: Counts
    filled: Counts

    @staticmethod
    def of(groups: Counts, count: int) -> "Grouping":
        """Makes a grouping from the groups of N records, each from 0 to `count` - 1."""
        order = np.argsort(groups, kind="stable")
        filled, starts = np.unique(groups[order], return_index=True)
        return Grouping(groups, count, order, starts, filled)

    @property
    def is_sorted(self) -> bool:
        """Whether the records are sorted by group."""
        return bool((self.groups[1:] >= self.groups[:-1]).all())

    def by_label(self, rows: npt.NDArray[Any]) -> Counts:
        """Returns the sums by group, G×L, of whole numbers or flags, L×N."""
        sums = np.zeros((self.count, len(rows)), np.int64)
        number = np.int64 if rows.dtype == bool else np.float64  # whole numbers below 2**53 add up exactly
        sums[self.filled] = np.add.reduceat(rows, self.starts, axis=1, dtype=number).T
        return sums

    def by_record(self, values: npt.NDArray[Any]) -> Counts:
        """Returns the sums by group, G or G×K, of whole numbers or flags, N or N×K."""
        sums = np.zeros((self.count, *values.shape[1:]), np.int64)
        sums[self.filled] = np.add.reduceat(values.astype(np.float64), self.starts, axis=0)
        return sums
