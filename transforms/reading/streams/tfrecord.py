"""Reads records from TFRecord files of `tf.Example`, plain, gzip or ZLIB, and checks each checksum."""

import gzip
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import google_crc32c
from google.protobuf.message import DecodeError

from bulklabel.model.errors import RecordError, first_line
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.files.planned_files import open_planned
from bulklabel.transforms.files.read_many import MAX_RECORD_BYTES
from bulklabel.transforms.reading.record_tables import id_of, text_of, unreadable
from bulklabel.transforms.reading.records import Columns, Problem, ReadSpec, Record, Shard, Unreadable
from bulklabel.transforms.reading.streams.stream_reader import (
    MAX_STATED_BYTES,
    StreamReader,
)
from bulklabel.transforms.reading.streams.tf_example import Example

ID_FEATURES = ("image/source_id", "image/filename")
IMAGE_FEATURE = "image/encoded"
LABEL_FEATURES = ("image/class/text", "image/class/label", "image/object/class/text")
"""The features that hold the id, the image and the labels unless the user names others. Of several, the first that has
a value counts."""

HEADER = struct.Struct("<QI")
"""The length of a record in bytes (uint64), and the checksum of these eight bytes (uint32), little-endian."""

CHECKSUM = struct.Struct("<I")
"""The checksum of a record, which follows it."""

Features = dict[str, list[Any]]
"""The values of an example by the feature's name: bytes, floats or integers; empty where it has none."""


@dataclass(frozen=True)
class Frame:
    """Holds one record of a file: its bytes, or what is wrong with it; `end` is the offset of the byte after it."""

    content: bytes
    end: int
    problem: Problem | None = None


class TFRecordReader(StreamReader):
    """Reads TFRecord files of `tf.Example`, as a `records.Reader`."""

    file_pattern = re.compile(r"(\.tfrec(ord)?s?|-\d{5,}-of-\d{5,})(\.(gz|zlib|zz))?$", re.IGNORECASE)
    id_fields: tuple[str, ...] = ID_FEATURES
    label_fields: tuple[str, ...] = LABEL_FEATURES

    def is_plain(self, head: bytes) -> bool:
        """Returns whether the checksum of the first record's length is right."""
        return len(head) >= HEADER.size and _length(head[: HEADER.size]) is not None

    def ends(self, file: File, columns: Columns) -> Iterator[int]:  # noqa: ARG002
        """Yields the byte after each record, from header to header, whose checksums are checked."""
        with open_planned(file.path, file) as opened:
            for frame in frames(opened, 0, file.size, skip=True):
                if not frame.problem:
                    yield frame.end

    def records(self, shard: Shard, spec: ReadSpec) -> Iterator[Record | Unreadable]:
        """Yields the shard's records one by one, in order."""
        with self.opened(shard) as stream:
            for position, frame in enumerate(frames(stream, shard.start, shard.stop), shard.position):
                if frame.problem:
                    yield Unreadable(shard.source, range(position, position + 1), frame.problem)
                else:
                    yield _record(frame.content, shard.source, position, spec)


def frames(stream: BinaryIO, start: int, stop: int | None, skip: bool = False) -> Iterator[Frame]:
    """Yields the records from one byte to another, or to the stream's end if `stop` is None.

    With `skip` their contents are passed over, and are empty. A record with a wrong checksum has a problem; one with a
    damaged length is the last, since nobody knows where the next would start.

    >>> import io
    >>> [frame.content for frame in frames(io.BytesIO(framed(b"cat") + framed(b"dog")), 0, None)]
    [b'cat', b'dog']
    """
    offset = start
    while stop is None or offset < stop:
        try:
            frame = _frame(stream, offset, skip)
        except (EOFError, gzip.BadGzipFile, zlib.error, OverflowError, MemoryError, OSError) as error:
            raise_if_store_failed(error)
            frame = _torn(offset, first_line(error))
        if frame is None:
            return
        yield frame
        if frame.problem and frame.problem.reason == "torn_file":
            return
        offset = frame.end


def _frame(stream: BinaryIO, offset: int, skip: bool) -> Frame | None:
    """Reads the record at an offset, where the stream stands; returns None at the stream's end."""
    header = stream.read(HEADER.size)
    if not header:
        return None
    length = _length(header) if len(header) == HEADER.size else None
    if length is None:
        return _torn(offset, "the record's length is damaged" if len(header) == HEADER.size else "the file ends in it")
    if length > MAX_STATED_BYTES:
        return _torn(offset, f"a record of {length:,} bytes")
    end = offset + HEADER.size + length + CHECKSUM.size
    if skip:
        stream.seek(end)
        return Frame(b"", end)
    if length > MAX_RECORD_BYTES:
        stream.seek(end)
        return Frame(b"", end, Problem("too_large", f"the record has {length:,} bytes; at most {MAX_RECORD_BYTES:,}"))
    content = stream.read(length)
    footer = stream.read(CHECKSUM.size)
    if len(footer) < CHECKSUM.size:
        return _torn(offset, "the file ends in it")
    if CHECKSUM.unpack(footer)[0] != masked_checksum(content):
        return Frame(
            b"", end, Problem("wrong_checksum", f"the record at byte {offset:,} is not what its checksum says")
        )
    return Frame(content, end)


def framed(content: bytes) -> bytes:
    """Returns a record as it stands in a file: its length and its bytes, each with a checksum.

    >>> len(framed(b"cat"))  # 8 bytes of length, 4 of checksum, the content, 4 of checksum
    19
    """
    length = struct.pack("<Q", len(content))
    return length + CHECKSUM.pack(masked_checksum(length)) + content + CHECKSUM.pack(masked_checksum(content))


def _torn(offset: int, why: str) -> Frame:
    """Returns what stands for everything from an offset on, since no further record can be found."""
    detail = f"from byte {offset:,} on nothing can be read ({why}); it counts as one record"
    return Frame(b"", offset, Problem("torn_file", detail))


def _length(header: bytes) -> int | None:
    """Returns the length that a header states, None if its checksum is wrong."""
    length, checksum = HEADER.unpack(header)
    return int(length) if checksum == masked_checksum(header[:8]) else None


def masked_checksum(content: bytes) -> int:
    """Returns the masked CRC-32C (32 bits) of TFRecord: rotated right by 15 bits, plus a constant, modulo 2^32.

    The mask is that of TensorFlow's `lib/hash/crc32c.h`, which keeps checksums of data that hold checksums apart.

    >>> hex(masked_checksum(b""))
    '0xa282ead8'
    """
    checksum = int(google_crc32c.value(content))
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _record(content: bytes, source: str, position: int, spec: ReadSpec) -> Record | Unreadable:
    """Returns the record that a serialized example holds, or why it cannot be read."""
    columns = spec.columns
    record_id = None
    try:
        features = _features(content)
        names = columns.id_names(ID_FEATURES)
        record_id = next(filter(None, (id_of(features[name][0]) for name in names if features.get(name))), None)
        image = features.get(columns.image or IMAGE_FEATURE) or [None]
        if not isinstance(image[0], bytes | None):
            raise RecordError(
                "read", "wrong_type", f"the feature {columns.image or IMAGE_FEATURE!r} is a number, not bytes"
            )
        carried = tuple(_carried(features.get(name)) for name in columns.carry)
        fields = {name: _labels(features[name]) for name in spec.rule.fields if name in features}
        return Record(record_id, source, position, fields, image[0], carried)
    except RecordError as error:
        return unreadable(source, position, error, record_id)


def _features(content: bytes) -> Features:
    """Returns the features of a serialized example.

    Raises:
        RecordError: if the content is no example.
    """
    try:
        message = Example.FromString(content)
    except DecodeError as error:
        raise RecordError("read", "damaged_record", "the record is not a tf.Example") from error
    kinds = {name: (feature, feature.WhichOneof("kind")) for name, feature in message.features.feature.items()}
    return {name: list(getattr(feature, kind).value) if kind else [] for name, (feature, kind) in kinds.items()}


def _labels(values: list[Any]) -> Any:
    """Returns the values of a feature of labels, names as text; a single one by itself, since it may hold several."""
    plain = [text_of(value) if isinstance(value, bytes) else value for value in values]
    return plain[0] if len(plain) == 1 else plain


def _carried(values: list[Any] | None) -> str | None:
    """Returns a single value as text, several as a JSON list, and None if there is no value."""
    if not values:
        return None
    plain = [text_of(value) if isinstance(value, bytes) else value for value in values]
    return text_of(plain[0] if len(plain) == 1 else plain)
