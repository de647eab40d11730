"""Thumbnails of examples, read again from every format; and what becomes of them if the input is not what it was."""

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.testing.util import assert_that, equal_to

from bulklabel.model.images.decode import decode_whole
from bulklabel.model.images.demo_collages import BROKEN
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.report.gallery import Thumbnail, gallery, make_thumbnail
from bulklabel.model.statistic import Statistic
from bulklabel.model.statistic.examples import Examples
from bulklabel.pipelines.runners.in_process import LocalRunner
from bulklabel.transforms.demo_formats import LAYOUTS, write_layout
from bulklabel.transforms.evaluating import thumbnails
from bulklabel.transforms.evaluating.thumbnails import MakeThumbnails, choose_records, thumbnails_of
from bulklabel.transforms.reading.find_shards import find_shards
from bulklabel.transforms.reading.records import RECORD_SCHEMA, Shard
from bulklabel.transforms.run_directory.plan import Recipe
from tests.conftest import DEFAULT, collage_rows, png, read_all

FILES, RECORDS = 3, 60
LABELS = ("cat", "dog")
Corpus = Callable[[str], Path]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Makes three files of sixty records in a format: collages, and photographs that the network sees much smaller."""

    def make(input_format: str) -> Path:
        rows = collage_rows(FILES * RECORDS)
        photograph = np.random.default_rng(0).integers(0, 256, (300, 200, 3)).astype(np.uint8)
        for index in range(0, len(rows), 9):
            rows[index]["image"] = png(np.roll(photograph, index, 0), format="JPEG")
        for number in range(FILES):
            part = rows[number * RECORDS : (number + 1) * RECORDS]
            write_layout(input_format, str(tmp_path / input_format), part, number, FILES)
        return tmp_path / input_format

    return make


def plan(path: Path) -> tuple[tuple[Shard, ...], Recipe]:
    input_format, planned = find_shards([str(path)], "auto", DEFAULT)
    versions = {"numpy": np.__version__}
    recipe = Recipe(
        input_format,
        DEFAULT,
        "",
        LABELS,
        Preprocessing(8, 8),
        (0.5, 0.5),
        None,
        "wide",
        batch_size=16,
        versions=versions,
    )
    return planned.shards, recipe


def examples_of(path: Path, keep: int = 6) -> Examples:
    """Examples of a network that guesses, of all shards."""
    shards, _ = plan(path)
    several = []
    for shard in shards:
        rows = [row for row in read_all(path, labels=None)[0] if in_shard(row, shard)]
        assert len(rows) == RECORDS
        random = np.random.default_rng(shard.index)
        truth, probabilities = (
            random.integers(-1, 2, (RECORDS, 2)).astype(np.int8),
            random.random((RECORDS, 2), np.float32),
        )
        records = pa.Table.from_pylist(rows, RECORD_SCHEMA)
        several.append(Examples.from_batch(truth, probabilities, [0.5, 0.5], records, shard.index, keep))
    return Examples.merge(several)


def in_shard(row: dict[str, Any], shard: Shard) -> bool:
    names = [f"{shard.source}/{name}" for name in shard.names] or [shard.source]
    return row["source"] in names


def places_of(examples: Examples) -> set[tuple[str, int]]:
    return {(row["source"], row["position"]) for row in examples.table.to_pylist()}


def again(before: tuple[tuple[Shard, ...], Recipe], examples: Examples) -> list[Thumbnail]:
    """The thumbnails that are made now, without a pipeline."""
    shards, recipe = before
    wanted = choose_records(examples.table, [0, 0])
    return [thumbnail for shard in shards for thumbnail in thumbnails_of(shard, wanted.get(shard.index, {}), recipe)]


@pytest.mark.parametrize("input_format", list(LAYOUTS))
def test_every_example_has_the_thumbnail_of_its_image(input_format: str, corpus: Corpus) -> None:
    path = corpus(input_format)
    shards, recipe = plan(path)
    examples = examples_of(path)
    assert set(examples.table.column("shard").to_pylist()) == {0, 1, 2}
    images = {(row["source"], row["position"]): row["image"] for row in read_all(path, labels=None)[0]}
    expected = [(*place, make_thumbnail(images[place])) for place in places_of(examples)]
    assert {decode_whole(thumbnail).shape for *_, thumbnail in expected} == {(32, 32, 3), (96, 64, 3)}
    root = beam.Pipeline(runner=LocalRunner())
    statistic = root | "Statistic" >> beam.Create([replace(Statistic.zero(2), examples=examples)])
    made = statistic | MakeThumbnails(root | "Shards" >> beam.Create(shards), recipe)
    assert_that(made, equal_to(expected))
    result = root.run()
    missing = result.metrics().query(MetricsFilter().with_name("thumbnails_missing"))["counters"]
    assert sum(counter.committed for counter in missing) == 0
    drawn = gallery(examples, expected)
    assert all(row["thumbnail"] is not None for row in drawn["records"])
    assert len(drawn["thumbnails"]) == len(expected)


def test_no_examples_make_no_thumbnails(corpus: Corpus) -> None:
    shards, recipe = plan(corpus("parquet"))
    with beam.Pipeline(runner=LocalRunner()) as root:
        statistic = root | "Statistic" >> beam.Create([Statistic.zero(2)])
        made = statistic | MakeThumbnails(root | "Shards" >> beam.Create(shards), recipe)
        assert_that(made, equal_to([]))


def vanish(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def replace_by_nonsense(path: Path) -> None:
    for file in [path] if path.is_file() else path.iterdir():
        file.write_bytes(b"nonsense" * 100)


def empty(path: Path) -> None:
    for file in [path] if path.is_file() else path.iterdir():
        file.write_bytes(b"")


def move(path: Path) -> None:
    """Put other records, with other ids, where these were."""
    path.rename(path.with_name("kept"))
    rows = [row | {"id": f"other-{row['id']}"} for row in collage_rows(RECORDS)]
    LAYOUTS[path.parent.name](str(path.with_suffix("")), rows)
    vanish(path.with_name("kept"))


@pytest.mark.parametrize("change", [vanish, replace_by_nonsense, empty, move])
@pytest.mark.parametrize("input_format", list(LAYOUTS))
def test_what_is_not_there_any_more_has_no_thumbnail(
    input_format: str, change: Callable[[Path], None], corpus: Corpus
) -> None:
    path = corpus(input_format)
    before, examples = plan(path), examples_of(path)
    whole = again(before, examples)
    (changed,) = path.glob("part-00001*")
    change(changed)
    assert {thumbnail[:2] for thumbnail in whole} == places_of(examples)
    assert again(before, examples) == [thumbnail for thumbnail in whole if not thumbnail[0].startswith(str(changed))]


def test_a_torn_file_gives_what_comes_before_and_an_image_that_changed_nothing(corpus: Corpus) -> None:
    path = corpus("tfrecord")
    before, examples = plan(path), examples_of(path)
    whole = again(before, examples)
    torn = path / "part-00001-of-00003.tfrecord"
    torn.write_bytes(torn.read_bytes()[: torn.stat().st_size // 2])
    left = again(before, examples)
    assert [thumbnail for thumbnail in whole if thumbnail in left] == left
    assert 0 < len(left) < len(whole)
    assert any(thumbnail[0] == str(torn) for thumbnail in left)

    path = corpus("images")
    before, examples = plan(path), examples_of(path)
    whole = again(before, examples)
    for thumbnail, content in zip(whole, (*BROKEN, None), strict=False):
        Path(thumbnail[0]).unlink() if content is None else Path(thumbnail[0]).write_bytes(content)
    assert again(before, examples) == whole[len(BROKEN) + 1 :]


def test_an_image_whose_decoder_hangs_has_no_thumbnail(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    path = corpus("parquet")
    (shard, *_), recipe = plan(path)
    rows = read_all(path, labels=None)[0][:3]
    for_ever = threading.Event()

    def sometimes_hanging(data: bytes | None, *arguments: Any) -> bytes:
        if data == rows[1]["image"]:
            for_ever.wait()
        return make_thumbnail(data, *arguments)

    monkeypatch.setattr(thumbnails, "make_thumbnail", sometimes_hanging)
    wanted = {(row["source"], row["position"]): row["id"] for row in rows}
    made = thumbnails_of(shard, wanted, replace(recipe, decode_seconds=0.5))
    for_ever.set()
    assert [position for _, position, _ in made] == [0, 2]


def test_thumbnails_are_bounded_and_those_of_the_worst_labels_come_first(corpus: Corpus) -> None:
    examples = examples_of(corpus("parquet"))
    of_label = [
        {(row["source"], row["position"]) for row in examples.table.to_pylist() if row["label"] == label}
        for label in (0, 1)
    ]
    few = choose_records(examples.table, [3, 5], most=len(of_label[1]))
    assert {place for places in few.values() for place in places} == of_label[1]
    tied = choose_records(examples.table, [5, 5], most=len(of_label[0]))
    assert {place for places in tied.values() for place in places} == of_label[0]
    every = choose_records(examples.table, [3, 5])
    assert {place for places in every.values() for place in places} == of_label[0] | of_label[1]
    rows = {(row["shard"], row["source"], row["position"], row["id"]) for row in examples.table.to_pylist()}
    assert {(shard, *place, name) for shard, places in every.items() for place, name in places.items()} == rows
