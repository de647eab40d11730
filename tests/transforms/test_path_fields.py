"""What paths tell of records: class folders, patients in names, Hive's partitions; and ids that identify nothing."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulklabel.model.errors import UserError
from bulklabel.model.labels.choose_rule import AS_FOUND
from bulklabel.transforms.planning.choose_ids import with_useful_ids
from bulklabel.transforms.planning.choose_labels import choose_labels
from bulklabel.transforms.reading.find_shards import find_shards
from bulklabel.transforms.reading.readers import read_shard
from bulklabel.transforms.reading.records import Columns, ReadSpec, RecordTable
from tests.conftest import DEFAULT, records_in
from tests.transforms.test_tfrecord import examples
from tests.transforms.test_webdataset import tar_of

LABELS = ("cat", "dog", "bird")


def read(path: Path, columns: Columns = DEFAULT) -> tuple[list[dict[str, Any]], list[str]]:
    """The records as `score` and `train` read them, and the warnings about their ids."""
    chosen, inputs = find_shards([str(path)], "auto", columns)
    columns, warnings = with_useful_ids(inputs.shards, chosen, columns)
    rule = choose_labels(inputs.shards, chosen, columns, LABELS, AS_FOUND).rule
    spec = ReadSpec(chosen, columns, LABELS, 100, rule)
    tables = [table for shard in inputs.shards for table in read_shard(shard, spec) if isinstance(table, RecordTable)]
    return [row for table in tables for row in records_in(table)], warnings


def images_in(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_class_folders_and_patients_are_found_by_a_pattern(tmp_path: Path) -> None:
    folder = images_in(tmp_path, "cat/p1_a.png", "cat/p2_b.png", "dog/p1_c.png", "loose.png")
    columns = Columns(carry=("patient",), path_pattern=r"(?P<labels>[^/]+)/(?P<patient>p\d+)_(?P<id>\w)\.png$")
    records, _ = read(folder, columns)
    assert [(row["id"], row["labels"], row["patient"]) for row in records] == [
        ("a", ["cat"], "p1"),
        ("b", ["cat"], "p2"),
        ("c", ["dog"], "p1"),
        ("loose.png", None, None),
    ]


def test_a_pattern_that_matches_nothing_is_one_line(tmp_path: Path) -> None:
    folder = images_in(tmp_path, "cat/a.png", "dog/b.png")
    with pytest.raises(
        UserError, match=r"--path_pattern p=\(\?P<id>\.\): it matches none of the first 2 paths, such as"
    ):
        read(folder, Columns(path_pattern="p=(?P<id>.)"))


def as_parquet(path: Path) -> Path:
    pq.write_table(pa.table({"id": ["a"], "image": [b"x"]}), path / "x.parquet")
    return path


def as_tfrecord(path: Path) -> Path:
    return examples(path / "x.tfrecord", {"image/source_id": [b"a"], "image/encoded": [b"x"]}).parent


def as_webdataset(path: Path) -> Path:
    return tar_of(path / "x.tar", {"a.jpg": b"x"}).parent


def as_images(path: Path) -> Path:
    return images_in(path, "a.png")


@pytest.mark.parametrize("write", [as_parquet, as_tfrecord, as_webdataset, as_images])
def test_partitions_of_hive_are_columns(tmp_path: Path, write: Any) -> None:
    for name in ("country=de/day=2026%2D01", "country=__HIVE_DEFAULT_PARTITION__/day=2"):
        (tmp_path / name).mkdir(parents=True)
        write(tmp_path / name)
    records, _ = read(tmp_path, Columns(carry=("country", "day")))
    assert sorted((row["country"] or "", row["day"]) for row in records) == [("", "2"), ("de", "2026-01")]


def test_a_column_of_the_file_goes_before_its_folder_and_others_are_missed(tmp_path: Path) -> None:
    folder = tmp_path / "country=de" / "label=dog"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"image": [b"x", b"y"], "country": ["fr", None]}), folder / "a.parquet")
    records, _ = read(tmp_path, Columns(carry=("country",)))
    assert [(row["country"], row["labels"]) for row in records] == [("fr", ["dog"]), ("de", ["dog"])]
    with pytest.raises(UserError, match="column land: no such column"):
        read(tmp_path, Columns(carry=("land",)))


@pytest.mark.parametrize("source_id", [b"", b"0"])
def test_an_id_that_all_records_share_is_passed_over(tmp_path: Path, source_id: bytes) -> None:
    path = examples(
        tmp_path / "a.tfrecord",
        *({"image/source_id": [source_id], "image/encoded": [b"x"], "image/filename": [name]} for name in (b"a", b"b")),
    )
    records, warnings = read(path)
    assert [row["id"] for row in records] == ["a", "b"]
    assert bool(warnings) == bool(source_id)
    assert not warnings or warnings[0].startswith(
        "all of the first 2 records have the id '0', which identifies nothing"
    )


def test_records_without_a_useful_id_have_file_and_position(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["x", "x"], "image": [b"x", b"y"]}), tmp_path / "a.parquet")
    records, warnings = read(tmp_path / "a.parquet")
    assert [row["id"] for row in records] == [f"{tmp_path}/a.parquet#0", f"{tmp_path}/a.parquet#1"]
    assert len(warnings) == 1
    pq.write_table(pa.table({"id": ["x", "x", "y"], "image": [b"x", b"y", b"z"]}), tmp_path / "b.parquet")
    assert [row["id"] for row in read(tmp_path / "b.parquet")[0]] == ["x", "x", "y"]
