"""Finds what a record's path tells of it (`country=de`, and what the user's pattern names), or its DICOM header."""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import unquote

from bulklabel.model.images.kinds import format_of, has_extra
from bulklabel.transforms.reading.records import Columns, ReadSpec, Record, Reference, Shard, Unreadable

PARTITION = re.compile(r"(?:^|/)([^/=]+)=([^/]*)(?=/)")
"""Matches a folder that is a partition in the manner of Hive."""

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""What stands in such a folder's name for null."""

ID, LABELS = "id", "labels"
"""The groups of `Columns.path_pattern` that are no carried columns."""


DICOM_FILE = re.compile(r"\.(dcm|dicom)$", re.IGNORECASE)


@functools.lru_cache(2**12)
def partitions_in(path: str) -> Mapping[str, str | None]:
    """Returns the columns that the folders of a path are partitions by, with their values.

    >>> dict(partitions_in("photos/country=de/day=2026%2D01/a.parquet"))
    {'country': 'de', 'day': '2026-01'}
    """
    return {name: None if value == NO_VALUE else unquote(value) for name, value in PARTITION.findall(path)}


def groups_in(path: str, pattern: str | None) -> dict[str, str]:
    """Returns what the named groups of a pattern match in a path; nothing if it does not match.

    >>> groups_in("cat/p7_a.png", "(?P<labels>[^/]+)/(?P<patient>p[0-9]+)_")
    {'labels': 'cat', 'patient': 'p7'}
    """
    match = re.search(pattern, path) if pattern else None
    return {name: value for name, value in match.groupdict().items() if value is not None} if match else {}


def groups_in_pattern(pattern: str | None) -> set[str]:
    """Returns the names of a pattern's groups.

    >>> groups_in_pattern("(?P<labels>[^/]+)/")
    {'labels'}
    """
    return set(re.compile(pattern).groupindex) if pattern else set()


def names_in_paths(paths: Iterable[str], columns: Columns) -> set[str]:
    """Returns the names of columns that some paths may give."""
    return groups_in_pattern(columns.path_pattern).union(*map(partitions_in, paths))


def names_in_headers(paths: Iterable[str], columns: Columns) -> set[str]:
    """Returns which of the carried columns are fields that the headers of some of the files may have."""
    if not columns.carry or not has_extra("DICOM") or not any(map(DICOM_FILE.search, paths)):
        return set()
    from bulklabel.model.images.dicom import is_keyword  # imports what not everybody has

    return set(filter(is_keyword, columns.carry))


def with_header_fields(items: Iterable[Record | Unreadable], spec: ReadSpec) -> Iterable[Record | Unreadable]:
    """Returns records with those of the carried fields that their images' DICOM headers have, where nothing else does.

    What is not carried by its name is not read.
    """
    names = spec.columns.carry
    if not names or not has_extra("DICOM"):
        return items
    return (_with_header(item, names) if isinstance(item, Record) else item for item in items)


def _with_header(record: Record, names: Sequence[str]) -> Record:
    if not record.image or None not in record.carried or format_of(record.image) != "DICOM":
        return record
    from bulklabel.model.images.dicom import header_fields

    values = header_fields(bytes(record.image), names)
    carried = (own if own is not None else other for own, other in zip(record.carried, values, strict=True))
    return record._replace(carried=tuple(carried))


def with_path_fields(
    items: Iterable[Record | Reference | Unreadable], shard: Shard, spec: ReadSpec
) -> Iterable[Record | Reference | Unreadable]:
    """Returns a shard's records with what their paths tell, where their files do not.

    The pattern is searched in the path below the folder of images, in the path that a record gives its image, or else
    in that of the file. An `id` that it finds goes before the record's own.
    """
    columns = spec.columns
    in_partitions = (columns.carry or spec.rule.fields) and (shard.names or "=" in shard.source)
    return _each_with_fields(items, shard, spec) if columns.path_pattern or in_partitions else items


def _each_with_fields(
    items: Iterable[Record | Reference | Unreadable], shard: Shard, spec: ReadSpec
) -> Iterator[Record | Reference | Unreadable]:
    for item in items:
        if isinstance(item, Unreadable):
            yield item
        elif isinstance(item, Reference):
            yield item._replace(record=_with_fields(item.record, item.name, spec))
        else:
            below = item.source.removeprefix(f"{shard.source}/") if shard.names else item.source
            yield _with_fields(item, below, spec) if spec.columns.path_pattern or "=" in item.source else item


def _with_fields(record: Record, path: str, spec: ReadSpec) -> Record:
    columns, groups = spec.columns, groups_in(path, spec.columns.path_pattern)
    found: dict[str, str | None] = {**partitions_in(record.source), **groups}
    if not found:
        return record
    labels_field = spec.rule.field or columns.labels or LABELS
    found |= {labels_field: groups[LABELS]} if LABELS in groups else {}
    fields = {name: found[name] for name in spec.rule.fields if name in found and record.fields.get(name) is None}
    carried = (
        found.get(name) if value is None else value for name, value in zip(columns.carry, record.carried, strict=True)
    )
    record_id = groups.get(ID, record.id)
    return record._replace(id=record_id, fields={**record.fields, **fields}, carried=tuple(carried))
