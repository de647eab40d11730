"""Counts distinct ids and groups exactly: from sorted hashes that are cut into partitions, each counted by itself."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from bulklabel.model.statistic.hash_ids import Hashes, group_name, hash_groups, hash_ids

FEW_GROUPS = 20
"""Of fewer groups of records an interval says little: some of the jackknife's groups are empty."""


@dataclass(frozen=True)
class Distinct:
    """Counts a run's scored records whose id an earlier one has too, and its groups. `+` is exact in any order.

    Two that are added must not share an id or a group: each hash belongs to one partition. `groups` is None where
    records are not grouped; `without_group` counts the records without a value, each a group of its own. `example` is
    the smallest hash of an id that occurs twice, and the first shard that has it.
    """

    duplicate_ids: int = 0
    groups: int | None = None
    without_group: int = 0
    example: tuple[int, int] | None = None

    def group_counts(self) -> dict[str, int]:
        """Returns `groups` and `without_group`; nothing where records are not grouped.

        >>> Distinct(groups=5).group_counts(), Distinct().group_counts()
        ({'groups': 5, 'without_group': 0}, {})
        """
        return {} if self.groups is None else {"groups": self.groups, "without_group": self.without_group}

    def __add__(self, other: "Distinct") -> "Distinct":
        """The counts of both sets of hashes together."""
        groups = [counted for counted in (self.groups, other.groups) if counted is not None]
        return Distinct(
            self.duplicate_ids + other.duplicate_ids,
            sum(groups) if groups else None,
            self.without_group + other.without_group,
            min((one for one in (self.example, other.example) if one is not None), default=None),
        )


@dataclass
class DistinctCounter:
    """Counts what is distinct in tables that one process reads one by one, by groups of the column `group_by` if named.

    It keeps 8 bytes a record, and as many for each group of a table.

    >>> counter = DistinctCounter("patient")
    >>> counter.add(pa.table({"id": ["1", "2"], "patient": ["ann", "ann"]}))
    >>> counter.add(pa.table({"id": ["2"], "patient": [None]}, pa.schema({"id": pa.string(), "patient": pa.string()})))
    >>> counter.distinct().duplicate_ids, counter.distinct().groups, counter.distinct().without_group
    (1, 2, 1)
    """

    group_by: str | None
    ids: list[Hashes] = field(default_factory=list, repr=False)
    groups: list[Hashes] = field(default_factory=list, repr=False)
    without_group: int = 0

    def add(self, records: pa.Table) -> None:
        """Adds records, which have `id` and the column of the groups."""
        self.ids.append(np.sort(hash_ids(records.column("id").to_pylist())))
        if self.group_by is not None:
            self.groups.append(np.unique(hash_groups(records, self.group_by)))
            self.without_group += count_without_group(records, self.group_by)

    def distinct(self) -> Distinct:
        """Returns the counts of all records that were added."""
        counted = count_ids(enumerate(self.ids))
        if self.group_by is None:
            return counted
        return counted + replace(count_groups(self.groups), without_group=self.without_group)


def cut(hashes: Hashes, partitions: int) -> Iterator[tuple[int, Hashes]]:
    """Yields hashes sorted, by the partition of 0…`partitions` - 1 that their leading bits decide on; none is empty.

    >>> [(number, part.tolist()) for number, part in cut(np.array([2**63, 5, 2**62], np.uint64), 2)]
    [(0, [5, 4611686018427387904]), (1, [9223372036854775808])]
    """
    hashes = np.sort(hashes)
    starts = np.array([-(-(number << 64) // partitions) for number in range(partitions)], np.uint64)
    for number, part in enumerate(np.split(hashes, np.searchsorted(hashes, starts[1:]))):
        if len(part):
            yield number, part


def count_ids(parts: Iterable[tuple[int, Hashes]]) -> Distinct:
    """Counts the ids of one partition that occur again, from the number of each shard and its sorted hashes.

    >>> count_ids([(4, np.array([1, 7, 7], np.uint64)), (2, np.array([7], np.uint64))])
    Distinct(duplicate_ids=2, groups=None, without_group=0, example=(7, 2))
    """
    by_shard = list(parts)
    hashes = _sorted([part for _, part in by_shard])
    repeated = hashes[1:][hashes[1:] == hashes[:-1]]
    if not len(repeated):
        return Distinct()
    shard = min(shard for shard, part in by_shard if _has(part, repeated[0]))
    return Distinct(duplicate_ids=len(repeated), example=(int(repeated[0]), shard))


def count_groups(parts: Iterable[Hashes]) -> Distinct:
    """Counts the groups of one partition, from each shard's hashes.

    >>> count_groups([np.array([1, 7], np.uint64), np.array([7], np.uint64)]).groups
    2
    """
    hashes = _sorted(list(parts))
    return Distinct(groups=int(len(hashes) > 0) + int((hashes[1:] != hashes[:-1]).sum()))


def count_without_group(records: pa.Table, group_by: str) -> int:
    """Counts the records that have no value in the column of the groups.

    >>> count_without_group(pa.table({"patient": ["ann", None, " "]}), "patient")
    2
    """
    return sum(group_name(value) is None for value in records.column(group_by).to_pylist())


def _sorted(parts: list[Hashes]) -> Hashes:
    hashes = np.concatenate([np.zeros(0, np.uint64), *parts])
    hashes.sort()
    return hashes


def _has(part: Hashes, value: np.uint64) -> bool:
    place = int(np.searchsorted(part, value))
    return place < len(part) and bool(part[place] == value)
