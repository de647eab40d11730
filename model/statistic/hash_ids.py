"""Hashes ids of records, and their groups: to the same number on every machine, in any order, under every retry."""

import hashlib
import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]

WHOLE_NUMBER = re.compile(r"(-?\d+)\.0+")

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
    names = [group_name(value) for value in records.column(group_by).to_pylist()]
    digests = {name: hashlib.blake2b(name.encode(), digest_size=8, person=GROUP).digest() for name in {*names} if name}
    hashes = np.frombuffer(b"".join([digests.get(name or "", bytes(8)) for name in names]), ">u8").astype(np.uint64)
    missing = [row for row, name in enumerate(names) if name is None]
    hashes[missing] = hash_ids([ids[row] for row in missing])
    return hashes


def group_name(value: str | None) -> str | None:
    """Returns a group's value without what files add to it; None where it says nothing: null, blank, or NaN.

    A column of whole numbers of which some are missing is often stored as real numbers: 7.0 is the 7 of another file.

    >>> group_name(" p7 "), group_name("7.0"), group_name("007"), group_name(" "), group_name("NaN")
    ('p7', '7', '007', None, None)
    """
    name = (value or "").strip()
    whole = WHOLE_NUMBER.fullmatch(name)
    return whole[1] if whole else None if name in ("", "NaN") else name
