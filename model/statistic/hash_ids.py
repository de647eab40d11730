"""Hashes ids of records, and their groups: to the same number on every machine, in any order, under every retry."""

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]

GROUP = b"group"
"""Keeps the hash of a group's value apart from that of an id of the same text."""


def hash_ids(ids: Iterable[str]) -> Hashes:
    """Returns for each id a number that is uniform in 0…2**64 - 1.

    >>> hash_ids(["photo-1", "photo-2"]).dtype
    dtype('uint64')
    """
    digests = b"".join([hashlib.blake2b(record_id.encode(), digest_size=8).digest() for record_id in ids])
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def hash_groups(records: pa.Table, group_by: str | None) -> Hashes:
    """Returns for each of N records a number that those which belong together share, uniform in 0…2**64 - 1.

    It is the hash of the value in a column of text. A record without a value is a group of its own, and so is each
    record where no column is named: it has the hash of its id.

    >>> records = pa.table({"id": ["1", "2", "3", "4"], "patient": ["ann", "ann", None, None]})
    >>> first, second, third, fourth = hash_groups(records, "patient").tolist()
    >>> first == second, third == fourth, [third, fourth] == hash_ids(["3", "4"]).tolist()
    (True, False, True)
    """
    ids = records.column("id").to_pylist()
    if group_by is None:
        return hash_ids(ids)
    values = records.column(group_by).to_pylist()
    digests = {text: hashlib.blake2b(text.encode(), digest_size=8, person=GROUP).digest() for text in {*values} if text}
    hashes = np.frombuffer(b"".join([digests.get(value, bytes(8)) for value in values]), ">u8").astype(np.uint64)
    missing = np.flatnonzero([is_missing(value) for value in values])
    hashes[missing] = hash_ids([ids[row] for row in missing])
    return hashes


def is_missing(value: str | None) -> bool:
    """Tells whether a group's value says nothing: null, blank, or how JSON writes a number that is none.

    >>> is_missing(None), is_missing(" "), is_missing("NaN"), is_missing("0")
    (True, True, True, False)
    """
    return value is None or not value.strip() or value == "NaN"
