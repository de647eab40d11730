"""What may not grow with the number of shards: the graph, and what a shard reads of the plan."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from bulklabel.model.errors import StoreError
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.reading.records import Problem, Shard
from bulklabel.transforms.run_directory.file_names import PLAN_FILE
from bulklabel.transforms.run_directory.parts import PartStamp
from bulklabel.transforms.run_directory.plan import DIGEST_BYTES, Plan, ReusedRecords, read_plan
from bulklabel.transforms.run_directory.planned_shards import ListShards, planned_shards
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from tests.durability.forked import SHARDS

RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


@pytest.fixture(scope="module")
def plan(finished: Path) -> Plan:
    """Of the finished run, made of shards of every kind."""
    shards = (
        Shard(0, "a.parquet", 3, 5, 300, 200),
        Shard(1, "b.tar", 0, None, 0, None, problem=Problem("damaged", "nothing \udcff ends")),
        Shard(2, "folder", 0, 2, 0, 2, ("ü/\udcfe.png", "\ud83d\ude00.png"), metadata="folder/metadata.csv"),
        Shard(3, "folder", 0, 1, 0, 1, ("x.png",), reused=(1, 7)),
    )
    return replace(read_plan((finished / PLAN_FILE).read_bytes()), shards=shards, inputs=(File("a", 1, "2"),))


def read_shards(output: Path, stamp: PartStamp, expected: list[Shard]) -> None:
    with beam.Pipeline(runner=RUNNER, argv=[]) as root:
        assert_that(
            root | beam.Impulse() | ListShards(partial(planned_shards, RunDirectory(str(output), stamp))),
            equal_to(expected),
        )


@pytest.mark.parametrize("reused", [None, (ReusedRecords("r", "d", 3, 4),)])
def test_shards_come_back_from_the_file_as_they_were_planned(
    plan: Plan, tmp_path: Path, reused: tuple[ReusedRecords, ...] | None
) -> None:
    known = replace(plan, reused=reused)
    (tmp_path / PLAN_FILE).write_bytes(known.to_json())
    assert read_plan(known.to_json()) == known
    read_shards(tmp_path, plan.stamp, list(plan.shards))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda _: b"", "another run replaced|somebody deleted"),
        (lambda content: content[:-40], "is damaged .*; delete it and run the same command with --overwrite"),
        (lambda content: content.replace(b"a.parquet", b"c.parquet"), "is damaged .it is not what its own digest"),
    ],
)
def test_a_plan_that_was_changed_ends_the_run(
    plan: Plan, tmp_path: Path, changed: Callable[[bytes], bytes], words: str
) -> None:
    (tmp_path / PLAN_FILE).write_bytes(changed(plan.to_json()))
    with pytest.raises(StoreError, match=words):
        read_shards(tmp_path, plan.stamp, [])


def test_a_plan_that_another_one_replaces_at_the_last_moment_ends_the_run(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run's is there between asking whose it is and reading it."""
    (tmp_path / PLAN_FILE).write_bytes(plan.to_json())
    read = files.read

    def replaced(path: str) -> bytes:
        Path(path).write_bytes(replace(plan, shards=plan.shards[:1]).to_json())
        return read(path)

    monkeypatch.setattr(files, "read", replaced)
    with pytest.raises(StoreError, match="another run replaced this one's plan"):
        read_shards(tmp_path, plan.stamp, [])


@pytest.mark.parametrize("shards", [1, 100_000, 100_001, 300_000])
def test_the_names_of_parts_are_in_the_order_of_the_shards(shards: int) -> None:
    stamp = PartStamp("0123456789abcdef", "", shards)
    names = [stamp.name_of("predictions", index) for index in range(shards)]
    assert names == sorted(names)
    assert not stamp.is_foreign(f"/{names[-1]}")


def graph_bytes(plan: Plan, shards: int, names: int, output: Path) -> int:
    """The size of the graph of a run, which travels to the runner, of so many shards of so many images each."""
    from bulklabel.model.metrics import Goal
    from bulklabel.pipelines.score import Job, build
    from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
    from bulklabel.transforms.evaluating.publication import Publication
    from bulklabel.transforms.run_directory.manifest import launch_of, now, provenance_of
    from bulklabel.transforms.scoring.load_scorer import load_scorer

    images = tuple(f"folder/picture-{number:09d}.png" for number in range(names))
    made = [Shard(index, f"{index:09d}", 0, names, 0, names, images) for index in range(shards)]
    large = replace(plan, shards=tuple(made), inputs=tuple(File(shard.source, 1, "1") for shard in made))
    root = beam.Pipeline(runner=RUNNER, argv=[])
    scorer = OncePerProcess(load_scorer, "model", large.recipe.model_digest)
    about = provenance_of(large, "model")
    recipe = large.recipe
    publication = Publication(str(output), recipe.labels, recipe.thresholds, about, Goal(), reused=large.reused)
    build(root, Job(large, scorer, launch_of({"model": "model"}, now()), publication))
    return len(root.to_runner_api().SerializeToString())


def test_the_graph_does_not_grow_with_the_plan(plan: Plan, tmp_path: Path) -> None:
    small = graph_bytes(plan, 10, 1, tmp_path)
    assert abs(graph_bytes(plan, 10_000, 1, tmp_path) - small) < 500  # numbers have more digits
    assert abs(graph_bytes(plan, 10, 1000, tmp_path) - small) < 500
    assert small < 500_000


def looks(flags: list[str], monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a run asked for files whose size may grow with its plan, and for lists of them."""
    from bulklabel.pipelines.score import main

    counted: Counter[str] = Counter()

    def count(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def counting(path: str, *arguments: int) -> Any:
            assert name != "read_start" or arguments <= (DIGEST_BYTES,)
            counted[f"{name} {Path(path).name}" if Path(path).suffix == ".json" else name] += 1
            return operation(path, *arguments)

        return counting

    with monkeypatch.context() as patch:
        for name in ("read", "read_start", "list_folder", "exists"):
            patch.setattr(files, name, count(name, getattr(files, name)))
        assert main(flags) == 0
    return counted


def test_no_shard_reads_the_whole_plan_or_lists_the_output(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a shard costs would grow with the number of shards, and the run with its square."""
    source, model = tiny
    few = looks([f"{source}/0.parquet", model, f"--output={tmp_path / 'few'}"], monkeypatch)
    many = looks([source, model, f"--output={tmp_path / 'many'}"], monkeypatch)
    more = many - few
    assert more.keys() <= {"read", "read_start plan.json"}  # parts that are not there yet; whose the output is
    assert more["read"] == SHARDS - 1
    assert more["read_start plan.json"] == 4 * (SHARDS - 1)
