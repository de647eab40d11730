"""Images that earlier runs have scored or rejected, known by a hash of their bytes, and what became of them."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bulklabel.model.errors import RecordError
from bulklabel.model.images.kinds import Encoded, Kind
from bulklabel.model.labels.predictions import kinds_of, probabilities_of
from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.reading.records import RecordTable
from bulklabel.transforms.reuse.earlier_parts import earlier_part, read_column
from bulklabel.transforms.run_directory.parts import PART_KINDS, PASSING_REASONS, PREDICTIONS, REJECTED, PartStamp
from bulklabel.transforms.run_directory.plan import CONTENT, EarlierRun, Recipe

CACHED_PARTS = 8
"""Parts whose answers a process keeps in memory: images that were renamed are mostly neighbours as before."""

HASH = np.dtype(f"S{CONTENT.type.byte_width}")

Hashes = npt.NDArray[np.bytes_]

Outcome = tuple[npt.NDArray[np.float32], Kind] | RecordError
"""What became of an image: L probabilities and what kind of image it is, or why it was rejected."""


def hash_of(image: Encoded | None) -> bytes | None:
    """Returns the BLAKE2b hash of an encoded image, 16 bytes; None where there is no image.

    Of a trillion images, two that differ have the same hash with a probability of about 1.5e-15.
    """
    return None if image is None else hashlib.blake2b(image, digest_size=HASH.itemsize).digest()


def with_hashes(table: RecordTable) -> RecordTable:
    """Returns records with the hashes of their images in the column `content`."""
    hashes = pa.array(map(hash_of, table.images), CONTENT.type)
    return RecordTable(table.rows.append_column(CONTENT, hashes), table.images)


@dataclass(frozen=True)
class KnownRow:
    """Says where an image's outcome is: index into `Recipe.since`, kind of part, the shard's index there, and row."""

    run: int
    kind: str
    shard: int
    row: int


@dataclass(frozen=True)
class KnownImages:
    """Holds the N images that some runs know, in 32 bytes each.

    `hashes` is sorted (N); `rows` has in the same order run, index into `PART_KINDS`, shard and row (N×4).
    """

    hashes: Hashes
    rows: npt.NDArray[np.int32]

    def find(self, contents: Sequence[bytes | None]) -> list[KnownRow | None]:
        """Returns where the outcomes of images with these hashes are; None for images that no run knows."""
        if not len(self.hashes):
            return [None] * len(contents)
        wanted = np.array([content or b"" for content in contents], HASH)
        nearest = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        known = self.hashes[nearest] == wanted
        return [self._row(index) if hit else None for index, hit in zip(nearest.tolist(), known.tolist(), strict=True)]

    def _row(self, index: int) -> KnownRow:
        run, kind, shard, row = self.rows[index].tolist()
        return KnownRow(run, PART_KINDS[kind], shard, row)


def load_known_images(recipe: Recipe) -> KnownImages:
    """Returns the images that the runs of `Recipe.since` know; of equal images the first row of the first run counts.

    Raises:
        StoreError: if a part of one of them is missing or damaged.
    """
    parts = [
        (number, kind, shard)
        for number, run in enumerate(recipe.since)
        for shard in range(run.shards)
        for kind in range(len(PART_KINDS))
    ]
    hashes, rows = [np.empty(0, HASH)], [np.empty((0, 4), np.int32)]
    for part, column in zip(parts, map_in_threads(lambda part: _hashes(recipe, *part), parts), strict=True):
        numbers = np.flatnonzero(column != b"")
        hashes.append(column[numbers])
        rows.append(np.column_stack([np.tile(np.array(part, np.int32), (len(numbers), 1)), numbers.astype(np.int32)]))
    distinct, first = np.unique(np.concatenate(hashes), return_index=True)
    return KnownImages(distinct, np.concatenate(rows)[first])


def _hashes(recipe: Recipe, number: int, kind: int, shard: int) -> Hashes:
    """Returns the hashes in a part, row by row; empty where a row has no image, or another try may score it."""
    run = recipe.since[number]
    stamp = PartStamp(run.plan_digest, recipe.model_digest, run.shards)
    name = stamp.name_of(PART_KINDS[kind], shard)
    hashes = np.array([content or b"" for content in read_column(run.place, name, CONTENT.name)[0].to_pylist()], HASH)
    if PART_KINDS[kind] == REJECTED:
        reasons = read_column(run.place, name, "reason")[0].to_pylist()
        hashes[np.array([reason in PASSING_REASONS for reason in reasons], bool)] = b""
    return hashes


@functools.lru_cache(CACHED_PARTS)
def outcomes_of_part(
    run: EarlierRun, model_digest: str, kind: str, shard: int, labels: tuple[str, ...]
) -> Sequence[Outcome]:
    """Returns the outcomes in a part of an earlier run, row by row.

    Raises:
        StoreError: if it is missing or damaged.
    """
    table = earlier_part(run, model_digest, kind, shard)
    if kind == PREDICTIONS:
        return list(zip(probabilities_of(table, labels), kinds_of(table), strict=True))
    return [RecordError(row["stage"], row["reason"], row["detail"]) for row in table.to_pylist()]
