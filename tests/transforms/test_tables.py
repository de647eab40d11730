"""Tables of paths: CSV and JSON lines as people have them, each with one outcome."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bulklabel.model.errors import UserError
from bulklabel.model.labels.label_rule import NO_TRUTH
from bulklabel.transforms.reading import referenced_images
from bulklabel.transforms.reading.find_shards import find_shards
from bulklabel.transforms.reading.readers import first_image_warnings, read_shard
from bulklabel.transforms.reading.records import Columns, ReadSpec, Unreadable
from bulklabel.transforms.reading.tables import table_reader
from tests.conftest import DEFAULT, read_all


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with images, some of odd names."""
    for name in ("a.png", "b c.png", "d%20e.png", "x,y.png", "x;y.png", "img/1.png", "new\nline.png", "é.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "caf\udce9.png").write_bytes(b"latin")
    return tmp_path


def outcomes(folder: Path, name: str, content: str | bytes, columns: Columns = DEFAULT) -> list[Any]:
    """What becomes of each row: the image's bytes as text, or the reason."""
    path = folder / name
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    records, unreadable = read_all(path, columns=columns)
    by_position = {row["position"]: row["image"] and row["image"].decode() for row in records}
    by_position |= {position: reason for position, reason, _ in unreadable}
    assert [*sorted(by_position)] == [*range(len(records) + len(unreadable))]
    return [by_position[position] for position in sorted(by_position)]


CSV: dict[str, tuple[str | bytes, list[str | None]]] = {
    "plain": ("path\na.png\n", ["a.png"]),
    "relative": ("path\n./img/../a.png\nimg//1.png\n", ["a.png", "img/1.png"]),
    "BOM, semicolons, CRLF": ("\ufeffpath;labels\r\na.png;cat\r\nx;y.png;\r\n", ["a.png", "damaged_record"]),
    "quotes": ('path,labels\n"x,y.png",cat\n"new\nline.png",cat\n', ["x,y.png", "new\nline.png"]),
    "spaces": ("path\nb c.png\nb%20c.png\nd%20e.png\n", ["b c.png", "b c.png", "d%20e.png"]),
    "backslashes": ("path\nimg\\1.png\nC:\\img\\1.png\n", ["img/1.png", "unsafe_path"]),
    "blank": ("id,path\n1,\n2,  \n3,a.png\n", [None, None, "a.png"]),
    "None, NaN": ("path\nNone\nnan\na.png\n", ["missing_file", "missing_file", "a.png"]),
    "web": ("url\nhttps://example.com/a.png\na.png\n", ["unsafe_path", "a.png"]),
    "twice": ("path\na.png\na.png\n", ["a.png", "a.png"]),
    "missing": ("path\nnone.png\nimg\na.png", ["missing_file", "unreadable_file", "a.png"]),
    "short and long rows": (
        "path,labels\na.png\na.png,cat,dog\na.png,,,\na.png,\n",
        ["damaged_record", "damaged_record", "damaged_record", "a.png"],
    ),
    "empty lines": ("\npath\n\na.png\r\n\n\r\n", ["a.png"]),
    "bytes that are not UTF-8": (b"path\ncaf\xe9.png\n\xc3\xa9.png\n", ["latin", "é.png"]),
    "outside": ("path\n../x.png\n/etc/passwd\na.png\n", ["unsafe_path", "unsafe_path", "a.png"]),
    "base64": ("path\n" + "iVBORw0KGgo" * 1000 + "\na.png\n", ["unreadable_file", "a.png"]),
    "quotes that are not doubled": (
        'path,labels\na.png,"["cat", "dog"]"\na.png,"["cat"]"\na.png,"[""cat""]"\n',
        ["damaged_record", "damaged_record", "a.png"],
    ),
    "unclosed quote": ('path\na.png\n"b\nc\n', ["a.png", "torn_file"]),
    "any case": ("Path\na.png\n", ["a.png"]),
    "image wins": ("path,image\nnone.png,a.png\n", ["a.png"]),
}


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", CSV)
def test_each_row_of_csv_has_one_outcome(folder: Path, name: str, suffix: str) -> None:
    content, expected = CSV[name]
    assert outcomes(folder, f"t.csv{suffix}", content) == expected


def test_tsv(folder: Path) -> None:
    assert outcomes(folder, "t.tsv", "path\tlabels\nx,y.png\tcat\n") == ["x,y.png"]


JSON = {
    '{"path": "a.png"}': "a.png",
    '{"image": {"bytes": null, "path": "a.png"}}': "a.png",
    '{"image": {"bytes": "abc", "path": "a.png"}}': "wrong_type",
    '{"path": null}': None,
    '{"path": NaN}': None,
    '{"path": ""}': None,
    '{"path": 3}': "wrong_type",
    '{"path": ["a.png"]}': "wrong_type",
    '{"name": "a.png"}': "missing_column",
    '{"path": "a.png", "url": "https://example.com/a.png"}': "missing_column",
    '["a.png"]': "damaged_record",
    '{"path": "a.png"': "damaged_record",
    '{"path": "a.png", "labels": ["cat"], "labels": ["dog"]}': "damaged_record",
    '{"path": "a\\u0000.png"}': "unsafe_path",
    '{"path": "\\ud800.png"}': "unsafe_path",
}


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".jsonl.gz"])
def test_each_row_of_json_lines_has_one_outcome(folder: Path, suffix: str) -> None:
    lines = "\n \n" + "".join(f"{line}\r\n" for line in JSON)
    assert outcomes(folder, f"t{suffix}", lines) == [*JSON.values()]


def test_ids_labels_and_carried_columns_come_from_the_row(folder: Path) -> None:
    rows = [
        {"file_name": "a.png", "id": 7, "labels": ["cat"], "unsure": ["dog"], "site": "north", "n": 1},
        {"file_name": "img/1.png", "labels": ["dog"], "site": None, "n": [1, 2]},
        {"file_name": "é.png", "id": "x", "labels": None},
    ]
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    cells = 'file_name,id,labels,unsure,site,n\na.png,7,cat,dog,north,1\nimg/1.png,,dog,,,"[1, 2]"\né.png,x,,,,\n'
    (folder / "t.csv").write_text(cells)
    columns = Columns(unknown="unsure", carry=("site", "n"))
    both = [read_all(folder / name, columns=columns) for name in ("t.jsonl", "t.csv")]
    for records, unreadable in both:
        assert unreadable == []
        assert [row["id"] for row in records] == ["7", "img/1.png", "x"]
        assert [row["labels"] for row in records] == [["cat"], ["dog"], None]
        assert [row["unknown"] for row in records] == [["dog"], None, None]
        assert [(row["site"], row["n"]) for row in records] == [("north", "1"), (None, "[1, 2]"), (None, None)]


@pytest.mark.parametrize(
    ("name", "content", "columns", "words"),
    [
        ("t.csv", "name,kind\na.png,x\n", DEFAULT, "no column 'image', only name, kind; name the one with the images"),
        (
            "t.csv",
            "path,url\na.png,x\n",
            DEFAULT,
            "any of 'path', 'url' may be the images; name one with --image_column",
        ),
        ("t.csv", "path,path\na.png,x\n", Columns(image="path"), "the file has 2 columns named 'path'"),
        ("t.csv", "path\n", DEFAULT, "the input holds no records"),
        ("t.csv", "", DEFAULT, "no column 'image', only none"),
        ("t.jsonl", "", DEFAULT, "no column 'image', only none"),
        (
            "t.csv",
            "gs://x/1.png,cat\ngs://x/2.png,dog\n",
            DEFAULT,
            r"no column 'image', only gs://x/1.png, cat; .* \(CSV must have a header\)",
        ),
        ("t.csv", "\nSEP=;\npath;labels\na.png;cat\n", DEFAULT, r"first line is 'SEP=;', and not .*; take it out\.$"),
        ("t.tsv", '"sep=\t"\npath\tlabels\na.png\tcat\n', DEFAULT, "first line is '\"sep="),
        (
            "t.csv",
            "# made by us, in May\npath,labels\na.png,cat\n",
            DEFAULT,
            "first line is '# made by us, in May', and",
        ),
        ("t.csv", "path\na.png\n".encode("utf-16"), DEFAULT, "it is in UTF-16; save it as UTF-8"),
        ("t.csv", b"path\ra.png\r", DEFAULT, "carriage returns alone"),
        ("t.csv", "path,Möwe\na.png,1\n".encode("cp1252"), DEFAULT, "names of its columns are not UTF-8"),
        ("t.csv", 'path,"a"b\na.png,1\n', DEFAULT, "its header cannot be read"),
        ("t.csv.gz", b"path\na.png\n", DEFAULT, "cannot be read"),
        ("t.csv", "path\na.png\n", Columns(carry=("sight",)), "column sight: no such column in .*t.csv, only path"),
        ("t.jsonl", '{"path": "a.png"}\n', Columns(unknown="x"), "--unknown_column x: no such column"),
    ],
)
def test_what_no_row_could_mend_is_one_line_before_the_work(
    folder: Path, name: str, content: str | bytes, columns: Columns, words: str
) -> None:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=words):
        read_all(folder / name, columns=columns)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["https://example.com/1.png"] * 3, "is an address of the web"),
        ([r"C:\img\1.png", r"C:\img\2.png"], "is a path of Windows"),
        (["/data/photos/1.png", "/data/photos/x/2.png"], r"flag: --image_root /data/photos\.$"),
        (["s3://b/a/1.png", "s3://b/c/2.png"], r"flag: --image_root s3://b\.$"),
    ],
)
def test_a_table_of_which_no_image_may_be_read_ends_the_command(folder: Path, cells: list[str], words: str) -> None:
    (folder / "t.csv").write_text("".join(f"{cell}\n" for cell in ["path", *cells]))
    _, inputs = find_shards([str(folder / "t.csv")], "auto", DEFAULT)
    with pytest.raises(UserError, match=words) as caught:
        first_image_warnings(inputs.shards, ReadSpec("table", DEFAULT, None, 100, NO_TRUTH))
    assert "--image_root" in str(caught.value)


def test_a_table_is_cut_into_shards_of_whole_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_reader, "SHARD_RECORDS", 4)
    for name, content in {
        "t.csv": "path,labels\n" + 'a.png,"cat"\n"new\nline.png",dog\n\n' * 5,
        "t.jsonl": '{"path": "a.png", "labels": ["cat"]}\n\n{"path": "new\\nline.png", "labels": ["dog"]}\n' * 5,
    }.items():
        (folder / name).write_text(content)
        _, inputs = find_shards([str(folder / name)], "auto", DEFAULT)
        assert [(shard.position, shard.records) for shard in inputs.shards] == [(0, 4), (4, 4), (8, 2)]
        assert all(shard.by_path and not shard.names for shard in inputs.shards)
        records, unreadable = read_all(folder / name)
        assert unreadable == []
        assert [row["position"] for row in records] == [*range(10)]
        assert [row["labels"] for row in records] == [["cat"], ["dog"]] * 5


def test_a_table_that_shrank_since_the_plan_has_every_record_accounted_for(folder: Path) -> None:
    path = folder / "t.csv"
    path.write_text("path\n" + "a.png\n" * 10)
    _, inputs = find_shards([str(path)], "auto", DEFAULT)
    path.write_text("path\n" + "a.png\n" * 7)
    spec = ReadSpec("table", DEFAULT, None, 100, NO_TRUTH)
    unreadable, table = read_shard(inputs.shards[0], spec)
    assert isinstance(unreadable, Unreadable)
    assert not isinstance(table, Unreadable)
    assert len(table) == 7
    assert (unreadable.positions, unreadable.problem.reason) == (range(7, 10), "damaged_file")


def test_tables_in_a_folder_count_only_if_nothing_else_does(folder: Path) -> None:
    (folder / "t.csv").write_text("path\na.png\n")
    chosen, inputs = find_shards([str(folder)], "auto", DEFAULT)
    assert chosen == "images"
    assert not any(file.path.endswith(".csv") for file in inputs.files)
    (folder / "lists").mkdir()
    (folder / "lists" / "t.csv").write_text("path\n../a.png\n")
    (folder / "lists" / "u.jsonl").write_text('{"path": "../a.png"}\n')
    chosen, inputs = find_shards([str(folder / "lists")], "auto", DEFAULT)
    assert (chosen, len(inputs.files)) == ("table", 2)
    (folder / "metadata.csv").write_text("file_name\na.png\n")
    assert find_shards([str(folder / "metadata.csv")], "auto", DEFAULT)[0] == "table"
    assert outcomes(folder, "t.csv", "path\na.png\n") == ["a.png"]


def test_few_records_are_looked_at_before_the_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "t.csv").write_text("path\n" + "none.png\n" * 200 + "a.png\n")
    read: list[Any] = []

    def read_many(paths: list[list[str]]) -> list[bytes]:
        read.extend(paths)
        return []

    monkeypatch.setattr(referenced_images, "read_many", read_many)
    _, inputs = find_shards([str(folder / "t.csv")], "auto", DEFAULT)
    (warning,) = first_image_warnings(inputs.shards, ReadSpec("table", DEFAULT, None, 100, NO_TRUTH))
    assert "none of its first images is there, such as 'none.png'" in warning
    assert len(read) == referenced_images.FIRST_IMAGES
