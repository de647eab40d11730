"""Which images earlier runs have answered already, by a hash of their bytes, and what these answers are."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bulklabel.model.errors import RecordError
from bulklabel.model.images.kinds import Kind
from bulklabel.model.labels.predictions import kinds_of, probabilities_of
from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.reuse.earlier_parts import earlier_part, read_column
from bulklabel.transforms.run_directory.parts import KINDS, PREDICTIONS, PartStamp
from bulklabel.transforms.run_directory.plan import CONTENT, Earlier, Recipe

CACHED_PARTS = 8
"""Parts whose answers a process keeps in memory: images that were renamed are mostly neighbours as before."""

HASH = np.dtype(f"S{CONTENT.type.byte_width}")

Hashes = npt.NDArray[np.bytes_]

Answer = tuple[npt.NDArray[np.float32], Kind] | RecordError
"""L probabilities and what kind of image they are of, or why there are none."""


def hash_of(image: bytes | None) -> bytes | None:
    """BLAKE2b of an encoded image, 16 bytes; None of none.

    Of a trillion images, two that differ have the same hash with a probability of about 1.5e-15.
    """
    return None if image is None else hashlib.blake2b(image, digest_size=HASH.itemsize).digest()


def with_contents(table: pa.Table) -> pa.Table:
    """Records with the hashes of their images in a column."""
    return table.append_column(CONTENT, pa.array(map(hash_of, table.column("image").to_pylist()), CONTENT.type))


@dataclass(frozen=True)
class Place:
    """Where an answer is: index into `Recipe.since`, `predictions` or `rejected`, the shard there, and its row."""

    run: int
    kind: str
    shard: int
    row: int


@dataclass(frozen=True)
class KnownContents:
    """The N images that some runs have answered, in 32 bytes each.

    `hashes` is sorted (N); `places` has in the same order run, index into `KINDS`, shard and row of an answer (N×4).
    """

    hashes: Hashes
    places: npt.NDArray[np.int32]

    def find(self, contents: Sequence[bytes | None]) -> list[Place | None]:
        """The places of the answers to images with these hashes; None where there is no answer."""
        if not len(self.hashes):
            return [None] * len(contents)
        wanted = np.array([content or b"" for content in contents], HASH)
        at = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        found = self.hashes[at] == wanted
        return [self._place(index) if hit else None for index, hit in zip(at.tolist(), found.tolist(), strict=True)]

    def _place(self, index: int) -> Place:
        run, kind, shard, row = self.places[index].tolist()
        return Place(run, KINDS[kind], shard, row)


def load_known(recipe: Recipe) -> KnownContents:
    """What the runs of `Recipe.since` have answered; of equal images the first answer of the first run counts.

    Raises:
        StoreError: if a part of one of them is missing or damaged.
    """
    parts = [
        (number, kind, shard)
        for number, run in enumerate(recipe.since)
        for shard in range(run.shards)
        for kind in range(len(KINDS))
    ]
    hashes, places = [np.empty(0, HASH)], [np.empty((0, 4), np.int32)]
    for part, found in zip(parts, map_in_threads(lambda part: _hashes(recipe, *part), parts), strict=True):
        rows = np.flatnonzero(found != b"")
        hashes.append(found[rows])
        places.append(np.column_stack([np.tile(np.array(part, np.int32), (len(rows), 1)), rows.astype(np.int32)]))
    every, first = np.unique(np.concatenate(hashes), return_index=True)
    return KnownContents(every, np.concatenate(places)[first])


def _hashes(recipe: Recipe, number: int, kind: int, shard: int) -> Hashes:
    """The hashes in a part, row by row; empty where there is none."""
    run = recipe.since[number]
    stamp = PartStamp(run.plan_digest, recipe.model_digest, run.shards)
    name = stamp.name_of(KINDS[kind], shard)
    return np.array([some or b"" for some in read_column(run.place, name, CONTENT.name)[0].to_pylist()], HASH)


@functools.lru_cache(CACHED_PARTS)
def answers_at(run: Earlier, model_digest: str, kind: str, shard: int, labels: tuple[str, ...]) -> Sequence[Answer]:
    """The answers in a part of an earlier run, row by row.

    Raises:
        StoreError: if it is missing or damaged.
    """
    table = earlier_part(run, model_digest, kind, shard)
    if kind == PREDICTIONS:
        return list(zip(probabilities_of(table, labels), kinds_of(table), strict=True))
    return [RecordError(row["stage"], row["reason"], row["detail"]) for row in table.to_pylist()]
