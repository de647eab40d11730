"""Reads records from folders of image files, many small files a shard, with the metadata files beside them."""

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from bulklabel.model.errors import RecordError, UserError
from bulklabel.model.images.kinds import format_of
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File, Listing
from bulklabel.transforms.files.read_many import Content, read_many
from bulklabel.transforms.files.stores.path_names import MISSING
from bulklabel.transforms.reading.image_metadata import (
    METADATA_NAMES,
    Description,
    Metadata,
    is_metadata,
    read_metadata,
)
from bulklabel.transforms.reading.path_fields import names_in_headers, names_in_paths
from bulklabel.transforms.reading.record_tables import content_of, unreadable
from bulklabel.transforms.reading.records import (
    SHARD_BYTES,
    SHARD_RECORDS,
    Columns,
    Inputs,
    ReadSpec,
    Record,
    Shard,
    Unreadable,
)
from bulklabel.transforms.reading.table_columns import ID_COLUMN, LABEL_COLUMNS


class ImagesReader:
    """Reads folders of image files, each of which is a record, as a `records.Reader`."""

    file_pattern = re.compile(
        r"\.(jpe?g|jfif|png|webp|gif|bmp|tiff?|avif|jp2|j2[kc]|jp[fx]|hei[cf]|hif|dcm|dicom)$"
        r"|(^|/)metadata\.(jsonl|csv|parquet)$",
        re.IGNORECASE,
    )
    id_fields: tuple[str, ...] = (ID_COLUMN,)
    label_fields: tuple[str, ...] = LABEL_COLUMNS

    def recognises(self, head: bytes) -> bool:
        """Returns whether a file starts like an image of a format that can be decoded."""
        return format_of(head) is not None

    def shards(self, listings: Sequence[Listing], columns: Columns) -> Inputs:
        """Returns the files and their shards, which are runs of files that share one metadata file, or have none.

        The rows of a metadata file that describe no image are one more shard, whose records cannot be read. A metadata
        file that an earlier run has scored is still read, since it may describe images that are new.

        Raises:
            UserError: if no metadata file has a column of `columns.flags`.
        """
        column_names: set[str] = set()
        inputs: dict[str, File] = {}
        shards: list[Shard] = []
        for listing in listings:
            metadata_files = {file.path: file for file in _metadata_files(listing)}
            contents = {path: read_metadata(path, columns, (), file) for path, file in metadata_files.items()}
            column_names = column_names.union(*(content.column_names for content in contents.values()))
            images = {file.path: file for file in listing.files if not is_metadata(file.path)}
            if listing.complete:
                # A described image that the folder lacks is rejected when its shard is read. Below a glob or in a part
                # of a folder, rows of other images are to be expected.
                images |= {
                    path: File(path, MISSING)
                    for content in contents.values()
                    for path in content.descriptions.keys() - images.keys() - listing.scored
                }
            new = [images[path] for path in sorted(images.keys() - inputs.keys())]
            shards += _pack(new, listing.root, set(contents))
            shards += [
                Shard(0, path, 0, None, 0, len(content.problems), metadata=path)
                for path, content in contents.items()
                if content.problems and path not in inputs and path not in listing.scored
            ]
            inputs |= images | metadata_files
        in_files = names_in_paths(inputs, columns) | names_in_headers(inputs, columns)
        for name, flag in columns.asked_for.items():
            if name not in column_names | in_files:
                known = ", ".join(sorted(column_names)) or "none"
                raise UserError(f"{flag} {name}: no metadata file has this column, only {known}; name one of those.")
        return Inputs(tuple(inputs[path] for path in sorted(inputs)), tuple(shards))

    def records(self, shard: Shard, spec: ReadSpec) -> Iterator[Record | Unreadable]:
        """Yields the shard's files, or the unusable rows of a metadata file as unreadable.

        A file is its own source, at position 0, and its id is its path below the folder.
        """
        planned, metadata = shard.planned, Metadata()
        if shard.metadata:
            described_by = planned.get(shard.metadata)
            metadata = read_metadata(shard.metadata, spec.columns, spec.rule.fields, described_by)
        if shard.metadata == shard.source:
            for position, problem in metadata.problems.items():
                yield Unreadable(shard.source, range(position, position + 1), problem)
        undescribed = Description(None, {}, (None,) * len(spec.columns.carry))
        paths = [files.join(shard.source, name) for name in shard.names]
        contents: Iterable[Content] = (
            read_many([planned.get(path, path)] for path in paths) if spec.images else (b"" for _ in paths)
        )
        for path, name, content in zip(paths, shard.names, contents, strict=True):
            described = metadata.descriptions.get(path, undescribed)
            record_id = name if described.id is None else described.id
            try:
                image = content_of(content)
            except RecordError as error:
                yield unreadable(path, 0, error, record_id)
            else:
                yield Record(record_id, path, 0, described.fields, image, described.carried, metadata.class_names)


def _metadata_files(listing: Listing) -> list[File]:
    """Returns the metadata files in a listed folder, or those beside and above the files of a glob or a single file.

    Raises:
        UserError: if a folder has more than one, or one is a link that leads nowhere.
    """
    metadata_files = [file for file in listing.files if is_metadata(file.path)]
    for file in metadata_files:
        if file.size == MISSING:
            raise UserError(f"{file.path} is a link to a file that is not there; remove it, or put the file there.")
    if not listing.complete:
        folders = {folder for file in listing.files for folder in _up(posixpath.dirname(file.path), listing.root)}
        paths = [files.join(folder, name) for folder in sorted(folders) for name in METADATA_NAMES]
        metadata_files = [file for path in paths for file in files.list_file(path)]
    by_folder: dict[str, str] = {}
    for file in metadata_files:
        folder = posixpath.dirname(file.path)
        if folder in by_folder:
            raise UserError(f"{folder} has more than one metadata file, {file.path} among them; keep one.")
        by_folder[folder] = file.path
    return metadata_files


def _pack(images: Sequence[File], root: str, metadata_paths: set[str]) -> list[Shard]:
    """Returns shards of sorted images; each shard has neighbours that the same metadata file describes, if any does."""
    by_folder = {posixpath.dirname(path): path for path in metadata_paths}
    shards = []
    for metadata, group in groupby(images, lambda file: _nearest(posixpath.dirname(file.path), root, by_folder)):
        for run in _cut(group):
            names = tuple(file.path.removeprefix(root).lstrip("/") for file in run)
            shards.append(Shard(0, root, 0, len(names), 0, len(names), names, metadata))
    return shards


def _cut(images: Iterable[File]) -> Iterator[list[File]]:
    """Yields runs of files of at most `SHARD_RECORDS` files and `SHARD_BYTES`."""
    run: list[File] = []
    size = 0
    for file in images:
        if run and (len(run) == SHARD_RECORDS or size + file.size > SHARD_BYTES):
            yield run
            run, size = [], 0
        run.append(file)
        size += max(file.size, 0)
    if run:
        yield run


def _up(folder: str, root: str) -> Iterator[str]:
    """Yields a folder and those above it, up to the root."""
    yield folder
    while len(folder) > len(root):
        folder = posixpath.dirname(folder)
        yield folder


def _nearest(folder: str, root: str, by_folder: dict[str, str]) -> str | None:
    """Returns the metadata file of a folder, or of the nearest folder above it up to the root; None if none has one."""
    return next((by_folder[above] for above in _up(folder, root) if above in by_folder), None)
