"""Reads the first records of an input, before anything is scored, to see what its files hold."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from bulklabel.transforms.reading.path_fields import with_path_fields
from bulklabel.transforms.reading.readers import READERS
from bulklabel.transforms.reading.records import ReadSpec, Record, Reference, Shard, Unreadable

SAMPLED_SHARDS = 10
"""So many shards are looked at, where the first does not tell."""

SAMPLED_RECORDS = 1000
"""So many records of each are looked at."""


def usable_shards(shards: Sequence[Shard]) -> list[Shard]:
    """Returns the shards that can be read, and whose answers no earlier run has."""
    return [shard for shard in shards if not shard.problem and shard.reused is None]


def spread(shards: Sequence[Shard]) -> Sequence[Shard]:
    """Returns at most `SAMPLED_SHARDS` of some shards, the first among them."""
    return shards[:: max(1, -(-len(shards) // SAMPLED_SHARDS))]


def first_records(shard: Shard, spec: ReadSpec, with_paths: bool = True) -> Iterator[Record]:
    """Yields the first `SAMPLED_RECORDS` readable records of a shard, without the images that they name by paths.

    Args:
        shard: one that can be read.
        spec: how it is read.
        with_paths: whether a record has what its path tells, too.
    """
    items: Iterable[Record | Reference | Unreadable] = READERS[spec.input_format].records(shard, spec)
    items = with_path_fields(items, shard, spec) if with_paths else items
    records = (item.record if isinstance(item, Reference) else item for item in items)
    return islice((record for record in records if not isinstance(record, Unreadable)), SAMPLED_RECORDS)
