"""Decodes training samples once: the records that `score` would read, decoded by the same function, in their order."""

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bulklabel.model.errors import UserError
from bulklabel.model.images.decode import batch_size_for
from bulklabel.model.images.limits import Limits
from bulklabel.model.images.resize import Pixels, Preprocessing
from bulklabel.model.labels.predictions import LABELS_COLUMN, truth_of
from bulklabel.model.labels.truth import PRESENT, UNKNOWN, Truth
from bulklabel.model.statistic.distinct import Distinct, DistinctCounter
from bulklabel.model.statistic.hash_ids import Hashes, hash_groups
from bulklabel.transforms.concurrency.timeout import TimedThreads
from bulklabel.transforms.reading.readers import read_shard
from bulklabel.transforms.reading.records import ReadSpec, RecordTable, Shard, Unreadable
from bulklabel.transforms.scoring.decode import decode_tables
from bulklabel.transforms.truth.keys import JoinCount
from bulklabel.transforms.truth.truth_source import with_truth
from bulklabel.transforms.truth.truth_table import TruthTable

DECODING_THREADS = 2
KEPT = "bulklabel.kept"
"""The column that tells which records are kept for validation."""

MEMORY_BYTES = 2 * 2**30
"""Decoded pixels of a side up to which they are kept in memory, and not in a file."""


@dataclass(eq=False)
class SideCounts:
    """Counts the samples of one side of the split, and for each of L labels where it is known, and where present."""

    known: npt.NDArray[np.int64]
    present: npt.NDArray[np.int64]
    samples: int = 0

    def add(self, truth: Truth) -> None:
        """Adds the truth of samples, N×L."""
        self.samples += len(truth)
        self.known += (truth != UNKNOWN).sum(axis=0)
        self.present += (truth == PRESENT).sum(axis=0)


@dataclass(frozen=True)
class Survey:
    """Counts what is known of L labels on either side of the split.

    And the records of which nothing is, those that name another label by its name, the unreadable by reason, and what
    is distinct of those that can be read.
    """

    training: SideCounts
    validation: SideCounts
    without_truth: int
    other_labels: Mapping[str, int]
    unreadable: Mapping[str, int]
    distinct: Distinct


@dataclass(frozen=True)
class SampleSource:
    """Holds where samples come from, how they are read, and which fraction of them (0 to 1) is kept for validation.

    Records of one value of the column `group_by`, if one is named, are on the same side. The truth of a table, if there
    is one, counts instead of the records' own.
    """

    shards: Sequence[Shard]
    spec: ReadSpec
    validation_fraction: float
    group_by: str | None = None
    truth: TruthTable | None = None

    def present_labels(self) -> set[str]:
        """Returns the labels that any record has, found in one pass that reads no image where that can be avoided."""
        labels: set[str] = set()
        for table in self.tables(self.shards, replace(self.spec, images=False)):
            if not isinstance(table, Unreadable):
                labels.update(pc.list_flatten(table.rows.column(LABELS_COLUMN)).drop_null().unique().to_pylist())
        return labels

    def survey(self, labels: Sequence[str]) -> Survey:
        """Counts the records in one pass, without decoding an image.

        Raises:
            UserError: if one row of truth would be that of several records.
        """
        training, validation = (SideCounts(*np.zeros((2, len(labels)), np.int64)) for _ in range(2))
        others: Counter[str] = Counter()
        unreadable: Counter[str] = Counter()
        counter = DistinctCounter(self.group_by)
        joined = None if self.truth is None else JoinCount(self.truth.rows, self.truth.key)
        records = 0
        for table in self.tables(self.shards, self.spec):
            if isinstance(table, Unreadable):
                unreadable[table.problem.reason] += len(table.positions)
                continue
            records += len(table)
            counter.add(table.rows)
            if joined is not None:
                joined.add(table.rows.column("id").to_pylist())
            truth, unnamed = truth_of(table.rows, labels)
            others.update(unnamed)
            in_training, in_validation = self.sides(table.rows, truth)
            training.add(truth[in_training])
            validation.add(truth[in_validation])
        without_truth = records - training.samples - validation.samples
        return Survey(training, validation, without_truth, others, unreadable, counter.distinct())

    def tables(self, shards: Sequence[Shard], spec: ReadSpec) -> Iterator[RecordTable | Unreadable]:
        """Yields the records of shards."""
        for shard in shards:
            yield from with_truth(read_shard(shard, spec), self.truth)

    def sides(self, rows: pa.Table, truth: Truth) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Returns which of N rows are for training, and which for validation, by their truth, N×L."""
        kept = below(hash_groups(rows, self.group_by), self.validation_fraction)
        known = (truth != UNKNOWN).any(axis=1)
        return ~kept & known, kept & known


@dataclass(frozen=True)
class Decoded:
    """Holds the samples of one side: images, N×H×W×3, their truth, N×L, and a digest of both."""

    images: Pixels
    truth: Truth
    digest: str


@dataclass(frozen=True)
class Sides:
    """Holds both sides of the data decoded, and how many of their records could not be read or decoded."""

    training: Decoded
    validation: Decoded
    rejected: int


def decode_samples(
    source: SampleSource,
    labels: tuple[str, ...],
    preprocessing: Preprocessing,
    limits: Limits,
    counts: tuple[int, int],
    folder: str | None,
) -> Sides:
    """Reads and decodes all samples once, in the order of the records.

    A record is for validation if a hash of its id, or of its group, falls below the source's fraction: the same records
    whatever their order, and whatever is added to them.

    Args:
        source: where they are.
        labels: L.
        preprocessing: how images are decoded and resized.
        limits: how large an image may be, and whether one that lacks pixels is rejected.
        counts: how many samples there are at most for training and for validation, as the survey counted them.
        folder: where a nameless file may be that holds the pixels of a side if they are more than `MEMORY_BYTES`; None
            has the system choose.

    Raises:
        UserError: if there are more samples than were counted, or no space for that file.
    """
    sides = [_Side(count, len(labels), preprocessing, folder) for count in counts]
    rejected: set[tuple[str, int]] = set()
    tables = _samples(source, labels, preprocessing, rejected)
    with closing(TimedThreads(DECODING_THREADS, "decode")) as threads:
        for decoded in decode_tables(threads, tables, preprocessing, limits):
            rejected.update((row["source"], row["position"]) for row in decoded.rejected)
            truth = truth_of(decoded.records, labels)[0]
            kept = decoded.records.column(KEPT).to_numpy()
            for side, chosen in zip(sides, (~kept, kept), strict=True):
                rows = chosen & decoded.good
                side.add(decoded.pixels[rows], truth[rows])
    training, validation = (side.decoded() for side in sides)
    return Sides(training, validation, len(rejected))


class _Side:
    def __init__(self, count: int, labels: int, preprocessing: Preprocessing, folder: str | None) -> None:
        self._images = _room((count, preprocessing.height, preprocessing.width, 3), folder)
        self._truth = np.empty((count, labels), np.int8)
        self._digest, self._filled = hashlib.sha256(), 0

    def add(self, images: Pixels, truth: Truth) -> None:
        end = self._filled + len(images)
        if end > len(self._truth):
            raise UserError("the input has changed since its records were counted; run the same command again.")
        self._images[self._filled : end], self._truth[self._filled : end] = images, truth
        self._digest.update(images.tobytes())
        self._digest.update(truth.tobytes())
        self._filled = end

    def decoded(self) -> Decoded:
        return Decoded(self._images[: self._filled], self._truth[: self._filled], self._digest.hexdigest())


def _samples(
    source: SampleSource, labels: Sequence[str], preprocessing: Preprocessing, rejected: set[tuple[str, int]]
) -> Iterator[RecordTable]:
    """Yields the records of which anything is known, with `KEPT`; adds those that cannot be read to `rejected`."""
    for table in source.tables(source.shards, replace(source.spec, batch_size=batch_size_for(preprocessing))):
        if isinstance(table, Unreadable):
            rejected.update((table.source, position) for position in table.positions)
        else:
            learnt, kept = source.sides(table.rows, truth_of(table.rows, labels)[0])
            yield replace(table, rows=table.rows.append_column(KEPT, pa.array(kept))).filter(learnt | kept)


def below(hashes: Hashes, fraction: float) -> npt.NDArray[np.bool_]:
    """Tells which hashes lie below `fraction` (0…1) of all that there can be, as about that share of them does.

    >>> below(np.array([2**62, 2**63], np.uint64), 0.5).tolist()
    [True, False]
    """
    return np.array([number < fraction * 2**64 for number in hashes.tolist()], bool)


def _room(shape: tuple[int, ...], folder: str | None) -> Pixels:
    """Returns an array of bytes in memory, or in a file without a name, which vanishes with the process."""
    size = int(np.prod(shape))
    if size <= MEMORY_BYTES:
        return np.empty(shape, np.uint8)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # or the disk would be full in the midst of a write to memory
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise UserError(
            f"decoded images need {size:,} bytes of a file in {folder or tempfile.gettempdir()} ({error.strerror}); "
            "make room there, or give a smaller --image_size."
        ) from error
