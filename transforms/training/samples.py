"""Decodes training samples once: the records that `score` would read, decoded by the same function, in their order."""

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bulklabel.model.errors import UserError
from bulklabel.model.images.decode import batch_size_for
from bulklabel.model.images.resize import Pixels, Preprocessing
from bulklabel.model.labels.predictions import LABELS_COLUMN, truth_of
from bulklabel.model.labels.truth import PRESENT, UNKNOWN, Truth
from bulklabel.model.statistic.distinct import Distinct, DistinctCounter
from bulklabel.model.statistic.hash_ids import Hashes, hash_groups
from bulklabel.transforms.concurrency.ordered_map import ordered_map
from bulklabel.transforms.reading.readers import read_shard
from bulklabel.transforms.reading.records import ReadSpec, Shard, Unreadable
from bulklabel.transforms.scoring.decode import DecodedBatch, decode_batch
from bulklabel.transforms.truth.keys import JoinCount
from bulklabel.transforms.truth.truth_source import with_truth
from bulklabel.transforms.truth.truth_table import TruthTable

DECODING_THREADS = 2
BATCHES_AHEAD = 4
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

    @property
    def known_share(self) -> float:
        """Returns the share (0 to 1) of N×L that is known."""
        return float(self.known.sum() / (self.samples * len(self.known))) if self.samples else 0.0


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
                labels.update(pc.list_flatten(table.column(LABELS_COLUMN)).drop_null().unique().to_pylist())
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
            counter.add(table)
            if joined is not None:
                joined.add(table.column("id").to_pylist())
            truth, unnamed = truth_of(table, labels)
            others.update(unnamed)
            in_training, in_validation = self.sides(table, truth)
            training.add(truth[in_training])
            validation.add(truth[in_validation])
        without_truth = records - training.samples - validation.samples
        return Survey(training, validation, without_truth, others, unreadable, counter.distinct())

    def tables(self, shards: Sequence[Shard], spec: ReadSpec) -> Iterator[pa.Table | Unreadable]:
        """Yields the records of shards."""
        for shard in shards:
            yield from with_truth(read_shard(shard, spec), self.truth)

    def on_side(self, table: pa.Table, labels: Sequence[str], validation: bool) -> npt.NDArray[np.bool_]:
        """Returns which records of a table are on this side of the split, and anything is known of their labels."""
        return self.sides(table, truth_of(table, labels)[0])[validation]

    def sides(self, table: pa.Table, truth: Truth) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Returns which of a table's N records are for training, and which for validation, by their truth, N×L."""
        kept = below(hash_groups(table, self.group_by), self.validation_fraction)
        known = (truth != UNKNOWN).any(axis=1)
        return ~kept & known, kept & known


@dataclass(frozen=True)
class Decoded:
    """Holds the samples of one side: images, N×H×W×3, their truth, N×L, and a digest of both."""

    images: Pixels
    truth: Truth
    digest: str


@dataclass(frozen=True)
class Split:
    """Holds one side of the data: the training samples, or those kept for validation.

    A record is for validation if a hash of its id, or of its group, falls below the source's fraction: the same records
    whatever their order, and whatever is added to them. `rejected` collects source and position of images that cannot
    be decoded.
    """

    source: SampleSource
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    validation: bool
    rejected: set[tuple[str, int]] = field(default_factory=set, repr=False)

    def decode(self, count: int, folder: str | None) -> Decoded:
        """Reads and decodes all samples once, in the order of the records.

        Args:
            count: how many there are at most, as the survey counted them.
            folder: where a nameless file may be that holds the pixels if they are more than `MEMORY_BYTES`; None has
                the system choose.

        Raises:
            UserError: if there are more samples than were counted, or no space for that file.
        """
        images = _room((count, self.preprocessing.height, self.preprocessing.width, 3), folder)
        truth = np.empty((count, len(self.labels)), np.int8)
        digest, filled = hashlib.sha256(), 0
        for decoded in self._decoded(self.source.shards):
            good, known = decoded.pixels[decoded.good], truth_of(decoded.records, self.labels)[0][decoded.good]
            end = filled + len(good)
            if end > count:
                raise UserError("the input has changed since its records were counted; run the same command again.")
            images[filled:end], truth[filled:end] = good, known
            digest.update(good.tobytes())
            digest.update(known.tobytes())
            filled = end
        return Decoded(images[:filled], truth[:filled], digest.hexdigest())

    def _decoded(self, shards: Sequence[Shard]) -> Iterator[DecodedBatch]:
        with ThreadPoolExecutor(DECODING_THREADS, thread_name_prefix="decode") as pool:
            spec = replace(self.source.spec, batch_size=batch_size_for(self.preprocessing))
            tables = self.source.tables(shards, spec)
            samples = (
                table.filter(self.source.on_side(table, self.labels, self.validation))
                for table in self._readable(tables)
            )
            for decoded in ordered_map(
                pool, lambda table: decode_batch(table, self.preprocessing), samples, BATCHES_AHEAD
            ):
                self.rejected.update((row["source"], row["position"]) for row in decoded.rejected)
                yield decoded

    def _readable(self, tables: Iterator[pa.Table | Unreadable]) -> Iterator[pa.Table]:
        for table in tables:
            if isinstance(table, Unreadable):
                self.rejected.update((table.source, position) for position in table.positions)
            else:
                yield table


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
