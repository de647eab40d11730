"""Reads the images that records name by a path or a URI, many at once."""

import posixpath
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice, tee

from bulklabel.model.errors import RecordError, UserError
from bulklabel.transforms.files.image_roots import ImageRoots
from bulklabel.transforms.files.read_many import read_many
from bulklabel.transforms.files.text import shortened
from bulklabel.transforms.reading.record_tables import content_of, unreadable
from bulklabel.transforms.reading.records import Reader, ReadSpec, Record, Reference, Shard, Unreadable

FIRST_RECORDS, FIRST_IMAGES = 100, 8
"""So many records are looked at before the work begins, and so many of their images are read."""


@dataclass(frozen=True)
class _Located:
    """Holds what was read of a record, and the paths at which its image may lie, if that is yet to be read."""

    item: Record | Reference | Unreadable
    paths: tuple[str, ...] = ()


def with_images(
    items: Iterable[Record | Reference | Unreadable], shard: Shard, spec: ReadSpec
) -> Iterator[Record | Unreadable]:
    """Yields a shard's records with the images that they name; the next images are fetched meanwhile."""
    image_roots = _roots_of(shard, spec)
    wanted = items if spec.positions is None else _at_positions(items, spec.positions)
    for embedded, run in groupby(wanted, _is_embedded):
        if embedded:  # such records are yielded one by one: to hold many of them would take memory for nothing
            for item in run:
                if isinstance(item, Record):
                    yield item
        else:
            yield from _fetched(map(partial(_located, image_roots=image_roots), run))


def check_first_images(reader: Reader, shards: Sequence[Shard], spec: ReadSpec) -> list[str]:
    """Checks the first images that records name by a path; returns a warning if none of them is there.

    Raises:
        UserError: if none of them may be read; it names the roots that would allow it.
    """
    shard = next((shard for shard in shards if shard.by_path and not shard.problem), None)
    if shard is None:
        return []
    image_roots = _roots_of(shard, spec)
    first = islice(reader.records(shard, spec), FIRST_RECORDS)
    names = [item.name for item in first if isinstance(item, Reference)]
    allowed: list[list[str]] = []
    refused: list[RecordError] = []
    for name in names:
        try:
            allowed.append(image_roots.paths_of(name))
        except RecordError as error:
            refused.append(error)
    if refused and not allowed:
        roots = "".join(f" --image_root {folder}" for folder in image_roots.folders_of(names))
        fix = f":{roots}" if roots else ""
        raise UserError(
            f"{shard.source}: none of its first {len(names):,} images may be read: {refused[0].detail}{fix}."
        )
    if not allowed or any(isinstance(content, bytes) for content in read_many(allowed[:FIRST_IMAGES])):
        return []
    return [
        f"{shard.source}: none of its first images is there, such as {shortened(names[0])}; name the column of paths "
        "with --image_column, and the folder that they are relative to with --image_root."
    ]


def _roots_of(shard: Shard, spec: ReadSpec) -> ImageRoots:
    return ImageRoots(posixpath.dirname(shard.source), spec.columns.image_roots)


def _is_embedded(item: Record | Reference | Unreadable) -> bool:
    return isinstance(item, Record) and item.image is not None


def _fetched(run: Iterator[_Located]) -> Iterator[Record | Unreadable]:
    first, second = tee(run)
    for located, content in zip(first, read_many(located.paths for located in second), strict=True):
        item = located.item
        if not isinstance(item, Reference):
            yield item
            continue
        try:
            yield item.record._replace(image=content_of(content, item.name))
        except RecordError as error:
            yield unreadable(item.record.source, item.record.position, error, item.record.id)


def _at_positions(
    items: Iterable[Record | Reference | Unreadable], positions: Collection[int]
) -> Iterator[Record | Reference | Unreadable]:
    for item in items:
        if not isinstance(item, Reference) or item.record.position in positions:
            yield item


def _located(item: Record | Reference | Unreadable, image_roots: ImageRoots) -> _Located:
    if not isinstance(item, Reference):
        return _Located(item)
    try:
        return _Located(item, tuple(image_roots.paths_of(item.name)))
    except RecordError as error:
        return _Located(unreadable(item.record.source, item.record.position, error, item.record.id))
