"""The commit protocol: runs of several plans in one folder in memory, stopped and killed at any file operation."""

import hashlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bulklabel.model.errors import StoreError, UserError
from bulklabel.model.images.resize import Preprocessing
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.stores.path_names import TEMPORARY
from bulklabel.transforms.reading.records import Columns, Shard
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, METRICS_FILE, PLAN_FILE, SUCCESS_FILE
from bulklabel.transforms.run_directory.parts import PART_KINDS, PART_NAME, Part, make_part
from bulklabel.transforms.run_directory.plan import Plan, Recipe, digest_in
from bulklabel.transforms.run_directory.run_directory import RunDirectory, State

T = TypeVar("T")

FOLDER = "/run"
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


def plan_of(shards: int, threshold: float) -> Plan:
    return Plan(
        inputs=(),
        shards=tuple(Shard(index, "a.parquet", index, index + 1, index, 1) for index in range(shards)),
        recipe=replace(RECIPE, thresholds=(threshold,)),
    )


PLANS = (plan_of(2, 0.5), plan_of(2, 0.6), plan_of(1, 0.5))
"""The parts of the first two have the same names and sizes, and other bytes."""

PARTS: dict[str, dict[str, Part]] = {
    plan.digest: {
        part.name: part
        for shard in plan.shards
        for kind in PART_KINDS
        for part in [make_part(kind, shard, pa.table({"position": pa.array([shard.index])}), plan.stamp)]
    }
    for plan in PLANS
}


CLOCK = itertools.count()
"""What differs in the manifests of two runs of one plan."""


class Killed(BaseException):
    """The process that runs is gone: nothing more of it happens, no `except StoreError` either."""


@dataclass
class Folder:
    """Files in memory, by path, and what runs did to files that were another plan's by then.

    No run can know that: it may be stopped between asking whose the folder is and writing there. `late` are files that
    were written too late, with their writers. `torn` are runs that deleted files of another run, when both replace a
    third plan at the same time.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    late: dict[str, "Process"] = field(default_factory=dict)
    torn: set[int] = field(default_factory=set)

    def put(self, path: str, content: bytes, process: "Process") -> None:
        self.files[path] = content
        self.late.pop(path, None)
        if path == f"{FOLDER}/{PLAN_FILE}":
            self.late = {late: by for late, by in self.late.items() if by.plan.digest != process.plan.digest}
        elif process.plan.digest != self.owner() or (
            path == f"{FOLDER}/{SUCCESS_FILE}" and f"{FOLDER}/{MANIFEST_FILE}" not in self.files
        ):  # or it is this plan's again, after it was another's
            self.late[path] = process

    def drop(self, path: str, process: "Process") -> None:
        there = self.files.pop(path, None)
        self.late.pop(path, None)
        if path == f"{FOLDER}/{SUCCESS_FILE}":
            self.torn.discard(process.number)
        elif there is not None and not TEMPORARY.search(path) and self.owner():
            self.torn.add(process.number)

    def is_disturbed(self) -> bool:
        """Whether a run did something too late, and has not taken it back, be it that it died before."""
        return bool(self.late or self.torn)

    def owner(self) -> str:
        """The digest of the plan whose folder it is."""
        return digest_in(self.files.get(f"{FOLDER}/{PLAN_FILE}", b""))

    def read(self, name: str) -> bytes:
        return self.files[f"{FOLDER}/{name}"]


class Process:
    """A run in a thread of its own, which stands before each of its file operations until it is told to go on.

    It is what `transforms.files.files` is to other run directories. A local file is written under a temporary name
    and renamed, which are two operations; an object is put in one.
    """

    def __init__(self, folder: Folder, number: int, local: bool, plan: Plan, overwrite: bool, asked: int) -> None:
        self.plan, self.overwrite, self.number = plan, overwrite, number
        self.next = ""
        """Its next operation, such as `write _SUCCESS`."""
        self._seen_owner = ""
        self.outcome = ""
        self.error: BaseException | None = None
        self._folder, self._local, self._asked = folder, local, asked
        self._temporaries = 0
        self._kill = ""
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._run, daemon=True).start()
        self._stands.acquire()

    def step(self, kill: str = "") -> None:
        """Let it do one operation; `before`, `after` or `halfway` it is killed."""
        self._kill = kill
        self._go.release()
        self._stands.acquire()

    def _run(self) -> None:
        try:
            directory = WatchedDirectory(FOLDER, self.plan.stamp, self)
            self.outcome = score(directory, self.plan, self.overwrite, self._asked)
        except Killed:
            self.outcome = "killed"
        except UserError:
            self.outcome = "refused"
        except StoreError:
            self.outcome = "stopped"
        except BaseException as error:
            self.outcome, self.error = "failed", error
        self._stands.release()

    def _operation(self, name: str, path: str, effect: Callable[[], T], half: Callable[[], object] = int) -> T:
        self.next = f"{name} {path.removeprefix(f'{FOLDER}/')}"
        self._stands.release()
        self._go.acquire()
        if self._kill == "before":
            raise Killed
        if self._kill == "halfway":
            half()
            raise Killed
        result = effect()
        if self._kill == "after":
            raise Killed
        return result

    def _temporary(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        self._temporaries += 1
        return f"{folder}/.{name}.{self.number:016x}{self._temporaries:016x}.tmp"

    def _get(self, path: str) -> bytes:
        try:
            return self._folder.files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def read(self, path: str) -> bytes:
        return self._operation("read", path, lambda: self._get(path))

    def read_start(self, path: str, size: int) -> bytes:
        content = self._operation("read", path, lambda: self._get(path)[:size])
        self._seen_owner = digest_in(content)
        return content

    def list_folder(self, folder: str) -> list[File]:
        return self._operation(
            "list",
            folder,
            lambda: [
                File(path, len(content))
                for path, content in self._folder.files.items()
                if path.startswith(f"{folder}/") and not TEMPORARY.search(path)
            ],
        )

    def list_temporary(self, folder: str) -> list[File]:
        return self._operation(
            "list",
            folder,
            lambda: [
                File(path, len(content))
                for path, content in self._folder.files.items()
                if path.rpartition("/")[0] == folder and TEMPORARY.search(path)
            ],
        )

    def check_writable(self, folder: str) -> None:
        probe = self._temporary(f"{folder}/probe")
        self._operation("probe", folder, lambda: None, lambda: self._folder.files.update({probe: b""}))

    def write(self, path: str, content: bytes) -> None:
        assert path.endswith(PLAN_FILE) or self._seen_owner == self.plan.digest, "it has not asked"
        while self._local:
            temporary = self._temporary(path)
            self._operation(
                "begin",
                path,
                lambda: self._folder.files.update({temporary: content}),  # noqa: B023 (it is called at once)
                lambda: self._folder.files.update({temporary: content[:1]}),  # noqa: B023
            )
            if self._operation("write", path, lambda: self._rename(temporary, path)):  # noqa: B023
                return
        self._operation("write", path, lambda: self._folder.put(path, content, self))

    def _rename(self, temporary: str, path: str) -> bool:
        """Whether it could: another run may have deleted the temporary file."""
        if temporary not in self._folder.files:
            return False
        self._folder.put(path, self._folder.files.pop(temporary), self)
        return True

    def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            self._operation("delete", path, lambda: self._delete(path))  # noqa: B023 (it is called at once)

    def _delete(self, path: str) -> None:
        name = path.removeprefix(f"{FOLDER}/")
        late = self._folder.late.get(path) is self
        harmless = TEMPORARY.search(path) or name == SUCCESS_FILE or self.plan.stamp.is_foreign(path)
        assert self.overwrite or harmless or late or path not in self._folder.files, f"{name} is lost"
        self._folder.drop(path, self)


@dataclass(frozen=True)
class WatchedDirectory(RunDirectory):
    """A run directory whose files are in memory."""

    process: Process = field(compare=False)

    @property
    def files(self) -> Process:
        return self.process


def score(directory: RunDirectory, plan: Plan, overwrite: bool, asked: int) -> str:
    """What `bulklabel score` does with its folder, `asked` for one thing or another besides the plan."""
    state = directory.state(plan, overwrite)
    if state is State.FINISHED:
        if is_published(directory, asked):
            return "nothing to do"
        directory.reopen()
    else:
        directory.start(plan, overwrite)
    directory.read(PLAN_FILE)
    parts = [part for shard in plan.shards for part in made(directory, plan, shard)]
    directory.read(PLAN_FILE)
    metrics = json.dumps({"plan": plan.digest, "asked": asked}).encode()
    directory.write(METRICS_FILE, metrics)
    manifest = {
        "plan": plan.digest,
        "asked": asked,
        "ended": next(CLOCK),
        "files": {METRICS_FILE: sha256(metrics)} | {part.name: part.entry["sha256"] for part in parts},
    }
    directory.write(MANIFEST_FILE, json.dumps(manifest).encode())
    directory.check_parts([part.entry for part in parts])
    directory.complete()
    return "finished"


def made(directory: RunDirectory, plan: Plan, shard: Shard) -> list[Part]:
    """The parts of a shard: those that are there if both are, else new ones."""
    there = [directory.read_part(kind, shard) for kind in PART_KINDS]
    kept = [part for part in there if part is not None]
    if len(kept) == len(PART_KINDS):
        return kept
    parts = [PARTS[plan.digest][plan.stamp.name(kind, shard)] for kind in PART_KINDS]
    for part in parts:
        directory.write(part.name, part.content)
    return parts


def is_published(directory: RunDirectory, asked: int) -> bool:
    try:
        manifest = json.loads(directory.files.read(f"{FOLDER}/{MANIFEST_FILE}"))
    except FileNotFoundError:
        return False
    return bool(manifest["asked"] == asked)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def fault(folder: Folder, at_rest: bool) -> str:
    """Why `_SUCCESS` promises what is not so; empty if all is well, or there is no `_SUCCESS`.

    Two moments are let pass unless the folder is at rest. Two runs of one plan may end at once; then the manifest is
    that of the later one for a while, before `_SUCCESS` is. And the folder may be given to another plan when its run
    has just finished; then `plan.json` is gone, or the other plan's, for a moment, before `_SUCCESS` is deleted.
    """
    names = {path.removeprefix(f"{FOLDER}/"): content for path, content in folder.files.items()}
    if SUCCESS_FILE not in names:
        return ""
    if MANIFEST_FILE not in names:
        return "there is no manifest"
    manifest = json.loads(names[MANIFEST_FILE])
    if at_rest and names[SUCCESS_FILE].decode().strip() != sha256(names[MANIFEST_FILE]):
        return "_SUCCESS does not name the manifest"
    if at_rest and manifest["plan"] != folder.owner():
        return "the manifest is another plan's"
    for name, digest in manifest["files"].items():
        if sha256(names.get(name, b"")) != digest:
            return f"{name} is not what the manifest says"
    planned = {name: part.content for name, part in PARTS[manifest["plan"]].items()}
    parts = {name: content for name, content in names.items() if PART_NAME.search(f"/{name}")}
    return "" if parts == planned and parts.keys() < manifest["files"].keys() else "the parts are not the plan's"


class Protocol(RuleBasedStateMachine):
    """Runs come, go on, sleep and die in one folder."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Folder({f"{FOLDER}/{NOTES}": b"mine"})
        self.processes: list[Process] = []
        self.started = 0
        self.killed = False
        self.local = True

    @initialize(local=st.booleans())
    def choose_store(self, local: bool) -> None:
        self.local = local

    def launch(self, plan: Plan, overwrite: bool, asked: int) -> Process:
        self.started += 1
        return Process(self.folder, self.started, self.local, plan, overwrite, asked)

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
            assert process not in self.folder.late.values(), "it did not take back what it wrote too late"
        if process.outcome == "finished" and not (self.processes or self.killed or self.folder.is_disturbed()):
            assert not fault(self.folder, at_rest=True), fault(self.folder, at_rest=True)

    def check(self) -> None:
        """What holds at every moment, but for files of runs that came too late and have not taken them back yet."""
        wrong = fault(self.folder, at_rest=False)
        assert self.folder.is_disturbed() or not wrong, wrong

    @precondition(lambda self: len(self.processes) < 3)
    @rule(number=st.sampled_from(range(3)), overwrite=st.booleans())
    def start(self, number: int, overwrite: bool) -> None:
        self.processes.append(self.launch(PLANS[number], overwrite, asked=0))

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
        name=st.sampled_from([PLAN_FILE, MANIFEST_FILE, SUCCESS_FILE, *PART_KINDS]),
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
        numbers=st.tuples(st.integers(0, 2), st.integers(0, 2)),
        name=st.sampled_from([PLAN_FILE, MANIFEST_FILE, SUCCESS_FILE, *PART_KINDS]),
        operation=st.sampled_from(["write", "delete"]),
        steps=st.one_of(st.integers(0, 60), st.just(1000)),
    )
    def sleep(self, numbers: tuple[int, int], name: str, operation: str, steps: int) -> None:
        """A run sleeps when it is about to touch a file, and another one goes on, of its plan or of another."""
        plan, other = PLANS[numbers[0]], PLANS[numbers[1]]
        sleeper = self.launch(plan, overwrite=self.folder.owner() != plan.digest, asked=0)
        self.processes.append(sleeper)
        while not sleeper.outcome and not sleeper.next.startswith(f"{operation} {name}"):
            self.go_on(sleeper, 1)
        waking = self.launch(other, overwrite=other != plan, asked=0)
        self.processes.append(waking)
        self.go_on(waking, steps)

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 2))
    def end(self, which: int) -> None:
        self.go_on(self.processes[which % len(self.processes)], 1000)

    @rule(number=st.sampled_from(range(3)), asked=st.integers(0, 1))
    def run_alone(self, number: int, asked: int) -> None:
        """Whatever came before, a run that nobody disturbs finishes: the owner's, or any that may replace it."""
        self.kill_all()
        plan = PLANS[number]
        mine = self.folder.owner() == plan.digest
        process = self.launch(plan, overwrite=not mine, asked=asked)
        self.go_on(process, 1000)
        assert process.outcome in ("finished", "nothing to do")
        if process.outcome == "finished":
            assert not self.folder.late
            self.folder.torn.clear()
        self.killed = self.folder.is_disturbed()
        if not self.killed:
            assert not fault(self.folder, at_rest=True), fault(self.folder, at_rest=True)
            assert self.folder.owner() == plan.digest
            assert f"{FOLDER}/{SUCCESS_FILE}" in self.folder.files
            if process.outcome == "finished":
                assert not any(map(TEMPORARY.search, self.folder.files))

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.folder.read(NOTES) == b"mine"
        self.check()

    def kill_all(self) -> None:
        for process in self.processes:
            process.step("before")
        self.processes.clear()
        self.killed = True

    def teardown(self) -> None:
        self.kill_all()


Protocol.TestCase.settings = settings(
    max_examples=250, stateful_step_count=30, suppress_health_check=list(HealthCheck), print_blob=False
)
TestProtocol = Protocol.TestCase


@pytest.fixture
def protocol() -> Iterator[Protocol]:
    """Runs whose files are in an object store."""
    machine = Protocol()
    machine.local = False
    yield machine
    machine.teardown()


def test_a_run_that_replaced_a_manifest_and_died_is_finished_by_the_same_command(protocol: Protocol) -> None:
    protocol.start(0, False)
    protocol.proceed(0, 5)
    protocol.start(0, False)
    protocol.end(1)
    protocol.stop_before(0, "write", SUCCESS_FILE, "before")
    assert fault(protocol.folder, at_rest=True) == "_SUCCESS does not name the manifest"
    protocol.run_alone(0, 0)


def test_a_run_that_finishes_when_its_folder_is_given_away_is_no_success_of_the_other_plan(protocol: Protocol) -> None:
    protocol.run_alone(0, 0)
    protocol.start(1, True)
    protocol.stop_before(0, "write", PLAN_FILE, "")
    protocol.start(0, False)
    protocol.end(1)
    protocol.stop_before(0, "delete", SUCCESS_FILE, "before")
    assert fault(protocol.folder, at_rest=True) == "the manifest is another plan's"
    protocol.run_alone(1, 0)


@pytest.mark.parametrize("name", [*PART_KINDS, METRICS_FILE, MANIFEST_FILE, SUCCESS_FILE])
def test_what_a_run_wrote_too_late_it_takes_back(protocol: Protocol, name: str) -> None:
    protocol.start(0, False)
    protocol.stop_before(0, "write", name, "")
    protocol.start(1, True)
    protocol.end(1)
    assert SUCCESS_FILE in {path.removeprefix(f"{FOLDER}/") for path in protocol.folder.files}
    protocol.end(0)
    assert f"{FOLDER}/{SUCCESS_FILE}" not in protocol.folder.files
    protocol.run_alone(1, 0)


def test_a_run_whose_folder_is_replaced_stops_before_it_writes_another_file(protocol: Protocol) -> None:
    protocol.start(0, False)
    protocol.stop_before(0, "write", METRICS_FILE, "")
    protocol.proceed(0, 2)  # it has written the metrics, and asked whose they are
    stopped = protocol.processes[0]
    protocol.start(1, True)
    protocol.end(1)
    protocol.end(0)
    assert (stopped.outcome, stopped.next) == ("stopped", "read plan.json")
    assert not fault(protocol.folder, at_rest=True)


def test_a_run_that_replaces_another_plan_lets_nobody_finish_among_what_it_deletes(protocol: Protocol) -> None:
    protocol.start(0, False)
    protocol.stop_before(0, "write", SUCCESS_FILE, "")
    protocol.start(1, True)
    protocol.stop_before(1, "write", PLAN_FILE, "")
    protocol.end(0)
    assert f"{FOLDER}/{SUCCESS_FILE}" not in protocol.folder.files
    protocol.end(0)
    assert not fault(protocol.folder, at_rest=True)


def test_of_two_runs_that_end_at_once_success_names_the_manifest_that_stays(protocol: Protocol) -> None:
    protocol.start(0, False)
    protocol.start(0, False)
    protocol.stop_before(1, "write", MANIFEST_FILE, "")
    protocol.stop_before(0, "write", SUCCESS_FILE, "")
    protocol.end(1)
    protocol.end(0)
    assert not fault(protocol.folder, at_rest=True)


def test_of_two_runs_that_start_at_once_none_is_refused(protocol: Protocol) -> None:
    protocol.start(0, False)
    protocol.proceed(0, 1)
    slow = protocol.processes[0]
    protocol.start(0, False)
    protocol.end(1)
    protocol.end(0)
    assert slow.outcome == "nothing to do"


def test_of_two_plans_that_start_at_once_the_last_one_disowns_what_the_other_finished(protocol: Protocol) -> None:
    protocol.start(0, False)
    protocol.stop_before(0, "write", PLAN_FILE, "")
    protocol.start(1, False)
    protocol.end(1)
    protocol.end(0)
    assert protocol.folder.owner() == PLANS[0].digest
    assert not fault(protocol.folder, at_rest=True)
