"""How files that are read from front to back become shards: one each, and several of one that is very large."""

import abc
import contextlib
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, cast

import pyarrow as pa

from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File, Listing, unique_files
from bulklabel.transforms.files.stores.path_names import is_remote
from bulklabel.transforms.reading.record_tables import Record, tables
from bulklabel.transforms.reading.records import (
    SHARD_BYTES,
    SHARD_RECORDS,
    Columns,
    Inputs,
    ReadSpec,
    Shard,
    Unreadable,
)

GZIP = b"\x1f\x8b"

SPLIT_BYTES = 2**30
"""Larger than what people make the pieces of a data set: such a file would be one long shard."""

MAX_STATED_BYTES = 2**50
"""A length of more than a petabyte is a damaged one, and no place to seek to."""


class StreamReader(abc.ABC):
    """What such formats have in common; the rest is as `records.Reader` has it."""

    def shards(self, listings: Sequence[Listing], columns: Columns) -> Inputs:  # noqa: ARG002
        """A shard a file, or several of a large one."""
        found = unique_files(listings)
        shards = [shard for of_one in map_in_threads(lambda file: split(file, self.ends), found) for shard in of_one]
        return Inputs(tuple(found), tuple(shards))

    def read(self, shard: Shard, spec: ReadSpec) -> Iterator[pa.Table | Unreadable]:
        """The shard's records in order; what follows a torn place counts as one more that cannot be read."""
        return tables(self.records(shard, spec), spec)

    @abc.abstractmethod
    def ends(self, file: File) -> Iterator[int]:
        """The byte after each record of a file, found without reading what is in them."""

    @abc.abstractmethod
    def records(self, shard: Shard, spec: ReadSpec) -> Iterator[Record | Unreadable]:
        """The shard's records one by one."""


def split(file: File, ends: Callable[[File], Iterator[int]]) -> list[Shard]:
    """The shards of one file.

    A large local file is read through once, from header to header, for `ends`: the byte after each record. Others
    are one shard, whose number of records is known when it has been read: a store would have to send all of it.
    """
    if file.size <= SPLIT_BYTES or is_remote(file.path) or file.path.lower().endswith(("gz", "tgz")):
        return [Shard(0, file.path, 0, None, 0, None)]
    shards: list[Shard] = []
    start = first = 0
    for count, end in enumerate(ends(file), 1):
        if count - first == SHARD_RECORDS or end - start >= SHARD_BYTES:
            shards.append(Shard(0, file.path, start, end, first, count - first))
            start, first = end, count
    return [*shards, Shard(0, file.path, start, None, first, None)]


def unpacked(head: bytes) -> bytes:
    """The first bytes of what is in a file, from its own first bytes."""
    if not head.startswith(GZIP):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head)
    except zlib.error:
        return b""


@contextlib.contextmanager
def open_unpacked(shard: Shard) -> Iterator[BinaryIO]:
    """A shard's file at the shard's first byte; one that is gzip, unpacked."""
    with files.open_file(shard.source) as opened:
        packed = shard.start == 0 and opened.read(len(GZIP)) == GZIP
        opened.seek(shard.start)
        if packed:
            with gzip.GzipFile(fileobj=opened) as stream:
                yield cast(BinaryIO, stream)
        else:
            yield opened
