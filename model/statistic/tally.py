"""A tally: how often each cell of a large array was met, kept as a list of cells for as long as that is smaller."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

SPARSE_UP_TO = 8
"""A list of more cells than an eighth of the array is counted into the array."""


@dataclass(eq=False)
class Tally:
    """Counts of the cells of an array of a shape: int64, never negative.

    `cells` are flat indices, one for each time a cell was met; `dense` is what was counted besides, or None.
    """

    shape: tuple[int, ...]
    cells: list[Counts]
    dense: Counts | None = None

    @property
    def size(self) -> int:
        """The number of cells."""
        return int(np.prod(self.shape))

    def counts(self) -> Counts:
        """The whole array."""
        counts = np.zeros(self.size, np.int64) if self.dense is None else self.dense.copy()
        _count(counts, self.cells)
        return counts.reshape(self.shape)

    def __iadd__(self, other: "Tally") -> "Tally":
        """Add what the other has met to this one, in place; the other stays as it is."""
        self.cells.extend(other.cells)
        if other.dense is not None:
            self.dense = other.dense.copy() if self.dense is None else self.dense.__iadd__(other.dense)
        if self.dense is None and sum(map(len, self.cells)) > self.size // SPARSE_UP_TO:
            self.dense = np.zeros(self.size, np.int64)
        if self.dense is not None:
            _count(self.dense, self.cells)
            self.cells = []
        return self

    def __eq__(self, other: object) -> bool:
        """Whether both met every cell equally often."""
        return isinstance(other, Tally) and np.array_equal(self.counts(), other.counts())

    def copy(self) -> "Tally":
        """One that can be added to without changing this one."""
        return Tally(self.shape, list(self.cells), None if self.dense is None else self.dense.copy())


def _count(counts: Counts, cells: Sequence[Counts]) -> None:
    for some in cells:
        np.add.at(counts, some, 1)
