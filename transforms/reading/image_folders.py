"""Records from folders of image files: many small files a shard, and what a metadata file beside them says."""

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import pyarrow as pa

from bulklabel.model.errors import RecordError, UserError
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File, Listing
from bulklabel.transforms.reading.image_metadata import (
    METADATA_NAMES,
    Description,
    Metadata,
    is_metadata,
    read_metadata,
)
from bulklabel.transforms.reading.record_tables import Record, content_of, tables, truth_of, unreadable
from bulklabel.transforms.reading.records import (
    SHARD_BYTES,
    SHARD_RECORDS,
    Columns,
    Inputs,
    ReadSpec,
    Shard,
    Unreadable,
)

SIGNATURES = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF....WEBP|GIF8|BM|II\*\0|MM\0\*", re.DOTALL)

MISSING = -1
"""The size of a file that a metadata file names and that is not there."""


class ImagesReader:
    """Image folders, as `records.Reader` has it."""

    file_pattern = re.compile(
        r"\.(jpe?g|jfif|png|webp|gif|bmp|tiff?)$|(^|/)metadata\.(jsonl|csv|parquet)$", re.IGNORECASE
    )

    def recognises(self, head: bytes) -> bool:
        """By the signatures of the formats that are decoded."""
        return bool(SIGNATURES.match(head))

    def shards(self, listings: Sequence[Listing], columns: Columns) -> Inputs:
        """Runs of files that lie below one folder and share one metadata file, or none.

        The rows of a metadata file that name no image are one more shard, whose records cannot be read. A metadata file
        is needed for as long as it describes an image that is new.

        Raises:
            UserError: if no metadata file has a column that is to be carried along, or says which labels are unknown.
        """
        names: set[str] = set()
        inputs: dict[str, File] = {}
        shards: list[Shard] = []
        for listing in listings:
            described = {file.path: file for file in _metadata_files(listing)}
            contents = {path: read_metadata(path, columns) for path in described}
            names = names.union(*(content.names for content in contents.values()))
            images = {file.path: file for file in listing.files if not is_metadata(file.path)}
            if listing.complete:
                images |= {
                    path: File(path, MISSING)
                    for rows in contents.values()
                    for path in rows.rows.keys() - images.keys() - listing.scored
                }
            new = [images[path] for path in sorted(images.keys() - inputs.keys())]
            shards += _pack(new, listing.root, set(contents))
            shards += [
                Shard(0, path, 0, None, 0, len(content.problems), metadata=path)
                for path, content in contents.items()
                if content.problems and path not in inputs and path not in listing.scored
            ]
            inputs |= images | described
        for name, flag in columns.flags.items():
            if name not in names:
                there = ", ".join(sorted(names)) or "none"
                raise UserError(f"{flag} {name}: no metadata file has this column, only {there}; name one of those.")
        return Inputs(tuple(inputs[path] for path in sorted(inputs)), tuple(shards))

    def read(self, shard: Shard, spec: ReadSpec) -> Iterator[pa.Table | Unreadable]:
        """The shard's files in order, or the unusable rows of a metadata file."""
        return tables(_records(shard, spec), spec)


def _metadata_files(listing: Listing) -> list[File]:
    """Those in a folder; for a file or a glob, those beside and above what it matches."""
    found = [file for file in listing.files if is_metadata(file.path)]
    if not listing.complete:
        folders = {folder for file in listing.files for folder in _up(posixpath.dirname(file.path), listing.root)}
        places = [files.join(folder, name) for folder in sorted(folders) for name in METADATA_NAMES]
        found = [file for place in places for file in files.list_file(place)]
    by_folder: dict[str, str] = {}
    for file in found:
        folder = posixpath.dirname(file.path)
        if folder in by_folder:
            raise UserError(f"{folder} has more than one metadata file, {file.path} among them; keep one.")
        by_folder[folder] = file.path
    return found


def _pack(images: Sequence[File], root: str, metadata: set[str]) -> list[Shard]:
    by_folder = {posixpath.dirname(path): path for path in metadata}
    shards = []
    for described, group in groupby(images, lambda file: _nearest(posixpath.dirname(file.path), root, by_folder)):
        for some in _cut(group):
            names = tuple(file.path.removeprefix(root).lstrip("/") for file in some)
            shards.append(Shard(0, root, 0, len(names), 0, len(names), names, described))
    return shards


def _cut(images: Iterable[File]) -> Iterator[list[File]]:
    """Runs of files that are no more than a shard has."""
    some: list[File] = []
    size = 0
    for file in images:
        if some and (len(some) == SHARD_RECORDS or size + file.size > SHARD_BYTES):
            yield some
            some, size = [], 0
        some.append(file)
        size += max(file.size, 0)
    if some:
        yield some


def _up(folder: str, root: str) -> Iterator[str]:
    """A folder and those above it, up to the root."""
    yield folder
    while len(folder) > len(root):
        folder = posixpath.dirname(folder)
        yield folder


def _nearest(folder: str, root: str, by_folder: dict[str, str]) -> str | None:
    """The metadata file of a folder, or of the nearest one above it up to the root."""
    return next((by_folder[above] for above in _up(folder, root) if above in by_folder), None)


def _records(shard: Shard, spec: ReadSpec) -> Iterator[Record | Unreadable]:
    metadata = read_metadata(shard.metadata, spec.columns) if shard.metadata else Metadata({}, {}, set())
    if shard.metadata == shard.source:
        for position, problem in metadata.problems.items():
            yield Unreadable(shard.source, range(position, position + 1), problem)
    nothing = Description(None, None, None, (None,) * len(spec.columns.carry))
    paths = [files.join(shard.source, name) for name in shard.names]
    for path, name, content in zip(paths, shard.names, files.read_many(paths), strict=True):
        described = metadata.rows.get(path, nothing)
        record_id = name if described.id is None else described.id
        try:
            truth = truth_of(described.labels, described.unknown, spec.label_names)
            yield Record(record_id, path, 0, *truth, content_of(content), described.carried)
        except RecordError as error:
            yield unreadable(path, 0, error, record_id)
