"""CountDistinct: how many records repeat an id, and how many groups there are, whatever shards they are in."""

import functools
import operator
from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np

from bulklabel.model.statistic.distinct import Distinct, count_groups, count_ids, count_without_group, cut
from bulklabel.model.statistic.hash_ids import Hashes, hash_groups
from bulklabel.transforms.reading.records import SHARD_RECORDS
from bulklabel.transforms.run_directory.plan import Plan
from bulklabel.transforms.scoring.score_shards import ShardResult

PARTITION_HASHES = 2**23
"""Hashes are counted in partitions of about so many: 64 MB, and twice that while one is sorted."""

RECORD_BYTES = 1024
"""Of a file whose records nobody has counted it is assumed that each takes so many: fewer than most images have."""


def count_partitions(plan: Plan) -> int:
    """Returns in how many partitions the ids of a plan are counted; only memory and speed depend on it."""
    uncounted = {shard.source for shard in plan.shards if shard.records is None}
    unknown = sum(max(file.size, 0) for file in plan.inputs if file.path in uncounted) // RECORD_BYTES
    known = sum(SHARD_RECORDS if shard.records is None else shard.records for shard in plan.shards)
    return partitions_of(known + unknown)


def partitions_of(records: int) -> int:
    """Returns in how many partitions the ids of so many records are counted."""
    return 1 + records // PARTITION_HASHES


class CountDistinct(beam.PTransform):  # type: ignore[misc]
    """Counts the shards' records whose id an earlier one has too, and their groups if a carried column is named.

    Nothing is kept but a hash of 64 bits a record: in three of a million runs over ten million records two different
    ids have the same one.
    """

    def __init__(self, partitions: int, group_by: str | None) -> None:
        super().__init__()
        self._partitions = partitions
        self._group_by = group_by

    def expand(self, results: beam.PCollection[ShardResult]) -> beam.PCollection[Distinct]:
        """Adds the steps that cut, count and add up; what comes out is one element."""
        # A hash belongs to one partition, so equal ones meet there, whichever shards they are from.
        ids = (
            results
            | "CutIds" >> beam.FlatMap(_cut_ids, self._partitions)
            | "GroupIds" >> beam.GroupByKey()
            | "CountIds" >> beam.Map(_count_ids)
        )
        counted = [ids]
        if self._group_by is not None:
            hashes = results | "HashGroups" >> beam.Map(_group_hashes, self._group_by)
            counted += [
                hashes | "CountGroups" >> CountGroups(self._partitions),
                results | "WithoutGroup" >> beam.Map(_count_without, self._group_by),
            ]
        return counted | beam.Flatten() | "Add" >> beam.CombineGlobally(add_distinct, self._group_by is not None)


class CountGroups(beam.PTransform):  # type: ignore[misc]
    """Counts the distinct ones among hashes of groups; yields an element for each partition."""

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self._partitions = partitions

    def expand(self, hashes: beam.PCollection[Hashes]) -> beam.PCollection[Distinct]:
        """Adds the steps that cut and count."""
        return (
            hashes
            | "Cut" >> beam.FlatMap(cut, self._partitions)
            | "Group" >> beam.GroupByKey()
            | "Count" >> beam.Map(_count_groups)
        )


def add_distinct(counted: Iterable[Distinct], grouped: bool) -> Distinct:
    """Returns the sum of what was counted of each partition, zero if there are none."""
    return functools.reduce(operator.add, counted, Distinct(groups=0 if grouped else None))


def _cut_ids(result: ShardResult, partitions: int) -> Iterator[tuple[int, tuple[int, Hashes]]]:
    for partition, part in cut(result.id_hashes, partitions):
        yield partition, (result.shard.index, part)


def _count_ids(partition: tuple[int, Iterable[tuple[int, Hashes]]]) -> Distinct:
    return count_ids(partition[1])


def _count_groups(partition: tuple[int, Iterable[Hashes]]) -> Distinct:
    return count_groups(partition[1])


def _group_hashes(result: ShardResult, group_by: str) -> Hashes:
    return np.unique(hash_groups(result.predictions.table, group_by))


def _count_without(result: ShardResult, group_by: str) -> Distinct:
    return Distinct(without_group=count_without_group(result.predictions.table, group_by))
