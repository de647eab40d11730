"""Lays out some records' truth beside their probabilities, a row a label, as everything that is counted needs them."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bulklabel.model.labels.thresholds import predict_labels
from bulklabel.model.labels.truth import PRESENT, UNKNOWN, Truth

Flags = npt.NDArray[np.bool_]
Probabilities = npt.NDArray[np.float32]
Number = TypeVar("Number", bound=np.generic)
Result = TypeVar("Result")

BLOCK_CELLS = 2**22
"""A block has at most so many answers (records times labels): the limit of the memory that counting takes."""

BLOCK_RECORDS = 2**16
"""And so many records: the sums of their fixed-point numbers are exact in float64."""

CHUNK_CELLS = 2**17
"""Blocks are worked on in chunks of about so many answers, so that what is computed of one stays in the cache."""


@dataclass(frozen=True)
class Block:
    """Holds N records and L labels: `present`, `known`, `predicted`, `given` and `probabilities` (0…1) are all L×N.

    What is unknown counts neither as present nor as predicted here; `given` is what was predicted, known or not.
    """

    present: Flags
    known: Flags
    predicted: Flags
    given: Flags
    probabilities: Probabilities

    @staticmethod
    def of(truth: Truth, probabilities: Probabilities, thresholds: Sequence[float]) -> "Block":
        """Makes a block from truth and probabilities, both N×L, and L thresholds."""
        known = np.ascontiguousarray((truth != UNKNOWN).T)
        given = np.ascontiguousarray(predict_labels(probabilities, thresholds).T)
        return Block(
            present=np.ascontiguousarray((truth == PRESENT).T),
            known=known,
            predicted=given & known,
            given=given,
            probabilities=np.ascontiguousarray(probabilities.T) + np.float32(0),  # -0 becomes 0, which has other bits
        )

    def of_known(self, rows: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """Returns the values of an L×N array that belong to known truth, flat."""
        return rows.ravel() if self.all_known else rows[self.known]

    @cached_property
    def all_known(self) -> bool:
        """Whether the truth of every label is known for every record."""
        return bool(self.known.all())

    def of_labels(self, labels: slice) -> "Block":
        """Returns the block of some labels that follow each other."""
        return self._each(lambda rows: rows[labels])

    def of_records(self, records: slice) -> "Block":
        """Returns the block of some records that follow each other."""
        return self._each(lambda rows: rows[:, records])

    def take(self, records: Flags | npt.NDArray[np.int64]) -> "Block":
        """Returns some of the records, or all in another order; `records` says which of the N, as flags or indices."""
        return self._each(lambda rows: np.ascontiguousarray(rows[:, records]))

    def _each(self, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> "Block":
        rows = (self.present, self.known, self.predicted, self.given, self.probabilities)
        return Block(*map(change, rows))

    @property
    def records(self) -> int:
        """The number of records, N."""
        return int(self.present.shape[1])

    @property
    def labels(self) -> int:
        """The number of labels, L."""
        return int(self.present.shape[0])

    @cached_property
    def hits(self) -> Flags:
        """Where a label is predicted and present, L×N."""
        return self.present & self.predicted

    @cached_property
    def with_truth(self) -> Flags:
        """Whether the truth of at least one label is known, by record, N."""
        return np.asarray(self.known.any(axis=0))


def row_blocks(records: int, labels: int) -> list[slice]:
    """Returns slices of the rows that are a block each; a single empty one if there are no records."""
    return _slices(records, min(BLOCK_RECORDS, BLOCK_CELLS // labels))


def label_chunks(block: Block) -> list[slice]:
    """Returns slices of a block's labels."""
    return _slices(block.labels, CHUNK_CELLS // max(1, block.records))


def record_chunks(block: Block) -> list[slice]:
    """Returns slices of a block's records; a single empty one if there are none."""
    return _slices(block.records, CHUNK_CELLS // block.labels)


def _slices(length: int, step: int) -> list[slice]:
    step = max(1, step)
    return [slice(first, first + step) for first in range(0, max(1, length), step)]


def in_threads(work: Callable[[slice], Result], chunks: Sequence[slice]) -> list[Result]:
    """Returns what the work gives for each chunk, in their order; several are done at once, a thread a core."""
    if len(chunks) == 1:
        return [work(chunks[0])]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, chunks))
