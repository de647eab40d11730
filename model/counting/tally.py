"""Counts how often each cell of a large array was met, in a list of cells for as long as that is smaller."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
SmallCounts = npt.NDArray[np.uint32]
Cells = npt.NDArray[np.int32]

SPARSE_UP_TO = 2
"""A list of more cells than half of the array's is counted into the array."""


@dataclass(eq=False)
class Tally:
    """Counts the cells of an array of a shape, each below 2**32, which takes half of what int64 would.

    No record may meet a cell twice, so that four billion records have room. `cells` are flat indices, one for each
    time a cell was met; `dense` is what was counted besides, or None.

    >>> tally = Tally((2, 2), [np.array([3, 0, 3], np.int32)])
    >>> tally.counts().tolist()
    [[1, 0], [0, 2]]
    """

    shape: tuple[int, ...]
    cells: list[Cells]
    dense: SmallCounts | None = None

    @property
    def size(self) -> int:
        """The number of cells of the array."""
        return int(np.prod(self.shape))

    def counts(self) -> Counts:
        """Returns the whole array, in the tally's shape."""
        counts = np.zeros(self.size, np.int64) if self.dense is None else self.dense.astype(np.int64)
        _count(counts, self.cells)
        return counts.reshape(self.shape)

    def __iadd__(self, other: "Tally") -> "Tally":
        """Add what the other has met to this one, in place; the other stays as it is."""
        self.cells.extend(other.cells)
        if other.dense is not None:
            self.dense = other.dense.copy() if self.dense is None else self.dense.__iadd__(other.dense)
        if self.dense is None and sum(map(len, self.cells)) > self.size // SPARSE_UP_TO:
            self.dense = np.zeros(self.size, np.uint32)
        if self.dense is not None:
            _count(self.dense, self.cells)
            self.cells = []
        return self

    def __eq__(self, other: object) -> bool:
        """Whether both met every cell equally often."""
        return isinstance(other, Tally) and np.array_equal(self.counts(), other.counts())

    def copy(self) -> "Tally":
        """Returns a tally that can be added to without changing this one."""
        return Tally(self.shape, list(self.cells), None if self.dense is None else self.dense.copy())


def _count(counts: Counts | SmallCounts, cells: Sequence[Cells]) -> None:
    for chunk in cells:
        np.add.at(counts, chunk, counts.dtype.type(1))  # of another type it would be ten times slower
