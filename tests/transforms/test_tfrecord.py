"""The TFRecord reader: what people's examples hold, and what is wrong with some of them."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bulklabel.transforms.reading.records import Columns
from bulklabel.transforms.reading.streams.tfrecord import framed, masked_checksum
from tests.conftest import read_all


def examples(path: Path, *features: dict[str, Sequence[Any]]) -> Path:
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
        {"image/encoded": [b"B"], "image/filename": [b"b.jpg"], "image/class/label": [1, 0], "extra": [1, 2]},
        {"image/encoded": [b"C"], "image/object/class/text": [b"dog", b"cat", b"dog"], "extra": [b"text"]},
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
    records, _ = read_all(path, columns=Columns(id="extra", image="image/filename", labels="image/class/label"))
    assert (records[1]["id"], records[1]["image"], records[1]["labels"]) == ("1", b"b.jpg", ["dog", "cat"])


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
