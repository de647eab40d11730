"""RunDirectory: the folder of one plan's run, and the protocol by which its files are written and completed.

Any number of processes write there at once, and each may die or sleep at any moment. Nothing is locked: a lock that a
dead run leaves behind would have to be broken by hand. What holds instead:

- `plan.json` says whose the folder is. It is read before and after each file is written, so a run whose folder was
  given to another plan stops, and takes back what it wrote last.
- A part's bytes follow from the plan, so that two runs of one plan may both write it.
- `_SUCCESS` comes last and holds the SHA-256 of `manifest.json`, which holds those of all other files.

One window is left: a run may sleep between reading `plan.json` and writing its file, and wake up in the folder of
another plan, perhaps after that one's `_SUCCESS`. It then takes `_SUCCESS` and its own file back, so the other plan's
run is unfinished rather than wrong; if it dies before it has done so, `bulklabel verify` finds the foreign file.
"""

import contextlib
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.errors import StoreError, UserError
from bulklabel.model.labels.predictions import metadata_of
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, PLAN_FILE, PUBLISHED, SUCCESS_FILE
from bulklabel.transforms.run_directory.parts import PART_KINDS, PART_NAME, Part, PartStamp
from bulklabel.transforms.run_directory.plan import DIGEST_BYTES, Plan, digest_in


class Files(Protocol):
    """Lists the functions of `transforms.files.files` that a run directory uses."""

    def read(self, path: str) -> bytes:
        """Returns a file's bytes; raises `FileNotFoundError` if there is no such file."""

    def read_start(self, path: str, size: int) -> bytes:
        """Returns at most the first `size` bytes of a file; raises `FileNotFoundError` if there is no such file."""

    def list_folder(self, folder: str) -> list[File]:
        """Returns all files below a folder."""

    def list_temporary(self, folder: str) -> list[File]:
        """Returns the temporary files of writers, alive or dead, in a folder."""

    def check_writable(self, folder: str) -> None:
        """Raises `UserError` if the folder cannot be written."""

    def write(self, path: str, content: bytes) -> None:
        """Makes a file whole or not at all, replacing what was there."""

    def delete(self, paths: Sequence[str]) -> None:
        """Deletes files, in any order; those that are not there are gone already."""


class State(Enum):
    """Says what is left to do for a plan in its folder."""

    FINISHED = "finished"
    CONTINUES = "continues"
    STARTS = "starts"
    REPLACES = "replaces"


@dataclass(frozen=True)
class RunDirectory:
    """Reads, writes, checks and completes the folder of a plan's run; `path` is absolute, `stamp` the plan's.

    It holds no connection and no state, so it can be pickled, compared and hashed.
    """

    path: str
    stamp: PartStamp

    @property
    def files(self) -> Files:
        """Returns the functions by which it reaches its files; tests put a store in memory here."""
        return files

    def state(self, plan: Plan, overwrite: bool) -> State:
        """Decides what is left to do for the plan. Writes nothing.

        Raises:
            UserError: if another plan's run is there, or parts without a plan, and `overwrite` is not set.
        """
        saved = self._saved_plan()
        if saved is None:
            if not any(self.files.list_folder(self._path_of(kind)) for kind in PART_KINDS):
                return State.STARTS
            saved = self._saved_plan()  # another run may have started since: it writes its plan before its parts
        if saved is None:
            if not overwrite:
                raise UserError(
                    f"{self.path} holds parts but no {PLAN_FILE}; "
                    "give another --output, or --overwrite to replace them."
                )
            return State.REPLACES
        differences = plan.differences(saved)
        if not differences:
            return State.FINISHED if self._success_is_valid() else State.CONTINUES
        if not overwrite:
            raise UserError(
                f"{self.path} holds another plan ({differences}); give another --output, or --overwrite to replace it."
            )
        return State.REPLACES

    def start(self, plan: Plan, overwrite: bool) -> None:
        """Makes the folder this plan's, and clears what dead runs and other plans left there.

        The state is decided anew, since other runs may have come meanwhile. A run that starts in an empty folder, or
        that continues, deletes nothing that another run of its plan has made, but for temporary files, which their
        writers make again, and for a `_SUCCESS` that does not name the manifest.

        Raises:
            UserError: if the folder cannot be written, or is another plan's and `overwrite` is not set.
        """
        state = self.state(plan, overwrite)
        if state is State.FINISHED:
            return
        if state is not State.CONTINUES:
            self.files.check_writable(self.path)
            if state is State.REPLACES:
                self._remove_other_plan()
            self.files.write(self._path_of(PLAN_FILE), plan.to_json())
        # Another plan's run may have finished just before the folder became this plan's, even in an empty folder.
        if state is State.REPLACES or self._success_is_valid() is False:
            self.files.delete([self._path_of(SUCCESS_FILE)])
        self._clear()

    def reopen(self) -> None:
        """Deletes the `_SUCCESS` of a finished run, which is about to be published again with other requirements.

        Temporary files that dead runs left are deleted, too.

        Raises:
            UserError: if the folder cannot be written.
        """
        self.files.check_writable(self.path)
        self.files.delete([self._path_of(SUCCESS_FILE)])
        self._clear()

    def owner(self) -> str:
        """Returns the digest of the plan whose folder this is now; empty if `plan.json` cannot be read as one.

        Raises:
            FileNotFoundError: if there is no `plan.json`.
        """
        return digest_in(self.files.read_start(self._path_of(PLAN_FILE), DIGEST_BYTES))

    def check_ownership(self) -> None:
        """Checks that the folder still is this plan's.

        Raises:
            StoreError: if another plan has replaced it, or it is gone.
        """
        try:
            owner = self.owner()
        except FileNotFoundError:
            owner = ""
        if owner != self.stamp.plan_digest:
            what = "another run replaced this one's plan" if owner else f"somebody deleted {PLAN_FILE}"
            raise StoreError(
                f"{self.path}: {what} while it went on, so it has stopped; give each plan its own --output."
            )

    def read(self, name: str) -> bytes:
        """Returns the bytes of a file of this run, by its name below the folder.

        Raises:
            StoreError: if the folder is another plan's, or the file is gone.
        """
        self.check_ownership()
        try:
            return self.files.read(self._path_of(name))
        except FileNotFoundError as error:
            self.check_ownership()
            raise StoreError(
                f"{self.path}: {name} vanished while the run went on; run the same command again."
            ) from error

    def write(self, name: str, content: bytes) -> None:
        """Writes a file of this run, and takes it back if the folder has become another plan's meanwhile.

        Raises:
            StoreError: if the folder is another plan's.
        """
        path = self._path_of(name)
        self.check_ownership()
        self.files.write(path, content)
        try:
            self.check_ownership()
        except StoreError:
            self._take_back(name, content)
            raise

    def read_part(self, kind: str, shard: Shard) -> Part | None:
        """Returns a shard's part as an earlier run of the same plan left it; None if it must be made.

        Args:
            kind: `predictions` or `rejected`.
            shard: of this plan.
        """
        name = self.stamp.name(kind, shard)
        try:
            content = self.files.read(self._path_of(name))
            table = pq.read_table(io.BytesIO(content), page_checksum_verification=True)
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError) as error:
            raise_if_store_failed(error)
            return None
        belongs = self.stamp.metadata(shard).items() <= metadata_of(table.schema).items()
        return Part(name, table, content) if belongs else None

    def check_parts(self, entries: Iterable[Mapping[str, str | int]]) -> None:
        """Checks that the parts in the folder are the very ones that the manifest names, by name and size.

        Raises:
            StoreError: if one is missing, has another size, or belongs to no shard.
        """
        expected = {self._path_of(str(entry["name"])): entry["bytes"] for entry in entries}
        sizes = {file.path: file.size for file in self._parts()}
        for path in sorted(expected.keys() | sizes.keys()):
            if expected.get(path) != sizes.get(path):
                raise StoreError(f"{path} was written or deleted by another run; run the same command again.")

    def complete(self) -> None:
        """Writes `_SUCCESS`, the SHA-256 of `manifest.json`, as `write` does.

        Two runs of one plan may end at once, and their manifests differ in their times. Whoever comes last must name
        the manifest that is there, so it is read again after each write.

        Raises:
            StoreError: if the folder is another plan's, or gone.
        """
        written = None
        try:
            while (success := _success_of(self.read(MANIFEST_FILE))) != written:
                self.write(SUCCESS_FILE, success)
                written = success
        except StoreError:  # the folder was another plan's and is this one's again, without the manifest
            if written is not None:
                self._take_back(SUCCESS_FILE, written)
            raise

    def _take_back(self, name: str, content: bytes) -> None:
        """Deletes a file that was written too late, unless another run has replaced it, and `_SUCCESS` before it."""
        with contextlib.suppress(FileNotFoundError):
            if self.files.read(self._path_of(name)) == content:
                self.files.delete([self._path_of(SUCCESS_FILE)])
                self.files.delete([self._path_of(name)])

    def _saved_plan(self) -> bytes | None:
        try:
            return self.files.read(self._path_of(PLAN_FILE))
        except FileNotFoundError:
            return None

    def _success_is_valid(self) -> bool | None:
        """Returns whether `_SUCCESS` names a manifest of this plan; None if there is no `_SUCCESS`.

        It may not: another run of the plan replaced the manifest, and died before it wrote its own `_SUCCESS`; or
        another plan's run finished just when its folder was given to this plan.
        """
        try:
            success = self.files.read(self._path_of(SUCCESS_FILE))
        except FileNotFoundError:
            return None
        try:
            manifest = self.files.read(self._path_of(MANIFEST_FILE))
            plan_digest = json.loads(manifest)["plan"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return False
        return bool(success == _success_of(manifest) and plan_digest == self.stamp.plan_digest)

    def _remove_other_plan(self) -> None:
        """Deletes what another plan's runs made, in such an order that none of them is taken for finished meanwhile.

        Without `plan.json` they stop before they write another file. One that had read it just before may still write
        `_SUCCESS`, so that is deleted twice here, and once more when the new plan is written down.
        """
        for name in (SUCCESS_FILE, PLAN_FILE, SUCCESS_FILE):
            self.files.delete([self._path_of(name)])
        self.files.delete([self._path_of(name) for name in PUBLISHED])
        self.files.delete([file.path for kind in PART_KINDS for file in self.files.list_folder(self._path_of(kind))])

    def _clear(self) -> None:
        """Deletes what no shard of the plan will replace: temporary files of dead runs, and other plans' parts."""
        folders = [self.path, *(self._path_of(kind) for kind in PART_KINDS)]
        stale = [file.path for folder in folders for file in self.files.list_temporary(folder)]
        foreign = [file.path for file in self._parts() if self.stamp.is_foreign(file.path)]
        self.files.delete([*stale, *foreign])

    def _parts(self) -> list[File]:
        listing = [file for kind in PART_KINDS for file in self.files.list_folder(self._path_of(kind))]
        return [file for file in listing if PART_NAME.search(file.path)]

    def _path_of(self, name: str) -> str:
        return files.join(self.path, name)


def _success_of(manifest: bytes) -> bytes:
    """Returns the content of `_SUCCESS` for a manifest."""
    return f"{hashlib.sha256(manifest).hexdigest()}\n".encode()
