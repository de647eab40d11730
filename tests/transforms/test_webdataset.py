"""The WebDataset reader: how members of a tar become records, and what is wrong with some of them."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bulklabel.model.labels.choose_rule import LabelOptions
from bulklabel.model.labels.label_rule import NO_TRUTH
from bulklabel.transforms.reading.find_shards import find_shards
from bulklabel.transforms.reading.readers import read_shard
from bulklabel.transforms.reading.records import Columns, ReadSpec, Unreadable
from bulklabel.transforms.reading.streams import member_names, stream_reader
from tests.conftest import read_all


def tar_of(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    with tarfile.open(path, "w", **options) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_members_of_a_tar_become_records(tmp_path: Path, kind: int) -> None:
    deep = "folder/" * 30 + "näme"
    members = {
        "__meta__.json": b"{}",
        "a.jpg": b"A",
        "notes": b"no extension",
        "a.json": json.dumps({"labels": ["cat", "x,y"], "price": 3, "tags": {"k": None}}).encode(),
        "a.pkl": b"\x80never unpickled",
        "b.json": b'{"labels": "dog"}',
        "b.PNG": b"B",
        "c.seg.png": b"not the image",
        "c.labels": b"dog\n\ncat\n",
        "c.txt": b"dog\n\ncat\n",
        "c.webp": b"C",
        "d.jpg": b"D",
        "d.labels": b"",
        "d.txt": b"",
        "e.json": b'{"labels": null, "id": "E"}',
        "e.jpg": b"E",
        f"{deep}.jpg": b"F",
        f"{deep}.json": json.dumps({"labels": ["7", "cat"]}).encode(),
    }
    records, unreadable = read_all(
        tar_of(tmp_path / "a.tar", members, format=kind), columns=Columns(carry=("price", "tags", "txt", "none"))
    )
    assert not unreadable
    assert [(row["id"], row["position"], row["image"], row["labels"]) for row in records] == [
        ("a", 0, b"A", ["cat", "x,y"]),
        ("b", 1, b"B", ["dog"]),
        ("c", 2, b"C", ["dog", "cat"]),
        ("d", 3, b"D", []),
        ("E", 4, b"E", None),
        (deep, 5, b"F", ["7", "cat"]),
    ]
    assert [row["price"] for row in records] == ["3"] + [None] * 5
    assert records[0]["tags"] == '{"k": null}'
    assert [row["txt"] for row in records] == [None, None, "dog\n\ncat\n", "", None, None]


def test_what_is_wrong_with_a_member_costs_its_record_alone(tmp_path: Path) -> None:
    members = {
        "a.jpg": b"A",
        "a.json": b"{not json",
        "b.jpg": b"B",
        "b.json": b'{"labels": {"cat": 1}}',
        "c.json": b"{}",
        "d.jpg": b"D",
        "d.json": b'{"labels": [0, 1]}',
        "e.jpg": b"E",
        "e.json": b'{"labels": [1.5]}',
        "f.jpg": b"F",
        "f.json": b'{"labels": ["\\ud800"]}',
        "\udcff.jpg": b"G",
        "g.jpg": b"g",
        "g.json": b'{"labels": ["cat"], "labels": ["dog"]}',
    }
    path = tar_of(tmp_path / "a.tar", members)
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("h.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        for name, kind in (("i.jpg", tarfile.REGTYPE), ("i.pkl", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "nowhere"
            tar.addfile(member)
    records, unreadable = read_all(path, options=LabelOptions("names"))
    assert unreadable == [
        (0, "bad_labels", "a"),
        (1, "bad_labels", "b"),
        (2, "missing_image", "c"),
        (3, "bad_labels", "d"),
        (4, "bad_labels", "e"),
        (7, "bad_labels", "g"),
        (8, "link", "h"),
    ]
    assert [(row["id"], row["position"], row["labels"]) for row in records] == [
        ("f", 5, ["\\ud800"]),
        ("\\udcff", 6, None),
        ("i", 9, None),
    ]


def test_the_fields_of_a_tar_may_have_other_names(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", {"a.jpg": b"A", "a.Thumb": b"T", "a.tags": b"cat", "a.json": b'{"key": 5}'})
    records, _ = read_all(path, columns=Columns(id="key", image="Thumb", labels="tags"))
    assert [(row["id"], row["image"], row["labels"]) for row in records] == [("5", b"T", ["cat"])]


def test_what_cannot_be_true_of_a_record_rejects_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in (("a.png", b"1"), ("a.png", b"2"), ("b.json", b'["cat"]'), ("b.png", b"B")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    assert read_all(path) == ([], [(0, "duplicate_member", "a"), (1, "bad_labels", "b")])


DATES = "2023.01.05.img1.jpg 2023.01.05.img1.json 2023.01.05.img2.jpg 2023.01.05.img3.jpg 2023.01.05.img3.json"


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (DATES, ["2023.01.05.img1", "2023.01.05.img2", "2023.01.05.img3"]),
        ("v1.0/22.05.png v1.0/22.06.png", ["v1.0/22.05", "v1.0/22.06"]),
        ("__meta__.json README a.b.jpg", ["a.b"]),
        ("01.jpg 01.seg.png 02.jpg 02.seg.png", ["01", "02"]),
        ("01.seg.png 01.jpg 02.jpg", ["01", "02"]),
        ("01.left.jpg 01.right.jpg 02.left.jpg 02.right.jpg", []),
        ("01.left.jpg 01.right.jpg 01.json", []),
        ("01.json 02.json 01.a.jpg 02.b.jpg", []),
        ("a.b.jpg c.jpg c.seg.jpg", ["c"]),
    ],
)
@pytest.mark.parametrize("shard_records", [1, 1024])
def test_names_are_split_as_the_beginning_of_the_file_asks(
    tmp_path: Path, names: str, ids: list[str], shard_records: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_reader, "SPLIT_BYTES", 0)
    monkeypatch.setattr(stream_reader, "SHARD_RECORDS", shard_records)
    contents = {"json": b'{"labels": ["dog"]}', "cls": b"1"}
    path = tar_of(tmp_path / "a.tar", {name: contents.get(name.split(".")[-1], b"A") for name in names.split()})
    records, unreadable = read_all(path)
    assert [row["id"] for row in records] == ids
    assert {reason for _, reason, _ in unreadable} <= {"missing_image", "scattered_members"}
    if names == DATES:
        assert [row["labels"] for row in records] == [["dog"], None, ["dog"]]


def test_an_image_field_with_a_dot_is_named_in_the_detail_and_can_be_asked_for(tmp_path: Path) -> None:
    path = tar_of(
        tmp_path / "a.tar", dict.fromkeys(["01.left.jpg", "01.right.jpg", "02.left.jpg", "02.right.jpg"], b"A")
    )
    chosen, inputs = find_shards([str(path)], "auto", Columns())
    (first, *_) = read_shard(inputs.shards[0], ReadSpec(chosen, Columns(), None, 9, NO_TRUTH))
    assert isinstance(first, Unreadable)
    assert "only 01.left.jpg: name it with --image_column left.jpg" in first.problem.detail
    records, unreadable = read_all(path, columns=Columns(image="left.jpg"))
    assert ([row["id"] for row in records], unreadable) == (["01", "02"], [])


def test_names_that_turn_out_to_be_ambiguous_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_names, "HEAD_MEMBERS", 2)
    names = ["2023.01.jpg", "2023.02.jpg", "03.jpg", "03.seg.png", "04.mask.png", "04.png"]
    records, unreadable = read_all(tar_of(tmp_path / "a.tar", dict.fromkeys(names, b"A")))
    assert [row["id"] for row in records] == ["2023.01", "2023.02", "03", "04.mask"]
    assert unreadable == [(3, "ambiguous_names", "03.seg"), (5, "ambiguous_names", "04")]


@pytest.mark.parametrize("suffixes", [("jpg", "json"), ("json", "jpg"), ("jpg", "png"), ("jpg", "jpg")])
def test_members_that_stand_apart_are_no_records_of_their_own(
    tmp_path: Path, suffixes: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_reader, "SPLIT_BYTES", 0)
    monkeypatch.setattr(stream_reader, "SHARD_RECORDS", 1)
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name in [f"{key}.{suffix}" for suffix in suffixes for key in ("a", "b")]:
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"1"))
    records, unreadable = read_all(path)
    images_first = suffixes[0] == "jpg"
    assert [(row["id"], row["labels"]) for row in records] == ([("a", None), ("b", None)] if images_first else [])
    assert unreadable[-2:] == [(2, "scattered_members", "a"), (3, "scattered_members", "b")]


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "damage",
    [
        header("b.png", 2**62),
        header("b.png", 2**70),
        header("x", 2**40, tarfile.XHDTYPE),
        header("x", 2**21, tarfile.XHDTYPE) + bytes(2**21),
        header("x", 20, tarfile.XHDTYPE) + b"99 path=b.png".ljust(512, b"\0"),
    ],
)
def test_what_a_damaged_header_states_is_not_believed(tmp_path: Path, damage: bytes) -> None:
    good = header("a.png", 1) + b"A".ljust(512, b"\0")
    (tmp_path / "a.tar").write_bytes(good + damage + bytes(1024))
    records, unreadable = read_all(tmp_path / "a.tar")
    assert [row["id"] for row in records] == []
    assert [row[1] for row in unreadable] == ["torn_file"]
