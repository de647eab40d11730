"""The places of records, source and position: that a shard has each that was planned once, and a digest of many."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bulklabel.model.statistic.hash_ids import hash_ids
from bulklabel.transforms.files import files
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.parts import reused_counts
from bulklabel.transforms.run_directory.plan import Recipe

Place = tuple[str, int]
"""A record's source, its lone surrogates escaped, and its position there."""


def places_digest(table: pa.Table) -> int:
    """Returns a number that follows from the places of a table's rows, in any order: 0 of none, below 2⁶⁴.

    The numbers of two tables add up, modulo 2⁶⁴, to that of both together. So a table that was left out, or counted
    twice, shows wherever such sums are compared.

    >>> rows = pa.table({"source": ["a.tar", "a.tar", "b.tar"], "position": [0, 1, 0]})
    >>> (places_digest(rows[:2]) + places_digest(rows[2:])) % 2**64 == places_digest(rows[::-1])
    True
    """
    sources = pc.dictionary_encode(table.column("source")).combine_chunks()
    hashes = hash_ids(sources.dictionary.to_pylist())[sources.indices.to_numpy()]
    mixed = hashes + table.column("position").to_numpy().astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64: neighbours come far apart
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return int((mixed ^ (mixed >> np.uint64(31))).sum(dtype=np.uint64))


def place_fault(shard: Shard, recipe: Recipe, predictions: pa.Table, rejected: pa.Table) -> str | None:
    """Returns why a shard's two tables do not have each record that was planned once; None if they do.

    Where the plan does not know how many records there are, they follow one another without a gap. Records that a run
    knows by their content, and leaves out, are counted and not looked for.
    """
    places = [*places_of(predictions), *places_of(rejected)]
    scored = f"{len(predictions):,} scored and {len(rejected):,} rejected"
    left_out = 0 if recipe.carry_over else sum(map(sum, reused_counts(predictions.schema)))
    expected = len(places) + left_out if shard.records is None else shard.records
    source = escape_surrogates(shard.source)
    if expected != len(places) + left_out:
        known = f" and {left_out:,} known" if left_out else ""
        return f"shard {shard.index} has {expected:,} records of {source}, and its parts have {scored}{known}"
    strange = set(places) - _planned(shard, places, expected)
    if strange:
        return f"shard {shard.index} of {source} has a record that is not of its plan: {_words(min(strange))}"
    place, times = Counter(places).most_common(1)[0] if places else (("", 0), 1)
    return f"shard {shard.index} has {_words(place)} {times} times" if times > 1 else None


def places_of(table: pa.Table) -> list[Place]:
    """Returns the places of a table's rows, in order."""
    return list(zip(table.column("source").to_pylist(), table.column("position").to_pylist(), strict=True))


def _planned(shard: Shard, places: list[Place], records: int) -> set[Place]:
    """Returns the places that a shard of so many records may have."""
    source = escape_surrogates(shard.source)
    if shard.names:
        return {(escape_surrogates(files.join(shard.source, name)), 0) for name in shard.names}
    if shard.metadata is not None:  # rows of a metadata file that cannot be used, wherever they are in it
        return {place for place in places if place[0] == source}
    return {(source, position) for position in range(shard.position, shard.position + records)}


def _words(place: Place) -> str:
    source, position = place
    return f"record {position} of {source}"
