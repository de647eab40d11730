"""One corpus in every format: the same records, the same answers, and the same honesty about what is broken."""

import gzip
import shutil
from pathlib import Path
from typing import Any

import pytest

from bulklabel.model.errors import UserError
from bulklabel.model.images.demo_collages import BROKEN
from bulklabel.transforms.demo_formats import LAYOUTS, write_layout
from bulklabel.transforms.reading.find_shards import find_shards
from bulklabel.transforms.reading.readers import READERS
from bulklabel.transforms.reading.streams import stream_reader
from tests.conftest import DEFAULT, collage_rows, metrics_of, predictions_of, read_all, rejected_of, score


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a format, each with the same 500 records in two files, some of them odd."""
    folder = tmp_path_factory.mktemp("layouts")
    rows = collage_rows(500)
    for index, image in enumerate(BROKEN):
        rows[30 + 100 * index]["image"] = image
    for index in range(0, len(rows), 20):
        rows[index]["labels"] = None
    rows[7]["labels"] = ["zebra", 'naïve, "quoted"/<b>|\u2603', *rows[7]["labels"]]
    for input_format in LAYOUTS:
        for number in range(2):
            write_layout(input_format, str(folder / input_format), rows[250 * number : 250 * (number + 1)], number, 2)
    return folder


LABELS = tuple("0123456789")


def answers_by_id(output: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    columns = [name for name in predictions_of(output).column_names if name not in ("source", "position")]
    rows = {row["id"]: row for row in predictions_of(output).select(columns).to_pylist()}
    rejected = {row["id"]: (row["stage"], row["reason"]) for row in rejected_of(output)}
    return rows, rejected, {name: value for name, value in metrics_of(output).items() if name != "truth"}


def test_one_corpus_in_every_format_gives_the_same_answers(
    layouts: Path, model_directory: Path, tmp_path: Path
) -> None:
    answers = {}
    for input_format in READERS:
        assert score(layouts / input_format, model_directory, tmp_path / input_format) == 0
        answers[input_format] = answers_by_id(tmp_path / input_format)
    rows, rejected, metrics = answers["parquet"]
    assert len(rows) == 500 - len(BROKEN)
    assert len(rejected) == len(BROKEN)
    assert metrics["counts"]["records"] == 500
    assert metrics["unknown_labels"] == {"zebra": 1, 'naïve, "quoted"/<b>|\u2603': 1}
    for input_format in READERS:
        assert answers[input_format] == (rows, rejected, metrics), input_format


def test_training_reads_every_format(layouts: Path, tmp_path: Path) -> None:
    from bulklabel.pipelines.train import main

    networks = set()
    for input_format in ("webdataset", "images"):
        flags = [
            f"--input={layouts / input_format}",
            f"--output={tmp_path / input_format}",
            "--network=textbook",
            "--epochs=1",
        ]
        assert main([*flags, "--batch_size=256"]) == 0
        networks.add((tmp_path / input_format / "model.keras").stat().st_size)
    assert len(networks) == 1


def test_gzip_and_files_without_an_extension_are_recognised(layouts: Path, tmp_path: Path) -> None:
    for name, source in {
        "a.tfrecord.gz": "tfrecord/part-00000-of-00002.tfrecord",
        "b-00000-of-00001": "tfrecord/part-00000-of-00002.tfrecord",
        "unnamed_records": "tfrecord/part-00000-of-00002.tfrecord",
        "c.tar.gz": "webdataset/part-00000-of-00002.tar",
        "unnamed_tar": "webdataset/part-00000-of-00002.tar",
        "unnamed_table": "parquet/part-00000-of-00002.parquet",
    }.items():
        content = (layouts / source).read_bytes()
        (tmp_path / name).write_bytes(gzip.compress(content, 1) if name.endswith("gz") else content)
        expected, _ = read_all(layouts / source, labels=LABELS)
        records, unreadable = read_all(tmp_path / name, labels=LABELS)
        assert not unreadable
        assert [row["id"] for row in records] == [row["id"] for row in expected], name
        assert [row["image"] for row in records] == [row["image"] for row in expected], name


@pytest.mark.parametrize("input_format", READERS)
def test_links_to_folders_are_followed_and_one_that_leads_nowhere_is_a_rejected_record(
    layouts: Path, tmp_path: Path, input_format: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "far").symlink_to(layouts / input_format)
    (tmp_path / "in" / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "in" / f"gone.{'png' if input_format == 'images' else input_format}").symlink_to(tmp_path / "nowhere")
    records, unreadable = read_all(tmp_path / "in", input_format, labels=LABELS)
    assert len(records) == len(read_all(layouts / input_format, labels=LABELS)[0]) == 500
    missing = [reason for _, reason, _ in unreadable if reason == "missing_file"]
    assert len(missing) == 2 - (input_format in ("webdataset", "table"))  # files of these have other names
    (tmp_path / "in" / "far").unlink()
    with pytest.raises(UserError, match=r"a link to a file that is not there|of no known format"):
        find_shards([str(tmp_path / "in" / "gone*")], "auto", DEFAULT)


def test_an_output_in_a_linked_folder_is_not_read(layouts: Path, tmp_path: Path) -> None:
    shutil.copytree(layouts / "parquet", tmp_path / "far" / "run")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "far")
    with pytest.raises(UserError, match="there is nothing but the output"):
        find_shards([str(tmp_path / "in")], "auto", DEFAULT, str(tmp_path / "far" / "run"))


def test_what_is_of_no_format_or_of_two_is_one_line(layouts: Path, tmp_path: Path) -> None:
    shutil.copytree(layouts / "images" / "part-00000-of-00002", tmp_path / "mixed")
    shutil.copy(layouts / "webdataset" / "part-00000-of-00002.tar", tmp_path / "mixed")
    (tmp_path / "unknown").write_text("hello")
    for path, words in {
        "mixed": "the input mixes images and webdataset",
        "unknown": "has no known format; give it with --input_format",
        "nothing": "no file matches",
        "shard-{00..02}.tar": "shard-00.tar: no file matches",
        "{0..9}" * 7: "expands to more than 1,000,000 paths",
    }.items():
        with pytest.raises(UserError, match=words):
            find_shards([str(tmp_path / path)], "auto", DEFAULT)


def test_braces_are_expanded_unless_a_file_is_called_so(layouts: Path, tmp_path: Path) -> None:
    for number in (8, 9, 10):
        shutil.copy(layouts / "webdataset" / "part-00000-of-00002.tar", tmp_path / f"s-{number:02d}.tar")
    _, listed = find_shards([f"{tmp_path}/s-{{08..10}}.tar"], "auto", DEFAULT)
    assert [Path(file.path).name for file in listed.files] == ["s-08.tar", "s-09.tar", "s-10.tar"]
    shutil.copy(tmp_path / "s-08.tar", tmp_path / "s-{08..10}.tar")
    _, listed = find_shards([f"{tmp_path}/s-{{08..10}}.tar"], "auto", DEFAULT)
    assert [Path(file.path).name for file in listed.files] == ["s-{08..10}.tar"]


@pytest.mark.parametrize("input_format", ["tfrecord", "webdataset"])
def test_a_large_file_is_many_shards_with_the_same_records(
    layouts: Path, input_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = (layouts / input_format).glob("part-00000*")
    whole = read_all(path, labels=LABELS)
    monkeypatch.setattr(stream_reader, "SPLIT_BYTES", 0)
    monkeypatch.setattr(stream_reader, "SHARD_RECORDS", 80)
    _, planned = find_shards([str(path)], "auto", DEFAULT)
    assert [shard.records for shard in planned.shards] == [80, 80, 80, None]
    assert [shard.position for shard in planned.shards] == [0, 80, 160, 240]
    assert read_all(path, labels=LABELS) == whole


@pytest.mark.parametrize("split_bytes", [0, 2**30])
@pytest.mark.parametrize("input_format", ["tfrecord", "webdataset"])
def test_a_torn_file_gives_what_came_before_and_one_rejected_record(
    layouts: Path, tmp_path: Path, input_format: str, split_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_reader, "SPLIT_BYTES", split_bytes)
    monkeypatch.setattr(stream_reader, "SHARD_RECORDS", 80)
    (path,) = (layouts / input_format).glob("part-00000*")
    expected, _ = read_all(path, labels=LABELS)
    content = path.read_bytes()
    for cut in (len(content) // 2, len(content) // 2 + 100, len(content) - 12_000, 300):
        torn = tmp_path / path.name
        torn.write_bytes(content[:cut])
        records, unreadable = read_all(torn, labels=LABELS)
        whole = [row | {"source": str(torn)} for row in expected[: len(records)]]
        assert records == whole
        assert [row[:2] for row in unreadable] == [(len(records), "torn_file")]
