"""Random nights of `--since`, against the oracle of scoring everything anew: the same records, the same answers."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from bulklabel.model.errors import UserError
from bulklabel.transforms.files import planned_files
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.reuse.earlier_runs import find_earlier_runs
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE
from bulklabel.transforms.run_directory.parts import PREDICTIONS, REUSED
from bulklabel.transforms.run_directory.plan import Plan, add_reused_of_parts
from tests.conftest import predictions_of, rejected_of, write_parquet
from tests.support.cheap_runs import cheap_plan, cheap_run, picture

Row = dict[str, Any]

NAMES = ["a", "b", "c", "d"]
KEPT = "kept"
"""A file that always stays, since an input must not be empty."""

COLOURS = st.lists(st.integers(0, 2), min_size=1, max_size=4)
"""What is in a file: few colours, so that images repeat; 0 is no image at all."""


@dataclass(frozen=True)
class Night:
    """A run that has finished, and how it was asked."""

    output: Path
    by_content: bool


def rows_of(output: Path) -> dict[tuple[str, int], Row]:
    """All that a run has of its records but whether their images are known by their bytes, by file and place."""
    predictions = predictions_of(output).to_pylist() if [*output.glob("predictions/*")] else []
    rows = [*predictions, *rejected_of(output)]
    assert len({(row["source"], row["position"]) for row in rows}) == len(rows), "a record is there twice"
    return {(row["source"], row["position"]): row for row in rows}


def without(row: Row, *names: str) -> Row:
    return {name: value for name, value in row.items() if name not in names}


class Nights(RuleBasedStateMachine):
    """Files come, change and go; each night some earlier runs are named, and their answers left out or taken over."""

    kind = "images"
    by_bytes = False

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(os, "fsync", lambda _: None)  # most of the time of a run of so few images
        self.folder = Path(tempfile.mkdtemp())
        self.input = self.folder / "input"
        self.input.mkdir()
        self.clock = 1_000
        self.nights: list[Night] = []
        self.put(KEPT, [1])

    def teardown(self) -> None:
        shutil.rmtree(self.folder)
        self.patch.undo()

    def path(self, name: str) -> Path:
        return self.input / f"{name}.{'bmp' if self.kind == 'images' else 'parquet'}"

    def dated(self, path: Path) -> None:
        self.clock += 1
        os.utime(path, (self.clock, self.clock))

    @rule(name=st.sampled_from([*NAMES, KEPT]), colours=COLOURS)
    def put(self, name: str, colours: list[int]) -> None:
        images = [picture(colour, 0) if colour else b"broken" for colour in colours]
        if self.kind == "images":
            self.path(name).write_bytes(images[0])
        else:
            rows = [{"id": f"{name}{at}", "image": image, "labels": ["cat"]} for at, image in enumerate(images)]
            write_parquet(self.path(name), rows, row_group_size=2)
        self.dated(self.path(name))

    @rule(name=st.sampled_from(NAMES), other=st.sampled_from(NAMES), keep=st.booleans())
    def move(self, name: str, other: str, keep: bool) -> None:
        if self.path(name).exists() and name != other:
            (shutil.copy2 if keep else os.replace)(self.path(name), self.path(other))

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)

    @rule(name=st.sampled_from([*NAMES, KEPT]))
    def touch(self, name: str) -> None:
        if self.path(name).exists():
            self.dated(self.path(name))

    @rule(
        ago=st.lists(st.integers(1, 3), unique=True, max_size=3),
        by_content=st.sampled_from([True, True, False]),
        carry_over=st.booleans(),
        threshold=st.sampled_from(["0.2", "0.003", None]),
    )
    def night(self, ago: list[int], by_content: bool, carry_over: bool, threshold: str | None) -> None:
        earlier = [self.nights[-nights] for nights in ago if nights <= len(self.nights)]
        earlier = [night for night in earlier if night.by_content or not by_content]
        output = self.folder / f"night{len(self.nights)}"
        plan = cheap_plan(
            [self.input],
            output,
            [night.output for night in earlier],
            carry_over and bool(earlier),
            by_content,
            threshold=threshold,
            by_bytes=self.by_bytes,
        )
        cheap_run(plan, output)
        self.compare(plan, output, [night.output for night in earlier])
        self.nights.append(Night(output, by_content))

    def compare(self, plan: Plan, output: Path, since: list[Path]) -> None:
        """Compares a night with a run that scores everything."""
        anew = self.folder / "anew"
        cheap_run(
            cheap_plan(
                [self.input],
                anew,
                by_content=plan.recipe.by_content,
                threshold=str(plan.recipe.thresholds[0]),
                by_bytes=self.by_bytes,
            ),
            anew,
        )
        wanted, made = rows_of(anew), rows_of(output)
        shutil.rmtree(anew)
        before = [rows_of(path) for path in since]
        assert made.items() <= wanted.items()
        if plan.recipe.carry_over or not since:
            assert made == wanted
        for place in wanted.keys() - made.keys():
            answers = [rows[place] for rows in before if place in rows]
            if plan.recipe.by_content:
                content = wanted[place]["content"]
                answers += [row for rows in before for row in rows.values() if row["content"] == content]
            names = ("id", "source", "position", "predicted", "labels", "content", "format", "size")
            assert any(without(row, *names) == without(wanted[place], *names) for row in answers), place
        if plan.reused is not None:
            entries = json.loads((output / MANIFEST_FILE).read_bytes())[PREDICTIONS]
            reused = add_reused_of_parts(plan.reused, [entry.get(REUSED, ()) for entry in entries])
            counted = sum(run.scored + run.rejected for run in reused)
            left_out = counted if not plan.recipe.carry_over else 0
            assert left_out + len(made) == len(wanted)


class NightsOfParquet(Nights):
    kind = "parquet"


class NightsOfSilentChanges(Nights):
    """Files are rewritten in place as well, with their size and their time, which `--identity content` alone sees."""

    by_bytes = True

    @rule(name=st.sampled_from([*NAMES, KEPT]), colours=COLOURS)
    def rewrite(self, name: str, colours: list[int]) -> None:
        if self.path(name).exists():
            before = self.path(name).stat()
            self.put(name, colours)
            os.utime(self.path(name), ns=(before.st_atime_ns, before.st_mtime_ns))
            planned_files._hash_of_version.cache_clear()  # a process trusts times between two of its shards

    @rule(name=st.sampled_from([*NAMES, KEPT]), colours=COLOURS, shard=st.sampled_from([0, 0, 1]), kill=st.booleans())
    def rewrite_while_a_run_goes_on(self, name: str, colours: list[int], shard: int, kill: bool) -> None:
        """Whatever comes out of it is an answer to what was planned, or a rejection; and it is no other plan's."""
        planned, output = self.folder / "planned", self.folder / "meanwhile"
        plan = cheap_plan([self.input], output, by_bytes=True)
        cheap_run(cheap_plan([self.input], planned, by_bytes=True), planned)

        def change(at: Shard) -> None:
            if at.index == shard:
                self.rewrite(name, colours)
                if kill:
                    raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            cheap_run(plan, output, before=change)
            wanted, made = rows_of(planned), rows_of(output)
            kept = {place: row for place, row in made.items() if row.get("reason") != "changed_source"}
            assert kept.items() <= wanted.items()
            assert made.keys() <= wanted.keys()
            assert len(made) == len(wanted)
        again = cheap_plan([self.input], output, by_bytes=True)
        if again == plan:
            cheap_run(again, output)
            assert rows_of(output) == rows_of(planned)
        else:
            with pytest.raises(UserError, match="holds another plan"):
                cheap_run(again, output)
        shutil.rmtree(planned)
        shutil.rmtree(output)


class NightsOfSilentChangesOfParquet(NightsOfSilentChanges):
    kind = "parquet"


for machine in (Nights, NightsOfParquet, NightsOfSilentChanges, NightsOfSilentChangesOfParquet):
    machine.TestCase.settings = settings(
        max_examples=20, stateful_step_count=14, suppress_health_check=list(HealthCheck), print_blob=False
    )
TestNights, TestNightsOfParquet = Nights.TestCase, NightsOfParquet.TestCase
TestSilentChanges, TestSilentChangesOfParquet = (
    NightsOfSilentChanges.TestCase,
    NightsOfSilentChangesOfParquet.TestCase,
)


@pytest.fixture(params=[Nights, NightsOfParquet])
def nights(request: pytest.FixtureRequest) -> Iterator[Nights]:
    made: Nights = request.param()
    yield made
    made.teardown()


def test_an_image_that_a_run_left_out_since_it_was_known_is_taken_from_the_run_that_has_it(nights: Nights) -> None:
    """The second run lists the file by its new name, and has no row of it."""
    nights.put("a", [2])
    nights.night([], by_content=True, carry_over=False, threshold=None)
    nights.move("a", "b", keep=False)
    nights.night([1], by_content=True, carry_over=False, threshold=None)
    assert not rows_of(nights.nights[-1].output)
    nights.night([1, 2], by_content=True, carry_over=True, threshold=None)
    assert len(rows_of(nights.nights[-1].output)) == 2
    nights.night([2], by_content=False, carry_over=True, threshold=None)
    assert len(rows_of(nights.nights[-1].output)) == 2


def test_answers_of_a_run_that_knew_its_images_are_carried_over_by_one_that_does_not(nights: Nights) -> None:
    nights.put("a", [0, 2, 0])
    nights.night([], by_content=True, carry_over=False, threshold=None)
    nights.night([1], by_content=False, carry_over=True, threshold="0.2")
    assert "content" not in next(iter(rows_of(nights.nights[-1].output).values()))


@pytest.mark.parametrize("kind", [NightsOfSilentChanges, NightsOfSilentChangesOfParquet])
@pytest.mark.parametrize("kill", [False, True])
def test_a_silent_change_while_a_run_goes_on_is_seen_by_who_looks_at_bytes(kind: type[Nights], kill: bool) -> None:
    nights: Any = kind()
    nights.put(KEPT, [2, 2])
    nights.rewrite_while_a_run_goes_on(name=KEPT, colours=[1, 1], shard=0, kill=kill)
    nights.teardown()


@pytest.mark.parametrize("written", ["latest", "night0/../night0/", ".//night0", "latest/../night0"])
def test_a_run_is_known_by_its_place_however_that_is_written(nights: Nights, written: str) -> None:
    nights.night([], by_content=False, carry_over=False, threshold=None)
    (nights.folder / "latest").symlink_to("night0", target_is_directory=True)
    since = f"{nights.folder}/{written}"
    with pytest.raises(UserError, match="is the output itself"):
        find_earlier_runs([since], str(nights.folder / "night0"), carry_over=True, by_content=False)
    earlier = find_earlier_runs([since, str(nights.folder / "night0")], "/elsewhere", carry_over=True, by_content=False)
    assert earlier.paths == [str(nights.folder.resolve() / "night0")]
    assert [run.path for run in earlier.runs] == [since]


def test_a_folder_that_is_given_twice_is_read_once(nights: Nights) -> None:
    nights.put("a", [1])
    (nights.folder / "link").symlink_to("input", target_is_directory=True)
    once = cheap_plan([nights.input], nights.folder / "run")
    for again in (nights.folder / "link", f"{nights.folder}/link/../input//"):
        assert cheap_plan([nights.input, again], nights.folder / "run") == once
