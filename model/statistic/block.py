"""A block: some records' truth beside their probabilities, a row a label, as everything that is counted needs them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from model.labels import PRESENT, UNKNOWN, Truth
from model.thresholds import predict_labels

Flags = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]
Number = TypeVar("Number", bound=np.generic)

BLOCK_CELLS = 2**18
"""A block has at most so many answers (records times labels): what is computed of one stays in the cache."""


@dataclass(frozen=True)
class Block:
    """N records and L labels: `present`, `known`, `predicted` and `scores` (probabilities, 0…1) are all L×N.

    What is unknown counts neither as present nor as predicted here.
    """

    present: Flags
    known: Flags
    predicted: Flags
    scores: Scores

    @staticmethod
    def of(truth: Truth, probabilities: Scores, thresholds: Sequence[float]) -> "Block":
        """From truth and probabilities, both N×L, and L thresholds."""
        known = np.ascontiguousarray((truth != UNKNOWN).T)
        return Block(
            present=np.ascontiguousarray((truth == PRESENT).T),
            known=known,
            predicted=np.ascontiguousarray(predict_labels(probabilities, thresholds).T) & known,
            scores=np.ascontiguousarray(probabilities.T) + np.float32(0),  # -0 becomes 0, which has other bits
        )

    def of_known(self, rows: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """Those values of an L×N array that belong to known truth, flat."""
        return rows.ravel() if self.all_known else rows[self.known]

    @cached_property
    def all_known(self) -> bool:
        """Whether no truth is unknown."""
        return bool(self.known.all())

    def take(self, records: Flags) -> "Block":
        """Some of the records; `records` says which of the N."""
        return Block(
            np.ascontiguousarray(self.present[:, records]),
            np.ascontiguousarray(self.known[:, records]),
            np.ascontiguousarray(self.predicted[:, records]),
            np.ascontiguousarray(self.scores[:, records]),
        )

    @property
    def records(self) -> int:
        """N."""
        return int(self.present.shape[1])

    @property
    def labels(self) -> int:
        """L."""
        return int(self.present.shape[0])

    @cached_property
    def hits(self) -> Flags:
        """L×N: predicted, and present."""
        return self.present & self.predicted

    @cached_property
    def with_truth(self) -> Flags:
        """N: whether the truth of at least one label is known."""
        return np.asarray(self.known.any(axis=0))


def row_blocks(records: int, labels: int) -> Iterator[slice]:
    """Slices of the rows that are a block each; none if there are no records."""
    step = max(1, BLOCK_CELLS // labels)
    return (slice(first, first + step) for first in range(0, records, step))
