"""The promises of a run: commands in one store in memory, stopped and killed at any file operation.

Inputs change, runs of several plans come with and without `--overwrite`, are asked for this and that, and are
evaluated, several at a time. Whatever happens, what `_SUCCESS` says to whoever reads it is true.
"""

import functools
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bulklabel.model.errors import StoreError, UserError
from bulklabel.model.images.resize import Preprocessing
from bulklabel.transforms.files.stores.path_names import TEMPORARY
from bulklabel.transforms.reading.records import Columns, Shard
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, METRICS_FILE, PLAN_FILE, SUCCESS_FILE
from bulklabel.transforms.run_directory.manifest import entry_of
from bulklabel.transforms.run_directory.parts import PART_KINDS, PREDICTIONS, REJECTED, Part, PartStamp, make_part
from bulklabel.transforms.run_directory.places import place_fault
from bulklabel.transforms.run_directory.plan import Plan, Recipe, read_plan
from bulklabel.transforms.run_directory.run_directory import State
from tests.support.runs_in_memory import (
    FOLDER,
    FolderInMemory,
    Process,
    RunInMemory,
    StillFiles,
    Store,
)

EVALUATED = "/evaluated"
"""The folder of evaluations."""

NOTES = "notes.txt"
"""A file of the user's, which no run may touch."""

RECIPE = Recipe(
    input_format="parquet",
    columns=Columns(),
    model_digest="m",
    labels=("cat",),
    preprocessing=Preprocessing(8, 8),
    thresholds=(0.5,),
    tuned_thresholds=None,
    layout="wide",
    batch_size=1,
    versions={},
)

Input = tuple[tuple[str, ...], ...]
"""The records of each row group of the one input file."""

INPUTS: tuple[Input, ...] = ((("a",), ("b",)), (("a", "bad", "c"),), (("a", "bad"), ("b",)))
"""What the file holds at first, and what it may become while commands are at work: each group has another size."""

SOURCE, BAD = "a.parquet", "bad"

ASKED = ("", "holds", "fails")
"""What is required of a run besides the plan."""


def plan_of(contents: Input, threshold: float) -> Plan:
    starts = itertools.accumulate(map(len, contents), initial=0)
    shards = (
        Shard(index, SOURCE, index, index + 1, start, len(group))
        for index, (start, group) in enumerate(zip(starts, contents, strict=False))
    )
    return Plan(inputs=(), shards=tuple(shards), recipe=replace(RECIPE, thresholds=(threshold,)))


def parts_of(contents: Input, plan: Plan, shard: Shard) -> list[Part]:
    """The two parts of a shard, read, scored and checked as a run does, from a file that may have changed meanwhile."""
    records = contents[shard.start] if shard.start < len(contents) else ()
    return parts_with(records, shard, plan.recipe.thresholds[0], plan.stamp)


@functools.cache
def parts_with(records: tuple[str, ...], shard: Shard, threshold: float, stamp: PartStamp) -> list[Part]:
    """The parts of a shard that has these records; the same few are asked for thousands of times."""
    rows = [{"source": SOURCE, "position": shard.position + number, "id": text} for number, text in enumerate(records)]
    schema = pa.schema({"source": pa.string(), "position": pa.int64(), "id": pa.string(), "answer": pa.float64()})
    good = [row | {"answer": threshold * len(str(row["id"]))} for row in rows if row["id"] != BAD]
    bad = [row for row in rows if row["id"] == BAD]
    tables = {PREDICTIONS: pa.Table.from_pylist(good, schema), REJECTED: pa.Table.from_pylist(bad, schema)}
    fault = place_fault(shard, RECIPE, *tables.values())
    if fault:
        raise StoreError(fault)
    return [make_part(kind, shard, table, stamp) for kind, table in tables.items()]


@dataclass(frozen=True)
class Fresh:
    """What a run of a plan leaves that nothing disturbed."""

    plan: Plan
    records: int
    parts: Mapping[str, Part]

    def metrics(self, asked: str) -> bytes:
        return metrics_of(self.plan, [*self.parts.values()], asked)


def metrics_of(plan: Plan, parts: Sequence[Part], asked: str) -> bytes:
    scored, rejected = (sum(len(part.table) for part in parts if part.name.startswith(kind)) for kind in PART_KINDS)
    digest = hashlib.sha256(b"".join(sorted(part.content for part in parts))).hexdigest()
    return json.dumps({"plan": plan.digest, "asked": asked, "counts": [scored, rejected], "of": digest}).encode()


def fresh(contents: Input, threshold: float) -> Fresh:
    plan = plan_of(contents, threshold)
    parts = {part.name: part for shard in plan.shards for part in parts_of(contents, plan, shard)}
    return Fresh(plan, sum(map(len, contents)), parts)


RUNS = {
    (number, threshold): fresh(contents, threshold)
    for number, contents in enumerate(INPUTS)
    for threshold in (0.5, 0.6)
}
"""By input and threshold. The parts of two runs that differ in the threshold have the same sizes."""

BY_PLAN = {run.plan.digest: run for run in RUNS.values()}

CLOCK = itertools.count()
"""What differs in the manifests of two runs of one plan."""


@dataclass
class World:
    """The store, and the input file as it is now."""

    store: Store
    contents: Input = INPUTS[0]


def score(world: World, process: Process, plan: Plan, overwrite: bool, asked: str) -> str:
    """What `bulklabel score` does with its folder."""
    directory = RunInMemory(FOLDER, plan.stamp, process)
    state = directory.state(plan, overwrite)
    stated = directory.stated_manifest() if state is State.FINISHED else None
    if stated is not None and json.loads(stated)["require"] == asked:
        return "nothing to do"
    if state is State.FINISHED:
        directory.reopen()
    else:
        directory.start(plan, overwrite)
    directory.read(PLAN_FILE)
    parts = [part for shard in plan.shards for part in made(world, directory, plan, shard)]
    about = entry_of(PLAN_FILE, directory.read(PLAN_FILE))
    metrics = metrics_of(plan, parts, asked)
    manifest = {
        "plan": plan.digest,
        "require": asked,
        "accepted": asked != "fails",
        "ended": next(CLOCK),
        "published": [about, entry_of(METRICS_FILE, metrics)],
    }
    manifest |= {kind: [part.entry for part in parts if part.name.startswith(kind)] for kind in PART_KINDS}
    directory.publish({METRICS_FILE: metrics}, json.dumps(manifest).encode())
    return "finished" if manifest["accepted"] else "gate failed"


def made(world: World, directory: RunInMemory, plan: Plan, shard: Shard) -> list[Part]:
    """The parts of a shard: those that are there if both are, else new ones."""
    kept = [part for kind in PART_KINDS if (part := directory.read_part(kind, shard)) is not None]
    if len(kept) == len(PART_KINDS):
        return kept
    parts = parts_of(world.contents, plan, shard)
    for part in parts:
        directory.write(part.name, part.content)
    return parts


def evaluate(process: Process, asked: str) -> str:
    """What `bulklabel evaluate` does with the run's folder and its own."""
    try:
        plan = read_plan(process.read(f"{FOLDER}/{PLAN_FILE}"))
    except FileNotFoundError as error:
        raise UserError("no run") from error
    run = RunInMemory(FOLDER, plan.stamp, process)
    parts = [run.read_part(kind, shard) for shard in plan.shards for kind in PART_KINDS]
    metrics = metrics_of(plan, [part for part in parts if part is not None], asked)
    if None in parts:
        raise UserError("a part is missing")
    published = [entry_of(METRICS_FILE, metrics)]
    manifest = {"plan": plan.digest, "require": asked, "accepted": asked != "fails", "published": published}
    FolderInMemory(EVALUATED, process).publish({METRICS_FILE: metrics}, json.dumps(manifest).encode())
    return "finished" if manifest["accepted"] else "gate failed"


def stated(store: Store, folder: str) -> dict[str, Any] | None:
    """What `_SUCCESS` says to somebody who reads it at this moment: the manifest; None if it says nothing."""
    if f"{folder}/{SUCCESS_FILE}" not in store.files:
        return None
    files, run = StillFiles(store), BY_PLAN.get(store.owner())
    if folder == EVALUATED:
        content = FolderInMemory(EVALUATED, files).stated_manifest()
    else:
        content = RunInMemory(FOLDER, run.plan.stamp, files).stated_manifest() if run else None
    return None if content is None else json.loads(content)


def fault(store: Store, folder: str) -> str:
    """Why what is stated is not so: other records, answers or metrics than a fresh run's; empty if all is well."""
    manifest = stated(store, folder)
    if manifest is None:
        return ""
    run, current = BY_PLAN[manifest["plan"]], store.below(folder)
    if manifest["require"] == "fails":
        return "a requirement does not hold"
    metrics = json.loads(current[METRICS_FILE])
    if sum(metrics["counts"]) != run.records:
        return "scored + rejected is not what was read"
    if current[METRICS_FILE] != run.metrics(manifest["require"]):
        return "the metrics are not a fresh run's"
    parts = {name: content for name, content in current.items() if name.startswith(PART_KINDS)}
    parts = {name: content for name, content in parts.items() if not TEMPORARY.search(f"/{name}")}
    if folder == FOLDER and parts != {name: part.content for name, part in run.parts.items()}:
        return "the parts are not a fresh run's"
    return ""


class Promises(RuleBasedStateMachine):
    """Commands come, go on, sleep and die in one store."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store({f"{FOLDER}/{NOTES}": b"mine", f"{EVALUATED}/{NOTES}": b"mine"})
        self.world = World(self.store)
        self.processes: list[Process] = []
        self.started = 0
        self.killed = False
        self.local = True
        self.checked: dict[str, bytes] = {}

    @initialize(local=st.booleans())
    def choose_store(self, local: bool) -> None:
        self.local = local

    def fresh_run(self, threshold: float = 0.5) -> Fresh:
        """The run of the input as it is now."""
        return RUNS[INPUTS.index(self.world.contents), threshold]

    def launch(self, run: Fresh, overwrite: bool = False, asked: str = "") -> Process:
        self.started += 1
        plan, world = run.plan, self.world
        return Process(
            self.store,
            self.started,
            self.local,
            lambda process: score(world, process, plan, overwrite, asked),
            plan.digest,
            lambda path: overwrite or plan.stamp.is_foreign(path),
        )

    def launch_evaluation(self, asked: str) -> Process:
        self.started += 1
        return Process(
            self.store, self.started, self.local, lambda process: evaluate(process, asked), "", lambda _: False
        )

    def go_on(self, process: Process, steps: int, kill: str = "") -> None:
        """Let it do so many operations, and then perhaps die."""
        for _ in range(steps):
            if process.outcome:
                break
            process.step()
            self.check()
        if kill and not process.outcome:
            self.killed = True
            process.step(kill)
        if process.outcome and process in self.processes:
            self.processes.remove(process)
        if process.error:
            raise process.error
        if process.outcome and process.outcome != "killed":
            assert process not in self.store.late.values(), "it did not take back what it wrote too late"
        if process.outcome and not (self.processes or self.killed or self.store.is_disturbed()):
            self.check_existence()

    def check(self) -> None:
        """What holds at every moment, whatever runs did too late and died before they could take it back."""
        if self.store.files == self.checked:
            return
        self.checked = dict(self.store.files)
        assert not fault(self.store, FOLDER), fault(self.store, FOLDER)
        assert not fault(self.store, EVALUATED), fault(self.store, EVALUATED)

    def check_existence(self) -> None:
        """Where nobody is at work and none was killed, there is no `_SUCCESS` that says nothing."""
        for folder in (FOLDER, EVALUATED):
            assert f"{folder}/{SUCCESS_FILE}" not in self.store.files or stated(self.store, folder), folder

    @rule(contents=st.sampled_from(INPUTS))
    def change_the_input(self, contents: Input) -> None:
        self.world.contents = contents

    @precondition(lambda self: len(self.processes) < 3)
    @rule(threshold=st.sampled_from([0.5, 0.5, 0.6]), overwrite=st.booleans(), asked=st.sampled_from(ASKED))
    def start(self, threshold: float, overwrite: bool, asked: str) -> None:
        self.processes.append(self.launch(self.fresh_run(threshold), overwrite, asked))

    @precondition(lambda self: len(self.processes) < 3)
    @rule(asked=st.sampled_from(ASKED))
    def start_evaluation(self, asked: str) -> None:
        self.processes.append(self.launch_evaluation(asked))

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 2), steps=st.integers(1, 40))
    def proceed(self, which: int, steps: int) -> None:
        self.go_on(self.processes[which % len(self.processes)], steps)

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 2), steps=st.integers(0, 40), kill=st.sampled_from(["before", "halfway", "after"]))
    def kill(self, which: int, steps: int, kill: str) -> None:
        self.go_on(self.processes[which % len(self.processes)], steps, kill)

    @precondition(lambda self: self.processes)
    @rule(
        which=st.integers(0, 2),
        operation=st.sampled_from(["read", "write", "delete"]),
        name=st.sampled_from([PLAN_FILE, METRICS_FILE, MANIFEST_FILE, SUCCESS_FILE, *PART_KINDS]),
        kill=st.sampled_from(["", "", "before", "after"]),
    )
    def stop_before(self, which: int, operation: str, name: str, kill: str) -> None:
        """Go on until it is about to touch a file that matters."""
        process = self.processes[which % len(self.processes)]
        self.go_on(process, 1)
        while not process.outcome and not process.next.startswith(f"{operation} {name}"):
            self.go_on(process, 1)
        self.go_on(process, 0, kill)

    @precondition(lambda self: len(self.processes) < 2)
    @rule(
        thresholds=st.tuples(st.sampled_from([0.5, 0.6]), st.sampled_from([0.5, 0.6])),
        asked=st.tuples(st.sampled_from(ASKED), st.sampled_from(ASKED)),
        name=st.sampled_from([PLAN_FILE, METRICS_FILE, MANIFEST_FILE, SUCCESS_FILE, *PART_KINDS]),
        operation=st.sampled_from(["write", "delete"]),
        steps=st.one_of(st.integers(0, 60), st.just(1000)),
    )
    def sleep(
        self, thresholds: tuple[float, float], asked: tuple[str, str], name: str, operation: str, steps: int
    ) -> None:
        """A run sleeps when it is about to touch a file, and another one goes on, of its plan or of another."""
        run, other = map(self.fresh_run, thresholds)
        sleeper = self.launch(run, self.store.owner() != run.plan.digest, asked[0])
        self.processes.append(sleeper)
        while not sleeper.outcome and not sleeper.next.startswith(f"{operation} {name}"):
            self.go_on(sleeper, 1)
        waking = self.launch(other, other != run, asked[1])
        self.processes.append(waking)
        self.go_on(waking, steps)

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 2))
    def end(self, which: int) -> None:
        self.go_on(self.processes[which % len(self.processes)], 1000)

    @rule(threshold=st.sampled_from([0.5, 0.6]), asked=st.sampled_from(ASKED), evaluated=st.booleans())
    def run_alone(self, threshold: float, asked: str, evaluated: bool = False) -> None:
        """Whatever came before, a run that nobody disturbs ends: the owner's, or any that may replace it."""
        self.kill_all()
        run = self.fresh_run(threshold)
        process = self.run_to_its_end(run, asked)
        if process.outcome == "refused":
            self.move_away_what_nobody_owns()
            process = self.run_to_its_end(run, asked)
        assert process.outcome in (["gate failed"] if asked == "fails" else ["finished", "nothing to do"])
        self.store.late.clear()  # whatever came too late is gone, or nobody takes it for anything
        self.store.torn.clear()
        self.killed = False
        self.check_ended(run, asked, process.outcome)
        if evaluated:
            self.evaluate_alone(run, asked)

    def run_to_its_end(self, run: Fresh, asked: str) -> Process:
        process = self.launch(run, overwrite=self.store.owner() != run.plan.digest, asked=asked)
        self.go_on(process, 1000)
        return process

    def move_away_what_nobody_owns(self) -> None:
        """One that replaced a run has deleted all and died, and then the other wrote a file too late, and died, too.

        It may be the user's for all that a third run can know, which refuses to replace it.
        """
        left = [f"{FOLDER}/{name}" for name in self.store.below(FOLDER) if name != NOTES]
        assert left == list(self.store.late)
        for path in left:
            del self.store.files[path]

    def check_ended(self, run: Fresh, asked: str, outcome: str) -> None:
        self.check()
        assert self.store.owner() == run.plan.digest
        manifest = stated(self.store, FOLDER)
        if asked == "fails":
            assert f"{FOLDER}/{SUCCESS_FILE}" not in self.store.files
        else:
            assert manifest is not None
            assert manifest["require"] == asked
        if outcome != "nothing to do":
            assert not temporary_files(self)

    def evaluate_alone(self, run: Fresh, asked: str) -> None:
        process = self.launch_evaluation(asked)
        self.go_on(process, 1000)
        assert process.outcome == ("gate failed" if asked == "fails" else "finished")
        assert self.store.below(EVALUATED)[METRICS_FILE] == run.metrics(asked)
        assert (f"{EVALUATED}/{SUCCESS_FILE}" in self.store.files) == (asked != "fails")

    @invariant()
    def nothing_is_lost(self) -> None:
        for folder in (FOLDER, EVALUATED):
            assert self.store.below(folder)[NOTES] == b"mine"
        self.check()

    def kill_all(self) -> None:
        for process in self.processes:
            process.step("before")
        self.processes.clear()
        self.killed = True

    def teardown(self) -> None:
        self.kill_all()


Promises.TestCase.settings = settings(
    max_examples=340, stateful_step_count=30, suppress_health_check=list(HealthCheck), print_blob=False
)
TestPromises = Promises.TestCase


@pytest.fixture
def promises() -> Iterator[Promises]:
    """Runs whose files are in an object store."""
    machine = Promises()
    machine.local = False
    yield machine
    machine.teardown()


THIS, OTHER = 0.5, 0.6
"""Thresholds: of this plan, and of another."""


def is_stated(promises: Promises) -> bool:
    """Whether there is a `_SUCCESS`, and it says something."""
    promises.check()
    return stated(promises.store, FOLDER) is not None


def has_success(promises: Promises) -> bool:
    return f"{FOLDER}/{SUCCESS_FILE}" in promises.store.files


def temporary_files(promises: Promises) -> list[str]:
    return [name for name in promises.store.below(FOLDER) if TEMPORARY.search(f"/{name}")]


def test_a_run_that_replaced_a_manifest_and_died_is_finished_by_the_same_command(promises: Promises) -> None:
    promises.start(THIS, False, "")
    promises.stop_before(0, "write", MANIFEST_FILE, "")
    promises.start(THIS, False, "")
    promises.end(1)
    assert is_stated(promises)
    promises.proceed(0, 1)
    promises.stop_before(0, "write", SUCCESS_FILE, "before")
    assert has_success(promises)
    assert not is_stated(promises)
    promises.run_alone(THIS, "")


def test_a_run_leaves_what_another_run_of_its_plan_has_published_as_it_is(promises: Promises) -> None:
    promises.start(THIS, False, "")
    promises.stop_before(0, "write", PREDICTIONS, "")
    promises.start(THIS, False, "")
    promises.end(1)
    before = promises.store.files[f"{FOLDER}/{MANIFEST_FILE}"]
    promises.end(0)
    assert promises.store.files[f"{FOLDER}/{MANIFEST_FILE}"] == before
    assert is_stated(promises)


def test_a_finished_run_has_no_temporary_file_of_a_worker_that_died_on_the_way(promises: Promises) -> None:
    promises.local = True
    for _ in range(2):
        promises.start(THIS, False, "")
        promises.stop_before(len(promises.processes) - 1, "begin", PREDICTIONS, "")
    promises.proceed(1, 1)
    promises.kill(1, 0, "before")
    assert temporary_files(promises)
    promises.end(0)
    assert is_stated(promises)
    assert not temporary_files(promises)


def test_a_run_that_another_request_overtook_leaves_no_success_that_says_nothing(promises: Promises) -> None:
    """It has replaced the manifest that the other's `_SUCCESS` is about, and cannot publish its own."""
    promises.sleep((0.5, 0.5), ("", "holds"), MANIFEST_FILE, "write", 1000)
    promises.end(0)
    assert not promises.processes
    assert f"{FOLDER}/{SUCCESS_FILE}" not in promises.store.files


@pytest.mark.parametrize("name", [PREDICTIONS, METRICS_FILE, MANIFEST_FILE])
def test_a_run_whose_requirement_fails_withdraws_the_success_of_another_run(promises: Promises, name: str) -> None:
    promises.start(THIS, False, "fails")
    failing = promises.processes[0]
    promises.stop_before(0, "write", name, "")
    promises.start(THIS, False, "")
    promises.end(1)
    assert is_stated(promises)
    promises.end(0)
    assert failing.outcome == "gate failed"
    assert not has_success(promises)
    promises.run_alone(THIS, "fails")


def test_a_file_that_is_all_that_two_dead_runs_left_is_taken_for_the_users(promises: Promises) -> None:
    promises.start(THIS, False, "")
    promises.stop_before(0, "write", METRICS_FILE, "")
    promises.start(OTHER, True, "")
    promises.stop_before(1, "write", PLAN_FILE, "before")
    promises.kill(0, 0, "after")
    third = promises.run_to_its_end(promises.fresh_run(OTHER), "")
    assert third.outcome == "refused"
    promises.run_alone(OTHER, "")


@pytest.mark.parametrize("asked", ["fails", "holds"])
def test_no_run_blesses_what_was_published_under_other_requirements(promises: Promises, asked: str) -> None:
    promises.start(THIS, False, "")
    blessing = promises.processes[0]
    promises.stop_before(0, "write", SUCCESS_FILE, "")
    promises.start(THIS, False, asked)
    promises.end(1)
    promises.end(0)
    assert blessing.outcome == "stopped"
    assert not is_stated(promises)
    assert not has_success(promises)


def test_what_is_published_between_the_look_and_the_success_is_seen_after_it(promises: Promises) -> None:
    promises.start(THIS, False, "")
    promises.stop_before(0, "write", SUCCESS_FILE, "")
    promises.start(THIS, False, "holds")
    promises.stop_before(1, "write", MANIFEST_FILE, "before")  # its metrics are there, and it died
    promises.end(0)
    assert not has_success(promises)
    promises.run_alone(THIS, "")


@pytest.mark.parametrize("name", [METRICS_FILE, MANIFEST_FILE, SUCCESS_FILE])
@pytest.mark.parametrize("asked", ASKED)
def test_an_evaluation_that_was_killed_over_an_earlier_one_is_none(promises: Promises, name: str, asked: str) -> None:
    promises.run_alone(THIS, "", evaluated=True)
    promises.start_evaluation(asked)
    promises.stop_before(0, "write", f"{EVALUATED}/{name}", "before")
    assert f"{EVALUATED}/{SUCCESS_FILE}" not in promises.store.files
    promises.evaluate_alone(promises.fresh_run(), asked)


@pytest.mark.parametrize("contents", INPUTS[1:])
def test_an_input_that_changed_is_not_scored_under_the_plan_of_what_it_was(promises: Promises, contents: Input) -> None:
    promises.start(THIS, False, "")
    run = promises.processes[0]
    promises.stop_before(0, "write", PLAN_FILE, "")
    promises.change_the_input(contents)
    promises.end(0)
    assert run.outcome == "stopped"
    assert not has_success(promises)
    promises.run_alone(THIS, "")


def test_a_run_that_finishes_when_its_folder_is_given_away_is_no_success_of_the_other_plan(promises: Promises) -> None:
    promises.run_alone(THIS, "")
    promises.start(OTHER, True, "")
    promises.stop_before(0, "write", PLAN_FILE, "")
    promises.start(THIS, False, "")
    promises.end(1)
    promises.stop_before(0, "delete", SUCCESS_FILE, "before")
    assert has_success(promises)
    assert not is_stated(promises)
    promises.run_alone(OTHER, "")


@pytest.mark.parametrize("name", [*PART_KINDS, METRICS_FILE, MANIFEST_FILE, SUCCESS_FILE])
def test_what_a_run_wrote_too_late_it_takes_back(promises: Promises, name: str) -> None:
    promises.start(THIS, False, "")
    promises.stop_before(0, "write", name, "")
    promises.start(OTHER, True, "")
    promises.end(1)
    assert has_success(promises)
    promises.end(0)
    assert not has_success(promises)
    promises.run_alone(OTHER, "")


@pytest.mark.parametrize("name", [*PART_KINDS, METRICS_FILE, MANIFEST_FILE, SUCCESS_FILE])
def test_what_a_run_wrote_too_late_before_it_died_is_taken_for_nothing(promises: Promises, name: str) -> None:
    """The folder is another plan's by then, which had finished: its command does not end with "nothing to do"."""
    promises.start(THIS, False, "")
    promises.stop_before(0, "write", name, "")
    promises.start(OTHER, True, "")
    promises.end(1)
    before = dict(promises.store.files)
    promises.stop_before(0, "write", name, "after")
    assert promises.store.files != before
    assert not is_stated(promises)
    promises.start(OTHER, False, "")
    again = promises.processes[0]
    promises.end(0)
    assert again.outcome == "finished"
    promises.check_ended(promises.fresh_run(OTHER), "", again.outcome)


def test_a_run_whose_folder_is_replaced_stops_before_it_writes_another_file(promises: Promises) -> None:
    promises.start(THIS, False, "")
    promises.stop_before(0, "write", METRICS_FILE, "")
    promises.proceed(0, 2)  # it has written the metrics, and asked whose they are
    stopped = promises.processes[0]
    promises.start(OTHER, True, "")
    promises.end(1)
    promises.end(0)
    assert (stopped.outcome, stopped.next) == ("stopped", "read plan.json")
    assert is_stated(promises)


def test_a_run_that_replaces_another_plan_lets_nobody_finish_among_what_it_deletes(promises: Promises) -> None:
    promises.start(THIS, False, "")
    promises.stop_before(0, "write", SUCCESS_FILE, "")
    promises.start(OTHER, True, "")
    promises.stop_before(1, "write", PLAN_FILE, "")
    promises.end(0)
    assert not has_success(promises)
    promises.end(0)
    assert is_stated(promises)


def test_of_two_runs_that_end_at_once_success_names_the_manifest_that_stays(promises: Promises) -> None:
    promises.start(THIS, False, "")
    promises.start(THIS, False, "")
    promises.stop_before(1, "write", MANIFEST_FILE, "")
    promises.stop_before(0, "write", SUCCESS_FILE, "")
    both = list(promises.processes)
    promises.end(1)
    promises.end(0)
    assert [run.outcome for run in both] == ["finished"] * 2
    assert is_stated(promises)


def test_of_two_runs_that_start_at_once_none_is_refused(promises: Promises) -> None:
    promises.start(THIS, False, "")
    promises.proceed(0, 1)
    slow = promises.processes[0]
    promises.start(THIS, False, "")
    promises.end(1)
    promises.end(0)
    assert slow.outcome == "nothing to do"


def test_of_two_plans_that_start_at_once_the_last_one_disowns_what_the_other_finished(promises: Promises) -> None:
    promises.start(THIS, False, "")
    promises.stop_before(0, "write", PLAN_FILE, "")
    promises.start(OTHER, False, "")
    promises.end(1)
    promises.end(0)
    assert promises.store.owner() == promises.fresh_run(THIS).plan.digest
    assert is_stated(promises)


def test_a_finished_run_that_lost_a_part_is_not_finished(promises: Promises) -> None:
    promises.run_alone(THIS, "")
    lost = min(name for name in promises.store.files if PREDICTIONS in name)
    del promises.store.files[lost]
    assert not is_stated(promises)
    promises.killed = True
    promises.start(THIS, False, "")
    promises.stop_before(0, "write", PREDICTIONS, "before")
    assert not has_success(promises)
    promises.run_alone(THIS, "")
    assert lost in promises.store.files
