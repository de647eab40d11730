"""Makes shards of files that are read from front to back: one a file, or several of one that is very large."""

import abc
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File, Listing, unique_files
from bulklabel.transforms.files.planned_files import open_planned
from bulklabel.transforms.files.stores.path_names import MISSING, is_remote
from bulklabel.transforms.reading.records import (
    HEAD_BYTES,
    MISSING_FILE,
    SHARD_BYTES,
    SHARD_RECORDS,
    Columns,
    Inputs,
    ReadSpec,
    Record,
    Shard,
    Unreadable,
)
from bulklabel.transforms.reading.streams.unpacking import is_packed, unpacked, unpacked_head

SPLIT_BYTES = 2**30
"""Larger files are split. The pieces of data sets are mostly smaller; a larger one would be a single long shard."""

MAX_STATED_BYTES = 2**50
"""A length of more than a petabyte is taken for damage: seeking so far may fail in ways of its own."""


class StreamReader(abc.ABC):
    """Reads a format of records one after another; a subclass completes it to a `records.Reader`."""

    def recognises(self, head: bytes) -> bool:
        """Returns whether a file that starts with these bytes is of this format, plain or packed."""
        return self.is_plain(unpacked_head(head, self.is_plain))

    def shards(self, listings: Sequence[Listing], columns: Columns) -> Inputs:
        """Returns the files and their shards: one a file, or several of a large one, as `split` makes them."""
        inputs = unique_files(listings)
        splits = map_in_threads(lambda file: self.split(file, columns), inputs)
        return Inputs(tuple(inputs), tuple(shard for shards in splits for shard in shards))

    def split(self, file: File, columns: Columns) -> list[Shard]:
        """Returns the shards of one file, several only of a local file above `SPLIT_BYTES` that is not packed.

        Such a file is read once from header to header. A store would have to send the whole file for that, and a packed
        one would have to be unpacked from its start for each shard. The last shard has no `stop` and no number of
        records: both are known when it has been read.
        """
        if file.size == MISSING:
            return [Shard.unreadable(file.path, MISSING_FILE)]
        whole = [Shard(0, file.path, 0, None, 0, None)]
        if file.size <= SPLIT_BYTES or is_remote(file.path):
            return whole
        if is_packed(files.read_start(file.path, HEAD_BYTES), self.is_plain):
            return whole
        shards: list[Shard] = []
        start = first = 0
        for count, end in enumerate(self.ends(file, columns), 1):
            if count - first == SHARD_RECORDS or end - start >= SHARD_BYTES:
                shards.append(Shard(0, file.path, start, end, first, count - first))
                start, first = end, count
        return [*shards, Shard(0, file.path, start, None, first, None)]

    @contextlib.contextmanager
    def opened(self, shard: Shard) -> Iterator[BinaryIO]:
        """Opens a shard's file, as it was planned, at the shard's first byte, unpacked if it is packed."""
        with open_planned(shard.source, shard.planned.get(shard.source)) as file:
            if shard.start:  # only plain files have such shards
                file.seek(shard.start)
                yield file
            else:
                with unpacked(file, self.is_plain) as stream:
                    yield stream

    @abc.abstractmethod
    def is_plain(self, head: bytes) -> bool:
        """Returns whether a file that starts with these bytes is of this format, and not packed."""

    @abc.abstractmethod
    def ends(self, file: File, columns: Columns) -> Iterable[int]:
        """Returns the offset of the byte after each record of a file, without reading the records themselves.

        `columns` says which fields are read, by which some files are understood.
        """

    @abc.abstractmethod
    def records(self, shard: Shard, spec: ReadSpec) -> Iterator[Record | Unreadable]:
        """Yields the shard's records one by one, in order."""
