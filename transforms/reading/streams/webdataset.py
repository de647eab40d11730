"""Reads records from WebDataset tars, plain or gzip; members are never written to disk and never unpickled."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from bulklabel.model.errors import RecordError, first_line
from bulklabel.model.parse_json import parse_json
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.planned_files import open_planned
from bulklabel.transforms.reading.record_tables import id_of, text_of, unreadable
from bulklabel.transforms.reading.records import Columns, Problem, ReadSpec, Record, Shard, Unreadable
from bulklabel.transforms.reading.streams.member_names import SeenKeys, SplitName, choose_split
from bulklabel.transforms.reading.streams.stream_reader import StreamReader
from bulklabel.transforms.reading.streams.tar import BLOCK_BYTES, TORN, is_header, members

IMAGE_FIELDS = (
    *("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "jp2", "heic", "heif", "dcm"),
    *("image", "img"),
)
"""The fields that hold images, unless the user names another; the first that a record has is its image."""

JSON_FIELD = "json"
"""The field of a record's description."""

LABEL_FIELDS = ("labels", "label", "cls", "txt")
"""The keys of the description, or the members, that hold labels unless the user names others."""

ID_KEY = "id"
"""The key of the description that holds the id, unless the user names another."""


@dataclass(frozen=True)
class Fields:
    """Holds the fields that are read, in lower case, and in their order those that may hold the image."""

    all: frozenset[str]
    images: tuple[str, ...]

    @classmethod
    def of(cls, columns: Columns, label_fields: Sequence[str] = LABEL_FIELDS) -> "Fields":
        """Returns the fields that a user's names ask for, and those of labels."""
        named = (columns.id, columns.image, *label_fields, columns.labels, columns.unknown, *columns.carry)
        lower = (name.lower() for name in named if name)
        images = (columns.image.lower(),) if columns.image else IMAGE_FIELDS
        return cls(frozenset((*IMAGE_FIELDS, JSON_FIELD, *lower)), images)


@dataclass
class Sample:
    """Holds the consecutive members with one key: their contents by field, and the first problem with them.

    `other_image` is the first field that is not read and looks like an image, such as `left.jpg`.
    """

    key: str
    fields: dict[str, bytes] = dataclasses.field(default_factory=dict)
    problem: Problem | None = None
    other_image: str = ""


class WebDatasetReader(StreamReader):
    """Reads WebDataset tars, as a `records.Reader`."""

    file_pattern = re.compile(r"\.(tar|tar\.gz|tgz)$", re.IGNORECASE)
    id_fields: tuple[str, ...] = (ID_KEY,)
    label_fields: tuple[str, ...] = LABEL_FIELDS

    def is_plain(self, head: bytes) -> bool:
        """Returns whether the first header has a tar's magic number or, as in the oldest tars, its checksum alone."""
        return head[257:262] == b"ustar" or is_header(head[:BLOCK_BYTES])

    def ends(self, file: File, columns: Columns) -> list[int]:
        """Returns where each record but the first starts, which is where the record before it ends.

        There is none if a key comes back: the file is not cut then, since only one shard can tell.
        """
        split_name = self._split_name_of(file.path, (file,), Fields.of(columns))
        ends: list[int] = []
        seen, current_key = SeenKeys(), ""
        with open_planned(file.path, file) as opened:
            for member in members(opened, 0, None, wanted=lambda _: False):
                key, _ = split_name(member.name)
                if key and key != current_key:
                    if seen.add(key):
                        return []
                    if current_key:
                        ends.append(member.start)
                    current_key = key
        return ends

    def records(self, shard: Shard, spec: ReadSpec) -> Iterator[Record | Unreadable]:
        """Yields the shard's records one by one, in order."""
        fields = Fields.of(spec.columns, (*LABEL_FIELDS, *spec.rule.fields))
        split_name = self._split_name_of(shard.source, shard.sources, fields)
        with self.opened(shard) as stream:
            seen = SeenKeys()
            for position, sample in enumerate(_samples(stream, shard, fields, split_name), shard.position):
                if sample.key:  # a torn place has none
                    sample.problem = sample.problem or seen.add(sample.key)
                yield _record(sample, shard.source, position, spec)

    def _split_name_of(self, path: str, sources: tuple[File, ...], fields: Fields) -> SplitName:
        """Returns how a file's names are split, which is the same for all of its shards."""
        with self.opened(Shard(0, path, 0, None, 0, None, sources=sources)) as stream:
            names = (member.name for member in members(stream, 0, None, wanted=lambda _: False))
            return choose_split(names, {*fields.all}, {*fields.images})


def _samples(stream: BinaryIO, shard: Shard, fields: Fields, split_name: SplitName) -> Iterator[Sample]:
    """Yields the samples of a shard. The one in which a tar is torn may lack members, so it has a problem."""
    sample = None
    for member in members(stream, shard.start, shard.stop, wanted=lambda name: split_name(name)[1] in fields.all):
        key, field = split_name(member.name)
        torn = member.problem is not None and member.problem.reason == TORN
        if sample and field and key != sample.key:
            yield sample
            sample = None
        if field or torn:
            sample = sample or Sample(key)
            if torn or field in fields.all:
                sample.problem = sample.problem or member.problem
            if field in sample.fields:
                detail = f"the archive has two members {member.name!r} in a row"
                sample.problem = sample.problem or Problem("duplicate_member", detail)
            if member.content is not None:
                sample.fields[field] = member.content
            elif field.rpartition(".")[2] in fields.images:
                sample.other_image = sample.other_image or field
    if sample:
        yield sample


def _record(sample: Sample, source: str, position: int, spec: ReadSpec) -> Record | Unreadable:
    """Returns the record that a sample holds, or why it cannot be read."""
    columns = spec.columns
    record_id: str | None = sample.key or None
    try:
        if sample.problem:
            raise RecordError("read", sample.problem.reason, sample.problem.detail)
        description = _description(sample)
        given_ids = (id_of(_value(sample, description, name)) for name in columns.id_names((ID_KEY,)))
        record_id = next(given_ids, None) or record_id
        image_fields = Fields.of(columns).images
        image = next((sample.fields[name] for name in image_fields if name in sample.fields), None)
        if image is None:
            raise RecordError("read", "missing_image", _missing_image(sample, image_fields))
        carried = tuple(text_of(_value(sample, description, name)) for name in columns.carry)
        fields = {name: _labels(sample, description, name) for name in spec.rule.fields}
        present = {name: value for name, value in fields.items() if value is not None}
        return Record(record_id, source, position, present, image, carried)
    except RecordError as error:
        return unreadable(source, position, error, record_id)


def _missing_image(sample: Sample, image_fields: tuple[str, ...]) -> str:
    """Says which members a record lacks, and how to name the one that may be meant."""
    missing = f"no member {sample.key}.{'|'.join(image_fields)}"
    other = sample.other_image
    return f"{missing}, only {sample.key}.{other}: name it with --image_column {other}" if other else missing


def _description(sample: Sample) -> dict[str, Any]:
    """Returns the object in a sample's JSON, which is empty if it has none.

    Raises:
        RecordError: if it is damaged, or no object.
    """
    try:
        description = parse_json(sample.fields.get(JSON_FIELD, b"{}"))
    except (ValueError, RecursionError) as error:
        raise RecordError(
            "read", "bad_labels", f"{sample.key}.{JSON_FIELD} cannot be read ({first_line(error)})"
        ) from error
    if not isinstance(description, dict):
        raise RecordError(
            "read", "bad_labels", f"{sample.key}.{JSON_FIELD} is not an object, but {str(description)[:40]!r}"
        )
    return description


def _value(sample: Sample, description: dict[str, Any], name: str) -> Any:
    """Returns the description's value of a name, else the member of that name, else None."""
    return description[name] if name in description else sample.fields.get(name.lower())


def _labels(sample: Sample, description: dict[str, Any], name: str) -> Any:
    """Returns the description's value of a name; else the lines of that member, as numbers if all are; else None."""
    if name in description:
        return description[name]
    content = sample.fields.get(name.lower())
    if content is None:
        return None
    stripped = [line.strip() for line in content.decode("utf-8-sig", "backslashreplace").splitlines()]
    lines = [line for line in stripped if line]
    try:
        return [int(line) for line in lines]
    except ValueError:
        return lines if len(lines) > 1 else lines[0]
