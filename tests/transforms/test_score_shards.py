"""The next shard is scored while one is written: each comes out once, in order, the last at the end of the bundle."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulklabel.model.errors import SourceChangedError
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.scoring.score_shards import ScoreShards
from tests.conftest import write_parquet
from tests.support.cheap_runs import CheapScorer, cheap_plan, picture

ROWS = [{"id": "a", "image": picture(255, 0), "labels": ["cat"]}]

Begun = tuple[ScoreShards, list[Shard]]


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Begun]:
    """The step at the start of a bundle, and its three shards."""
    files = [write_parquet(tmp_path / f"{number}.parquet", ROWS) for number in range(3)]
    plan = cheap_plan(files, tmp_path / "out")
    directory = RunDirectory(str(tmp_path / "out"), plan.stamp)
    directory.start(plan, overwrite=False)
    network: Any = OncePerProcess(CheapScorer)
    step = ScoreShards(directory, plan.recipe, network, stop_if_changed=True)
    step.setup()
    step.start_bundle()
    yield step, list(plan.sourced_shards())
    step.teardown()


def shards_of(outputs: Any) -> list[int]:
    return [getattr(output, "value", output).shard.index for output in outputs]


def test_each_shard_comes_out_once_and_one_later_than_it_went_in(begun: Begun) -> None:
    step, shards = begun
    assert [shards_of(step.process(shard)) for shard in shards] == [[], [0], [1]]
    assert shards_of(step.finish_bundle()) == [2]
    assert shards_of(step.finish_bundle()) == []


def test_a_shard_that_fails_fails_its_bundle_and_leaves_nothing_to_the_next(begun: Begun, tmp_path: Path) -> None:
    step, shards = begun
    write_parquet(tmp_path / "1.parquet", ROWS * 2)
    assert shards_of(step.process(shards[0])) == []
    assert shards_of(step.process(shards[1])) == [0]
    with pytest.raises(SourceChangedError):
        list(step.process(shards[2]))
    step.start_bundle()
    assert shards_of(step.process(shards[2])) == []
    assert shards_of(step.finish_bundle()) == [2]
