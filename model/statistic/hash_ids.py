"""Hashes the ids of records: to the same number on every machine, in every order, under every retry."""

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt


def hash_ids(ids: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Returns for each id a number that is uniform in 0…2**64 - 1.

    >>> hash_ids(["photo-1", "photo-2"]).dtype
    dtype('uint64')
    """
    digests = b"".join([hashlib.blake2b(record_id.encode(), digest_size=8).digest() for record_id in ids])
    return np.frombuffer(digests, ">u8").astype(np.uint64)
