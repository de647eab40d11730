"""Adds up whole numbers of records, by name and within groups of records."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bulklabel.model.counting.tally import Counts


@dataclass(eq=False)
class Sums:
    """Holds integer sums by name, each of G groups of records: G×…, or of all records without that axis.

    Sums of two sets of records are added name by name, so that merging is exact in any order.

    >>> sums = Sums({"records": np.array([3, 4]), "present": np.array([[1, 0], [2, 2]])})
    >>> sums += sums.copy()
    >>> sums.total()["present"]
    array([6, 4])
    """

    values: dict[str, Counts]

    def __getitem__(self, name: str) -> Counts:
        """The sum of this name."""
        return self.values[name]

    def total(self) -> "Sums":
        """Returns the sums of all groups together, without the first axis."""
        return self._each(lambda values: values.sum(axis=0))

    def group(self, group: int | slice) -> "Sums":
        """Returns the sums of one group, without the first axis, or those of several, with it."""
        return self._each(lambda values: values[group])

    def __iadd__(self, other: "Sums") -> "Sums":
        """Add the other's sums to these, in place."""
        for name, values in self.values.items():
            values += other[name]
        return self

    def __sub__(self, other: "Sums") -> "Sums":
        """The sums of the records that are in these, but not in the other's, which are some of them."""
        return Sums({name: values - other[name] for name, values in self.values.items()})

    def __eq__(self, other: object) -> bool:
        """Whether both are the same in every sum."""
        return (
            isinstance(other, Sums)
            and self.values.keys() == other.values.keys()
            and all(np.array_equal(values, other[name]) for name, values in self.values.items())
        )

    def copy(self) -> "Sums":
        """Returns sums that can be added to without changing these."""
        return self._each(np.copy)

    def _each(self, change: Callable[[Counts], Counts]) -> "Sums":
        return Sums({name: change(values) for name, values in self.values.items()})
