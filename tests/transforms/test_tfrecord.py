"""The TFRecord reader: what people's examples hold, and what is wrong with some of them."""

import gzip
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bulklabel.transforms.reading.readers import READERS
from bulklabel.transforms.reading.records import Columns
from bulklabel.transforms.reading.streams import stream_reader
from bulklabel.transforms.reading.streams.tfrecord import framed, masked_checksum
from tests.conftest import read_all


def examples(path: Path, *features: Mapping[str, Sequence[Any]]) -> Path:
    from tensorflow.core.example.example_pb2 import Example

    content = []
    for feature in features:
        example = Example()
        for name, values in feature.items():
            kind = {int: "int64_list", float: "float_list", bytes: "bytes_list"}[type(values[0])] if values else ""
            target = example.features.feature[name]
            if kind:
                getattr(target, kind).value.extend(values)
        content.append(framed(example.SerializeToString()))
    path.write_bytes(b"".join(content))
    return path


def test_features_of_an_example_become_records(tmp_path: Path) -> None:
    path = examples(
        tmp_path / "a.tfrecord",
        {"image/encoded": [b"A"], "image/source_id": [b"a"], "image/class/text": [b"cat", b"dog"], "extra": [3]},
        {"image/encoded": [b"B"], "image/filename": [b"b.jpg"], "image/class/text": [b"dog", b"cat"], "extra": [1, 2]},
        {"image/encoded": [b"C"], "image/class/text": [b"dog", b"cat", b"dog"], "extra": [b"text"]},
        {"image/encoded": [b"D"], "image/class/text": []},
        {"image/encoded": [b"E"]},
        {},
        {"image/encoded": [5]},
    )
    records, unreadable = read_all(path, columns=Columns(carry=("extra",)))
    assert [(row["id"], row["image"], row["labels"], row["extra"]) for row in records] == [
        ("a", b"A", ["cat", "dog"], "3"),
        ("b.jpg", b"B", ["dog", "cat"], "[1, 2]"),
        (f"{path}#2", b"C", ["dog", "cat"], "text"),
        (f"{path}#3", b"D", [], None),
        (f"{path}#4", b"E", None, None),
        (f"{path}#5", None, None, None),
    ]
    assert unreadable == [(6, "wrong_type", None)]
    records, _ = read_all(path, columns=Columns(id="extra", image="image/filename", labels="image/class/text"))
    assert (records[1]["id"], records[1]["image"], records[1]["labels"]) == ("1", b"b.jpg", ["dog", "cat"])


@pytest.mark.parametrize("name", ["image/class/label", "image/object/class/text"])
def test_other_features_of_labels_are_found(tmp_path: Path, name: str) -> None:
    values: list[Any] = [1, 0, 1] if name.endswith("label") else [b"dog", b"cat", b"dog"]
    path = examples(tmp_path / "a.tfrecord", {"image/encoded": [b"A"], name: values}, {"image/encoded": [b"B"]})
    assert [row["labels"] for row in read_all(path)[0]] == [["dog", "cat"], None]


def test_a_flipped_bit_costs_one_tfrecord_and_a_flipped_length_all_after_it(tmp_path: Path) -> None:
    good = [framed(b"\n\0" + bytes([index])) for index in range(5)]
    path = tmp_path / "a.tfrecord"
    content = bytearray(b"".join([*good, framed(b"no example \xff")]))
    content[len(good[0]) + 13] ^= 1
    path.write_bytes(bytes(content))
    _, unreadable = read_all(path)
    reasons = [reason for _, reason, _ in unreadable]
    assert reasons[1] == "wrong_checksum"
    assert [position for position, _, _ in unreadable if reasons[position] == "wrong_checksum"] == [1]
    content[2 * len(good[0]) + 2] ^= 1
    path.write_bytes(bytes(content))
    records, unreadable = read_all(path)
    assert len(records) + len(unreadable) == 3
    assert unreadable[-1][:2] == (2, "torn_file")


def test_a_length_that_no_file_has_is_a_tear(tmp_path: Path) -> None:
    length = struct.pack("<Q", 2**62)
    path = tmp_path / "a.tfrecord"
    path.write_bytes(framed(b"") + length + struct.pack("<I", masked_checksum(length)))
    records, unreadable = read_all(path)
    assert (len(records), [row[:2] for row in unreadable]) == (1, [(1, "torn_file")])


def zlib_fast(content: bytes) -> bytes:
    return zlib.compress(content, 1)


@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.zz", "a.tfrec.zlib", "a-00000-of-00001", "a.bin"])
@pytest.mark.parametrize("pack", [zlib.compress, zlib_fast, gzip.compress])
def test_how_a_file_is_packed_is_told_from_its_content(
    tmp_path: Path, name: str, pack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_reader, "SPLIT_BYTES", 0)
    features = {"image/encoded": [bytes(range(256)) * 900], "image/source_id": [b"a"]}
    content = examples(tmp_path / "plain", *[features] * 3).read_bytes()
    (tmp_path / name).write_bytes(pack(content))
    assert READERS["tfrecord"].recognises(pack(content)[:512])
    records, unreadable = read_all(tmp_path / name)
    assert ([row["image"] for row in records], unreadable) == ([features["image/encoded"][0]] * 3, [])


@pytest.mark.parametrize("start", [b"\x78\x9c", b"\x78\x01", b"\x1f\x8b"])
def test_a_length_may_look_like_a_packed_file(tmp_path: Path, start: bytes) -> None:
    size = int.from_bytes(start, "little")
    path = examples(tmp_path / "a.tfrecord", {"image/encoded": [bytes(size - 34)], "image/source_id": [b""]})
    missing = size - struct.unpack("<Q", path.read_bytes()[:8])[0]
    examples(path, {"image/encoded": [bytes(size - 34 + missing)], "image/source_id": [b""]})
    assert path.read_bytes()[:2] == start
    records, unreadable = read_all(path)
    assert (len(records), unreadable) == (1, [])


@pytest.mark.parametrize(("stop", "extra", "whole"), [(-3, b"", 4), (-12, b"", 3), (None, b"junk", 4), (1, b"", 0)])
def test_a_torn_zlib_file_gives_what_came_before(tmp_path: Path, stop: int | None, extra: bytes, whole: int) -> None:
    packed = zlib.compress(framed(b"")) * 4
    (tmp_path / "a.tfrecord").write_bytes(packed[:stop] + extra)
    records, unreadable = read_all(tmp_path / "a.tfrecord", "tfrecord")
    assert (len(records), [row[:2] for row in unreadable]) == (whole, [(whole, "torn_file")])


def test_a_large_record_of_a_zlib_file_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulklabel.transforms.reading.streams.tfrecord.MAX_RECORD_BYTES", 1000)
    path = examples(
        tmp_path / "a.tfrecord",
        *({"image/encoded": [bytes(size)], "image/source_id": [b"%d" % size]} for size in (5, 200_000, 6)),
    )
    path.write_bytes(zlib.compress(path.read_bytes()))
    records, unreadable = read_all(path)
    assert ([row["id"] for row in records], unreadable) == (["5", "6"], [(1, "too_large", None)])
