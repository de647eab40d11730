"""Streams training samples: the records that `score` would read, decoded by the same function, in shuffled order."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from bulklabel.model.images.decode import Samples, batch_size_for
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.labels.truth import PRESENT, encode_truth
from bulklabel.transforms.concurrency.ordered_map import ordered_map
from bulklabel.transforms.reading.readers import read_shard
from bulklabel.transforms.reading.records import ReadSpec, Shard, Unreadable
from bulklabel.transforms.scoring.decode import DecodedBatch, decode_batch

DECODING_THREADS = 2
BATCHES_AHEAD = 4
SHUFFLED_BYTES = 256 * 2**20
"""Samples are shuffled within blocks of at most so many bytes of pixels, and shards among each other."""


@dataclass(frozen=True)
class Survey:
    """Counts what is in the data: records by label, records with truth on either side of the split, and the others."""

    labels: Mapping[str, int] = field(repr=False)
    training: int
    validation: int
    without_truth: int


@dataclass(frozen=True)
class SampleSource:
    """Holds where samples come from, how they are read, and which fraction of them (0 to 1) is kept for validation."""

    shards: Sequence[Shard]
    spec: ReadSpec
    validation_fraction: float

    def survey(self) -> Survey:
        """Counts the records in one pass, without decoding an image."""
        labels: Counter[str] = Counter()
        records = training = validation = 0
        for table in self.tables(self.shards, self.spec):
            if isinstance(table, Unreadable):
                continue
            truth = table.column("labels")
            records += len(truth)
            training += self.on_side(table, validation=False).true_count
            validation += self.on_side(table, validation=True).true_count
            for row in truth.drop_null().to_pylist():
                labels.update({name for name in row if name is not None})
        return Survey(labels, training, validation, records - training - validation)

    def tables(self, shards: Sequence[Shard], spec: ReadSpec) -> Iterator[pa.Table | Unreadable]:
        """Yields the records of shards."""
        for shard in shards:
            yield from read_shard(shard, spec)

    def on_side(self, table: pa.Table, validation: bool) -> pa.Array:
        """Returns which records of a table have truth and are on this side of the split."""
        kept = [is_validation(name, self.validation_fraction) for name in table.column("id").to_pylist()]
        known = table.column("labels").is_valid().to_numpy()
        return pa.array((np.array(kept, bool) == validation) & known)


@dataclass(frozen=True)
class Split:
    """Holds one side of the data: the training samples, or those kept for validation.

    A record is for validation if a hash of its id falls below the source's fraction: the same records whatever
    their order, and whatever is added to them. `rejected` collects source and position of images that cannot be
    decoded.
    """

    source: SampleSource
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    validation: bool
    seed: int
    rejected: set[tuple[str, int]] = field(default_factory=set, repr=False)

    def samples(self, epoch: int, batch_size: int) -> Iterator[Samples]:
        """Yields all samples once, in batches; the training side in an order by the seed and the epoch."""
        random = np.random.default_rng([self.seed, epoch])
        shards = list(self.source.shards)
        if not self.validation:
            shards = [shards[i] for i in random.permutation(len(shards))]
        for images, truth in self._blocks(shards, batch_size):
            if not self.validation:
                order = random.permutation(len(images))
                images, truth = images[order], truth[order]
            for first in range(0, len(images), batch_size):
                yield images[first : first + batch_size], truth[first : first + batch_size]

    def _blocks(self, shards: Sequence[Shard], batch_size: int) -> Iterator[Samples]:
        """Yields decoded samples in blocks of whole batches, as large as `SHUFFLED_BYTES` allows; the last as it is."""
        pixels_bytes = self.preprocessing.height * self.preprocessing.width * 3
        block = max(1, SHUFFLED_BYTES // (pixels_bytes * batch_size)) * batch_size
        pending: list[Samples] = []
        for decoded in self._decoded(shards):
            truth, _ = encode_truth(decoded.records.column("labels"), self.labels)
            pending.append((decoded.pixels[decoded.good], (truth[decoded.good] == PRESENT).astype(np.float32)))
            if sum(len(images) for images, _ in pending) >= block:
                images, targets = _joined(pending)
                yield images[:block], targets[:block]
                pending = [(images[block:], targets[block:])]
        if pending:
            yield _joined(pending)

    def _decoded(self, shards: Sequence[Shard]) -> Iterator[DecodedBatch]:
        with ThreadPoolExecutor(DECODING_THREADS, thread_name_prefix="decode") as pool:
            spec = replace(self.source.spec, batch_size=batch_size_for(self.preprocessing))
            tables = self.source.tables(shards, spec)
            samples = (table.filter(self.source.on_side(table, self.validation)) for table in self._readable(tables))
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


def is_validation(record_id: str, fraction: float) -> bool:
    """Tells whether a record is kept for validation, as `fraction` (0…1) of all are; it depends on the id alone.

    >>> [is_validation(name, 0.5) for name in ("a", "b", "c", "d")]
    [True, False, True, False]
    """
    return int.from_bytes(hashlib.blake2b(record_id.encode(), digest_size=8).digest()) < fraction * 2**64


def _joined(parts: Sequence[Samples]) -> Samples:
    return np.concatenate([images for images, _ in parts]), np.concatenate([truth for _, truth in parts])
