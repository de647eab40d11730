"""Holds the reader of each input format, and chooses the one that a user's files need."""

import re
from collections.abc import Iterator, Sequence

from bulklabel.model.errors import SourceChangedError, UserError
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File, Listing
from bulklabel.transforms.files.stores.path_names import MISSING
from bulklabel.transforms.reading.image_folders import ImagesReader
from bulklabel.transforms.reading.image_metadata import is_metadata
from bulklabel.transforms.reading.parquet import ParquetReader
from bulklabel.transforms.reading.path_fields import with_header_fields, with_path_fields
from bulklabel.transforms.reading.record_tables import CHANGED_SOURCE, tables
from bulklabel.transforms.reading.records import (
    HEAD_BYTES,
    MISSING_FILE,
    Problem,
    Reader,
    ReadSpec,
    RecordTable,
    Shard,
    Unreadable,
)
from bulklabel.transforms.reading.referenced_images import check_first_images, with_images
from bulklabel.transforms.reading.streams.tfrecord import TFRecordReader
from bulklabel.transforms.reading.streams.webdataset import WebDatasetReader
from bulklabel.transforms.reading.tables.table_reader import TableReader

TABLE = "table"

READERS: dict[str, Reader] = {
    "parquet": ParquetReader(),
    "tfrecord": TFRecordReader(),
    "webdataset": WebDatasetReader(),
    "images": ImagesReader(),
    TABLE: TableReader(),
}
"""The reader of each of `FORMATS`. A new format is a module in this room and a line here."""

AUTO = "auto"
"""The value of `--input_format` that lets `choose_format` tell the format from the files."""

ANY_FORMAT = re.compile("|".join(reader.file_pattern.pattern for reader in READERS.values()), re.IGNORECASE)
"""Matches the names of the files of all formats."""


def read_shard(shard: Shard, spec: ReadSpec) -> Iterator[RecordTable | Unreadable]:
    """Yields a shard's records, as `tables` does; all are unreadable if the shard has a problem."""
    if shard.problem:
        yield Unreadable(shard.source, range(shard.position, shard.position + (shard.records or 0)), shard.problem)
    else:
        records = with_path_fields(READERS[spec.input_format].records(shard, spec), shard, spec)
        yield from tables(with_header_fields(with_images(records, shard, spec), spec), spec)


def first_image_warnings(shards: Sequence[Shard], spec: ReadSpec) -> list[str]:
    """Returns a warning if none of the first images is there that records name by their paths.

    Raises:
        UserError: if none of them may be read; it names the roots that would allow it.
    """
    return check_first_images(READERS[spec.input_format], shards, spec)


def reject_changed(shard: Shard, error: SourceChangedError) -> Iterator[Unreadable]:
    """Yields the records of a shard that cannot be read as it was planned: each in its planned place.

    Where the plan does not know how many there are, they count as one.
    """
    problem = Problem(CHANGED_SOURCE, str(error))
    if shard.names:
        for name in shard.names:
            yield Unreadable(files.join(shard.source, name), range(1), problem)
    else:
        count = 1 if shard.records is None else shard.records
        yield Unreadable(shard.source, range(shard.position, shard.position + count), problem)


def choose_format(listings: Sequence[Listing]) -> tuple[str, list[Listing]]:
    """Returns the format of the files, as their names tell it, or their first bytes where the names do not.

    Returns:
        The format, and the listings without tables, which count only if there is nothing else, and without metadata
        files unless the format is that of image folders.

    Raises:
        UserError: if the files are of no known format, or of several.
    """
    listed = [file for listing in listings for file in listing.files]
    data = [file for file in listed if not is_metadata(file.path) and not _is_table(file.path)]
    if not data:
        # A metadata file that is named itself, and not its folder, is a table like any other.
        tables = [listing.without(is_metadata) if listing.complete else listing for listing in listings]
        if any(_is_table(file.path) for listing in tables for file in listing.files):
            return TABLE, [listing.without(lambda path: not _is_table(path)) for listing in tables]
    there = [file for file in data if file.size != MISSING]
    formats = {_format_of(file) for file in there or data or listed}
    if len(formats) > 1:
        raise UserError(f"the input mixes {' and '.join(sorted(formats))}; give one format per run.")
    chosen = formats.pop()
    others = [listing.without(lambda path: _is_table(path) and not is_metadata(path)) for listing in listings]
    return chosen, others if chosen == "images" else [listing.without(is_metadata) for listing in others]


def _is_table(path: str) -> bool:
    return bool(READERS[TABLE].file_pattern.search(path))


def _format_of(file: File) -> str:
    for name, reader in READERS.items():
        if reader.file_pattern.search(file.path):
            return name
    if file.size == MISSING:
        raise UserError(f"{file.path}: {MISSING_FILE.detail}.")
    with files.open_file(file.path) as opened:
        head = opened.read(HEAD_BYTES)
    for name, reader in READERS.items():
        if reader.recognises(head):
            return name
    raise UserError(f"{file.path} has no known format; give it with --input_format {'|'.join(READERS)}.")
