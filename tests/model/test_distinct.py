"""Distinct ids and groups: counted as a set would, however records are dealt to shards and partitions."""

import functools
import itertools
import operator
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulklabel.model.statistic.distinct import Distinct, count_groups, count_ids, cut
from bulklabel.model.statistic.hash_ids import hash_groups, hash_ids

IDS = st.lists(st.sampled_from([f"photo-{number}" for number in range(12)]), max_size=60)
NAMES = st.sampled_from([None, "", " ", "NaN", "ann", " ann", "bob", "7", "7.0", "photo-3"])


def counted(shards: Sequence[Sequence[str]], partitions: int) -> Distinct:
    """The records of shards, counted as the graph does."""
    parts: dict[int, list[tuple[int, np.ndarray]]] = {}
    for shard, ids in enumerate(shards):
        for partition, hashes in cut(hash_ids(ids), partitions):
            assert 0 <= partition < partitions
            parts.setdefault(partition, []).append((shard, hashes))
    return functools.reduce(operator.add, map(count_ids, parts.values()), Distinct())


@given(IDS, st.integers(1, 5), st.integers(1, 7))
def test_duplicates_are_those_of_a_set(ids: list[str], shards: int, partitions: int) -> None:
    dealt = [ids[number::shards] for number in range(shards)]
    found = counted(dealt, partitions)
    assert found.duplicate_ids == len(ids) - len(set(ids))
    assert found.groups is None
    repeated = [name for name, times in Counter(ids).items() if times > 1]
    if not repeated:
        assert found.example is None
        return
    smallest = min(repeated, key=lambda name: hash_ids([name])[0])
    assert found.example == (
        int(hash_ids([smallest])[0]),
        next(shard for shard, names in enumerate(dealt) if smallest in names),
    )


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), NAMES), max_size=40), st.integers(1, 4))
def test_groups_are_values_and_records_without_one(rows: list[tuple[str, str | None]], partitions: int) -> None:
    names = [
        None if name in (None, "", " ", "NaN") else {"7.0": "7", " ann": "ann"}.get(name, name) for _, name in rows
    ]
    expected = {name for name in names if name} | {
        ("id", record_id) for (record_id, _), name in zip(rows, names, strict=True) if name is None
    }
    schema = pa.schema({"id": pa.string(), "patient": pa.string()})
    table = pa.Table.from_pylist([{"id": record_id, "patient": name} for record_id, name in rows], schema)
    parts: dict[int, list[np.ndarray]] = {}
    for half in (table.slice(0, len(table) // 2), table.slice(len(table) // 2)):
        for partition, hashes in cut(hash_groups(half, "patient"), partitions):
            parts.setdefault(partition, []).append(hashes)
    total = functools.reduce(operator.add, map(count_groups, parts.values()), Distinct(groups=0))
    assert total.groups == len(expected)


def test_a_value_is_no_id_of_the_same_text() -> None:
    table = pa.table({"id": ["ann", "x"], "patient": [None, "ann"]})
    assert len(set(hash_groups(table, "patient").tolist())) == 2
    assert hash_groups(table, None).tolist() == hash_ids(["ann", "x"]).tolist()


@pytest.mark.parametrize("partitions", [1, 2, 3, 1000])
def test_partitions_cover_all_hashes_evenly(partitions: int) -> None:
    ends = np.array([0, 1, 2**63 - 1, 2**63, 2**64 - 1], np.uint64)
    assert sum(len(part) for _, part in cut(ends, partitions)) == len(ends)
    hashes = hash_ids([str(number) for number in range(20_000)])
    sizes = [len(part) for _, part in cut(hashes, partitions)]
    assert sum(sizes) == 20_000
    assert max(sizes) < 20_000 / partitions + 6 * (20_000 / partitions) ** 0.5
    bounds = [(part[0], part[-1]) for _, part in cut(hashes, partitions)]
    assert all(last < first for (_, last), (first, _) in itertools.pairwise(bounds))


def test_zero_changes_nothing() -> None:
    found = Distinct(3, 5, 1, (7, 2))
    assert found + Distinct() == Distinct() + found == found
    assert (Distinct(groups=0) + Distinct()).groups == 0
