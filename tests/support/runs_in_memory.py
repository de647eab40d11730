"""Runs over a store in memory, each of which stands before every file operation until it is told to go on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from greenlet import getcurrent, greenlet

from bulklabel.model.errors import StoreError, UserError
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.stores.path_names import TEMPORARY
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, PLAN_FILE, SUCCESS_FILE
from bulklabel.transforms.run_directory.plan import digest_in
from bulklabel.transforms.run_directory.published_folder import Files, PublishedFolder
from bulklabel.transforms.run_directory.run_directory import RunDirectory

T = TypeVar("T")

FOLDER = "/run"
"""The folder that runs of several plans want to have."""


class Killed(BaseException):
    """The process that runs is gone: nothing more of it happens, no `except StoreError` either."""


@dataclass
class Store:
    """Files in memory, by path, and what runs did to files in `FOLDER` that were another plan's by then.

    No run can know that: it may be stopped between asking whose the folder is and writing there, and between seeing
    that a file is its own and deleting it. `late` are files that were written too late, with their writers. `torn` are
    runs that deleted files of another run: when both replace a third plan at the same time, or when what it takes back
    has just been written anew.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    late: dict[str, "Process"] = field(default_factory=dict)
    torn: set[int] = field(default_factory=set)

    def put(self, path: str, content: bytes, process: "Process") -> None:
        self.files[path] = content
        self.late.pop(path, None)
        if not path.startswith(f"{FOLDER}/"):
            return
        if path == f"{FOLDER}/{PLAN_FILE}":
            self.late = {late: by for late, by in self.late.items() if by.owner != process.owner}
        elif process.owner != self.owner() or (
            path == f"{FOLDER}/{SUCCESS_FILE}" and f"{FOLDER}/{MANIFEST_FILE}" not in self.files
        ):  # or it is this plan's again, after it was another's
            self.late[path] = process

    def drop(self, path: str, process: "Process") -> None:
        content = self.files.pop(path, None)
        self.late.pop(path, None)
        if path == f"{FOLDER}/{SUCCESS_FILE}":
            self.torn.discard(process.number)
        elif content is not None and not TEMPORARY.search(path) and self.owner():
            self.torn.add(process.number)

    def is_disturbed(self) -> bool:
        """Whether a run did something too late, and has not taken it back, be it that it died before."""
        return bool(self.late or self.torn)

    def owner(self) -> str:
        """The digest of the plan whose `FOLDER` is."""
        return digest_in(self.files.get(f"{FOLDER}/{PLAN_FILE}", b""))

    def below(self, folder: str) -> dict[str, bytes]:
        """The files below a folder, by their names there."""
        start = f"{folder}/"
        return {path.removeprefix(start): content for path, content in self.files.items() if path.startswith(start)}


Command = Callable[["Process"], str]
"""What a process does with the store; returns how it ended."""


class Process:
    """A command that takes turns with the test, and what `transforms.files.files` is to others.

    It runs in a greenlet: to hand on between threads takes the system more time than all that runs and test do.

    A local file is written under a temporary name and renamed, which are two operations; an object is put in one.
    `owner` is the digest of the plan whose run it is, `may_delete` tells which files it may delete.
    """

    def __init__(
        self, store: Store, number: int, local: bool, command: Command, owner: str, may_delete: Callable[[str], bool]
    ) -> None:
        self.number, self.owner = number, owner
        self.next = ""
        """Its next operation, such as `write _SUCCESS`."""
        self.outcome = ""
        self.error: BaseException | None = None
        self._store, self._local, self._command, self._may_delete = store, local, command, may_delete
        self._seen_owner = ""
        self._late: set[str] = set()
        self._temporaries = 0
        self._kill = ""
        self._test, self._turn = getcurrent(), greenlet(self._run)
        self._turn.switch()

    def step(self, kill: str = "") -> None:
        """Let it do one operation; `before`, `after` or `halfway` it is killed."""
        self._kill = kill
        self._turn.switch()

    def _run(self) -> None:
        try:
            self.outcome = self._command(self)
        except Killed:
            self.outcome = "killed"
        except UserError:
            self.outcome = "refused"
        except StoreError:
            self.outcome = "stopped"
        except BaseException as error:
            self.outcome, self.error = "failed", error

    def _operation(self, name: str, path: str, effect: Callable[[], T], half: Callable[[], object] = int) -> T:
        self.next = f"{name} {path.removeprefix(f'{FOLDER}/')}"
        self._test.switch()
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
            return self._store.files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def read(self, path: str) -> bytes:
        return self._operation("read", path, lambda: self._get(path))

    def read_start(self, path: str, size: int) -> bytes:
        content = self._operation("read", path, lambda: self._get(path)[:size])
        self._seen_owner = digest_in(content)
        return content

    def _list(self, folder: str, wanted: Callable[[str], bool]) -> list[File]:
        return self._operation(
            "list",
            folder,
            lambda: [File(path, len(content)) for path, content in self._store.files.items() if wanted(path)],
        )

    def list_folder(self, folder: str) -> list[File]:
        return self._list(folder, lambda path: path.startswith(f"{folder}/") and not TEMPORARY.search(path))

    def list_temporary(self, folder: str) -> list[File]:
        return self._list(folder, lambda path: path.rpartition("/")[0] == folder and bool(TEMPORARY.search(path)))

    def check_writable(self, folder: str) -> None:
        probe = self._temporary(f"{folder}/probe")
        self._operation("probe", folder, lambda: None, lambda: self._store.files.update({probe: b""}))

    def write(self, path: str, content: bytes) -> None:
        if path.startswith(f"{FOLDER}/"):
            assert path.endswith(PLAN_FILE) or self._seen_owner == self.owner, "it has not asked"
        while self._local:
            temporary = self._temporary(path)
            self._operation(
                "begin",
                path,
                lambda: self._store.files.update({temporary: content}),  # noqa: B023 (it is called at once)
                lambda: self._store.files.update({temporary: content[:1]}),  # noqa: B023
            )
            if self._operation("write", path, lambda: self._rename(temporary, path)):  # noqa: B023
                return
        self._operation("write", path, lambda: self._put(path, content))

    def _put(self, path: str, content: bytes) -> None:
        self._store.put(path, content, self)
        if self._store.late.get(path) is self:
            self._late.add(path)

    def _rename(self, temporary: str, path: str) -> bool:
        """Whether it could: another run may have deleted the temporary file."""
        if temporary not in self._store.files:
            return False
        self._put(path, self._store.files.pop(temporary))
        return True

    def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            self._operation("delete", path, lambda: self._delete(path))  # noqa: B023 (it is called at once)

    def _delete(self, path: str) -> None:
        own = TEMPORARY.search(path) or path.endswith(f"/{SUCCESS_FILE}") or path in self._late
        assert own or path not in self._store.files or self._may_delete(path), f"{path} is lost"
        self._store.drop(path, self)


@dataclass(frozen=True)
class StillFiles:
    """What somebody sees who looks at the store while everything stands still; nobody writes through it."""

    store: Store

    def read(self, path: str) -> bytes:
        if path not in self.store.files:
            raise FileNotFoundError(path)
        return self.store.files[path]

    def read_start(self, path: str, size: int) -> bytes:
        return self.read(path)[:size]

    def list_folder(self, folder: str) -> list[File]:
        return [
            File(path, len(content))
            for path, content in self.store.files.items()
            if path.startswith(f"{folder}/") and not TEMPORARY.search(path)
        ]

    def list_temporary(self, folder: str) -> list[File]:
        raise NotImplementedError(folder)

    def check_writable(self, folder: str) -> None:
        raise NotImplementedError(folder)

    def write(self, path: str, content: bytes) -> None:
        raise NotImplementedError(path, content)

    def delete(self, paths: Sequence[str]) -> None:
        raise NotImplementedError(paths)


@dataclass(frozen=True)
class FolderInMemory(PublishedFolder):
    """A published folder whose files are in memory."""

    reached_by: Files = field(compare=False)

    @property
    def files(self) -> Files:
        return self.reached_by


@dataclass(frozen=True)
class RunInMemory(RunDirectory):
    """A run directory whose files are in memory."""

    reached_by: Files = field(compare=False)

    @property
    def files(self) -> Files:
        return self.reached_by
