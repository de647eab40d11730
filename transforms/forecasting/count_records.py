"""Tells how many bytes a record takes of files whose records nobody has counted: those that are read front to back."""

from collections.abc import Sequence

from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.path_names import is_remote
from bulklabel.transforms.reading.readers import READERS, read_shard
from bulklabel.transforms.reading.records import HEAD_BYTES, ReadSpec, RecordTable, Shard
from bulklabel.transforms.reading.streams.stream_reader import StreamReader
from bulklabel.transforms.reading.streams.unpacking import is_packed


def bytes_a_record(shards: Sequence[Shard], spec: ReadSpec) -> float | None:
    """Returns the bytes of a file for each of its records; None if there is no shard whose records are not counted.

    A local file is counted from header to header. Of one in a store, or a packed one, it is the size of an image: then
    it is too little, so that it gives too many records.
    """
    unknown = [shard for shard in shards if shard.records is None]
    if not unknown:
        return None
    shard, reader = unknown[0], READERS[spec.input_format]
    if isinstance(reader, StreamReader) and not is_remote(shard.source):
        file = shard.planned[shard.source]
        if not is_packed(files.read_start(file.path, HEAD_BYTES), reader.is_plain):
            ends = list(reader.ends(file, spec.columns))
            if ends:
                return ends[-1] / len(ends)
    first = next((table for table in read_shard(shard, spec) if isinstance(table, RecordTable)), None)
    return None if first is None else max(first.nbytes / len(first), 1.0)
