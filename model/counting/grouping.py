"""Sums by group: values of records that are in groups, added up within each."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bulklabel.model.counting.tally import Counts


@dataclass(frozen=True, eq=False)
class Grouping:
    """Which of `count` groups each of N records is in; sums can be made where the records are sorted by group.

    `order` sorts the records by group, `starts` says where in that order the groups begin that have any, and `filled`
    which these are.
    """

    groups: Counts
    count: int
    order: Counts
    starts: Counts
    filled: Counts

    @staticmethod
    def of(groups: Counts, count: int) -> "Grouping":
        """From the groups of N records, each from 0 to `count` - 1."""
        order = np.argsort(groups, kind="stable")
        filled, starts = np.unique(groups[order], return_index=True)
        return Grouping(groups, count, order, starts, filled)

    @property
    def is_sorted(self) -> bool:
        """Whether the records are sorted by group."""
        return bool((self.groups[1:] >= self.groups[:-1]).all())

    def by_label(self, rows: npt.NDArray[Any]) -> Counts:
        """Sums by group of L×N whole numbers or flags: G×L."""
        sums = np.zeros((self.count, len(rows)), np.int64)
        number = np.int64 if rows.dtype == bool else np.float64  # whole numbers below 2**53 add up exactly
        sums[self.filled] = np.add.reduceat(rows, self.starts, axis=1, dtype=number).T
        return sums

    def by_record(self, values: npt.NDArray[Any]) -> Counts:
        """Sums by group of N, or N×K, whole numbers or flags: G, or G×K."""
        sums = np.zeros((self.count, *values.shape[1:]), np.int64)
        sums[self.filled] = np.add.reduceat(values.astype(np.float64), self.starts, axis=0)
        return sums
