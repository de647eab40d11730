"""Makes shards of files that are read from front to back: one a file, or several of one that is very large."""

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

GZIP_MAGIC = b"\x1f\x8b"
"""The first bytes of a gzip file."""

SPLIT_BYTES = 2**30
"""Larger files are split. The pieces of data sets are mostly smaller; a larger one would be a single long shard."""

MAX_STATED_BYTES = 2**50
"""A length of more than a petabyte is taken for damage: seeking so far may fail in ways of its own."""


class StreamReader(abc.ABC):
    """Reads a format of records one after another; a subclass completes it to a `records.Reader`."""

    def shards(self, listings: Sequence[Listing], columns: Columns) -> Inputs:  # noqa: ARG002
        """Returns the files and their shards: one a file, or several of a large one, as `split` makes them."""
        inputs = unique_files(listings)
        splits = map_in_threads(lambda file: split(file, self.ends), inputs)
        return Inputs(tuple(inputs), tuple(shard for shards in splits for shard in shards))

    def read(self, shard: Shard, spec: ReadSpec) -> Iterator[pa.Table | Unreadable]:
        """Yields the shard's records in order; everything after a torn place is one more, unreadable record."""
        return tables(self.records(shard, spec), spec)

    @abc.abstractmethod
    def ends(self, file: File) -> Iterator[int]:
        """Yields the offset of the byte after each record of a file, without reading the records themselves."""

    @abc.abstractmethod
    def records(self, shard: Shard, spec: ReadSpec) -> Iterator[Record | Unreadable]:
        """Yields the shard's records one by one, in order."""


def split(file: File, ends: Callable[[File], Iterator[int]]) -> list[Shard]:
    """Returns the shards of one file, several only of a local file above `SPLIT_BYTES` that is not compressed.

    Such a file is read once from header to header, by `ends`, which yields the byte after each record. A store would
    have to send the whole file for that, and gzip to be unpacked from its start for each shard. The last shard has no
    `stop` and no number of records: both are known when it has been read.
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


def unpack_head(head: bytes) -> bytes:
    """Returns the first bytes of a file as they are without gzip; no bytes if they are damaged.

    >>> unpack_head(gzip.compress(b"ustar")), unpack_head(b"ustar")
    (b'ustar', b'ustar')
    """
    if not head.startswith(GZIP_MAGIC):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head)
    except zlib.error:
        return b""


@contextlib.contextmanager
def open_unpacked(shard: Shard) -> Iterator[BinaryIO]:
    """Opens a shard's file at the shard's first byte, unpacked if it is gzip."""
    with files.open_file(shard.source) as opened:
        packed = shard.start == 0 and opened.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        opened.seek(shard.start)
        if packed:
            with gzip.GzipFile(fileobj=opened) as stream:
                yield cast(BinaryIO, stream)
        else:
            yield opened
