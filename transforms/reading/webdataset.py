"""Records from WebDataset tars, plain or gzip: members are read in memory, never written, never unpickled."""

import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from bulklabel.model.errors import RecordError, first_line
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.reading.record_tables import Record, text_of, truth_of, unreadable
from bulklabel.transforms.reading.records import Columns, Problem, ReadSpec, Shard, Unreadable
from bulklabel.transforms.reading.streams import StreamReader, open_unpacked, unpack_head
from bulklabel.transforms.reading.tar import TORN, members

IMAGE_FIELDS = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "image", "img")
"""The first of these fields that a record has is its image."""

JSON_FIELD, CLASS_FIELD, TEXT_FIELD = "json", "cls", "txt"
LABELS_KEY, ID_KEY = "labels", "id"

MEMBER_NAME = re.compile(r"^(?P<key>(?:.*/)?[^./][^./]*)\.(?P<field>[^/]+)$", re.DOTALL)
"""The key is the path up to the first dot of the base name, what follows is the field."""

ARCHIVE_KEY = re.compile(r"(^|/)__[^/]*__$")
"""Keys of members that speak of the whole archive."""


@dataclass
class Sample:
    """The consecutive members with one key: their contents by field, or the first thing wrong with them."""

    key: str
    fields: dict[str, bytes] = dataclasses.field(default_factory=dict)
    problem: Problem | None = None


class WebDatasetReader(StreamReader):
    """WebDataset, as `records.Reader` has it."""

    file_pattern = re.compile(r"\.(tar|tar\.gz|tgz)$", re.IGNORECASE)

    def recognises(self, head: bytes) -> bool:
        """By the magic number of a tar's first header, under gzip as well."""
        return unpack_head(head)[257:262] == b"ustar"

    def ends(self, file: File) -> Iterator[int]:
        """Where each record but the first starts is where the one before it ends."""
        key = ""
        with files.open_file(file.path) as opened:
            for member in members(opened, 0, None, wanted=lambda _: False):
                found, _ = split_name(member.name)
                if found and found != key:
                    if key:
                        yield member.start
                    key = found

    def records(self, shard: Shard, spec: ReadSpec) -> Iterator[Record | Unreadable]:
        """The shard's records one by one."""
        with open_unpacked(shard) as stream:
            for position, sample in enumerate(_samples(stream, shard, spec.columns), shard.position):
                yield _record(sample, shard.source, position, spec)


def _samples(stream: BinaryIO, shard: Shard, columns: Columns) -> Iterator[Sample]:
    """The records of a shard. The one in which a tar is torn may lack members, so it cannot be read."""
    named = (columns.id, columns.image, columns.labels, columns.unknown, *columns.carry)
    fields = {*IMAGE_FIELDS, JSON_FIELD, CLASS_FIELD, TEXT_FIELD, *(name.lower() for name in named if name)}
    sample = None
    for member in members(stream, shard.start, shard.stop, wanted=lambda name: split_name(name)[1] in fields):
        key, name = split_name(member.name)
        torn = member.problem is not None and member.problem.reason == TORN
        if sample and name and key != sample.key:
            yield sample
            sample = None
        if name or torn:
            sample = sample or Sample(key)
            if torn or name in fields:
                sample.problem = sample.problem or member.problem
            if name in sample.fields:
                detail = f"the archive has two members {member.name!r} in a row"
                sample.problem = sample.problem or Problem("duplicate_member", detail)
            if member.content is not None:
                sample.fields[name] = member.content
    if sample:
        yield sample


def split_name(name: str) -> tuple[str, str]:
    """Key and field of a member; both empty for what belongs to no record."""
    found = MEMBER_NAME.match(name)
    if not found or ARCHIVE_KEY.search(found["key"]):
        return "", ""
    return found["key"], found["field"].lower()


def _record(sample: Sample, source: str, position: int, spec: ReadSpec) -> Record | Unreadable:
    columns = spec.columns
    record_id: str | None = sample.key or None
    try:
        if sample.problem:
            raise RecordError("read", sample.problem.reason, sample.problem.detail)
        described = _json(sample)
        record_id = text_of(_value(sample, described, columns.id or ID_KEY)) or record_id
        wanted = [columns.image.lower()] if columns.image else IMAGE_FIELDS
        image = next((sample.fields[name] for name in wanted if name in sample.fields), None)
        if image is None:
            raise RecordError("read", "missing_image", f"no member {sample.key}.{'|'.join(wanted)}")
        unknown = _labels(sample, described, columns.unknown) if columns.unknown else None
        truth = truth_of(_labels(sample, described, columns.labels), unknown, spec.label_names)
        carried = tuple(text_of(_value(sample, described, name)) for name in columns.carry)
        return Record(record_id, source, position, *truth, image, carried)
    except RecordError as error:
        return unreadable(source, position, error, record_id)


def _json(sample: Sample) -> dict[str, Any]:
    try:
        described = json.loads(sample.fields.get(JSON_FIELD, b"{}"))
    except (ValueError, RecursionError) as error:
        raise RecordError(
            "read", "bad_labels", f"{sample.key}.{JSON_FIELD} is not JSON ({first_line(error)})"
        ) from error
    if not isinstance(described, dict):
        raise RecordError(
            "read", "bad_labels", f"{sample.key}.{JSON_FIELD} is not an object, but {str(described)[:40]!r}"
        )
    return described


def _value(sample: Sample, described: dict[str, Any], name: str) -> Any:
    """What the JSON has under a name, else the member of that name, else nothing."""
    return described[name] if name in described else sample.fields.get(name.lower())


def _labels(sample: Sample, described: dict[str, Any], name: str | None) -> Any:
    if (name or LABELS_KEY) in described:
        return described[name or LABELS_KEY]
    field = next(
        (field for field in ([name.lower()] if name else [CLASS_FIELD, TEXT_FIELD]) if field in sample.fields), None
    )
    if field is None:
        return None
    lines = [line.strip() for line in sample.fields[field].decode("utf-8-sig", "backslashreplace").splitlines()]
    found = [line for line in lines if line]
    return _numbers(found) if field == CLASS_FIELD else found


def _numbers(lines: list[str]) -> list[int]:
    try:
        return [int(line) for line in lines]
    except ValueError as error:
        raise RecordError("read", "bad_labels", f"the class {str(lines)[:40]} is not a whole number") from error
