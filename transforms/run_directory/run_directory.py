"""RunDirectory: the folder of one plan's run, and the protocol by which its files are written and completed.

Any number of processes write there at once, and each may die or sleep at any moment. Nothing is locked: a lock that a
dead run leaves behind would have to be broken by hand. What holds instead:

- `plan.json` says whose the folder is. It is read before and after each file is written, so a run whose folder was
  given to another plan stops, and takes back what it wrote last.
- A part's bytes follow from the plan, so that two runs of one plan may both write it. Its name has the start of the
  plan's digest, so that no run of another plan replaces it.
- `_SUCCESS` comes last and holds the SHA-256 of `manifest.json`, which holds those of all other files. Whoever finds
  it reads it: that it exists proves nothing. It is deleted before anything that it is about is replaced.

A run may sleep between reading `plan.json` and writing its file, and wake up in the folder of another plan, perhaps
after that one's `_SUCCESS`. It then takes `_SUCCESS` and its own file back: the other plan's run is unfinished rather
than wrong. If it dies before it has done so, `_SUCCESS` says nothing any more: it is not of this manifest, or a file is
not the one that this lists, or there is a part that belongs to no shard. The same command mends it.
"""

import contextlib
import json
import posixpath
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from enum import Enum

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.errors import StoreError, UserError
from bulklabel.model.labels.predictions import metadata_of
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.file_names import (
    BASELINE_FILE,
    MANIFEST_FILE,
    PLAN_FILE,
    PUBLISHED,
    SUCCESS_FILE,
)
from bulklabel.transforms.run_directory.parts import PART_KINDS, PART_NAME, PASSING, REJECTED, Part, PartStamp
from bulklabel.transforms.run_directory.plan import DIGEST_BYTES, Plan, digest_in
from bulklabel.transforms.run_directory.published_folder import PublishedFolder
from bulklabel.transforms.run_directory.success import requests_same

NO_SHARD = Shard(0, "", 0, None, 0, None)


class State(Enum):
    """Says what is left to do for a plan in its folder."""

    FINISHED = "finished"
    CONTINUES = "continues"
    STARTS = "starts"
    REPLACES = "replaces"


@dataclass(frozen=True)
class RunDirectory(PublishedFolder):
    """Reads, writes, checks and completes the folder of a plan's run; `stamp` is the plan's."""

    stamp: PartStamp

    def state(self, plan: Plan, overwrite: bool) -> State:
        """Decides what is left to do for the plan. Writes nothing.

        Raises:
            UserError: if another plan's run is there, or parts without a plan, and `overwrite` is not set; or if there
                are files that no run has made, and that would be replaced.
        """
        saved = self.read_if_there(PLAN_FILE)
        if saved is None:
            there = self._names_there()
            if not there:
                return State.STARTS
            saved = self.read_if_there(PLAN_FILE)  # another run may have started since: it writes its plan first
        if saved is None:
            if not self._holds_a_run():
                raise self._not_ours(there[0])
            if not overwrite:
                raise UserError(
                    f"{self.path} holds parts but no {PLAN_FILE}; "
                    "give another --output, or --overwrite to replace them."
                )
            return State.REPLACES
        if not digest_in(saved):
            raise self._not_ours(PLAN_FILE)
        differences = plan.differences(saved)
        if not differences:
            return State.FINISHED if self._is_finished() else State.CONTINUES
        if not overwrite:
            raise UserError(
                f"{self.path} holds another plan ({differences}); give another --output, or --overwrite to replace it."
            )
        return State.REPLACES

    def start(self, plan: Plan, overwrite: bool) -> None:
        """Makes the folder this plan's, and clears what dead runs and other plans left there.

        The state is decided anew, since other runs may have come meanwhile. A run that starts in an empty folder, or
        that continues, deletes nothing that another run of its plan has made, but for temporary files, which their
        writers make again, and for a `_SUCCESS` that is no statement about what is there.

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
            self.files.write(self.path_of(PLAN_FILE), plan.to_json())
        # Another plan's run may have finished just before the folder became this plan's, even in an empty folder.
        # One that is not there is not deleted: a run of this plan may just be about to write it.
        there = self.read_if_there(SUCCESS_FILE) is not None
        if state is State.REPLACES or (there and not self._is_finished()):
            self.files.delete([self.path_of(SUCCESS_FILE)])
        self._clear()

    def reopen(self) -> None:
        """Deletes the `_SUCCESS` of a finished run, which is about to be published again with other requirements.

        Temporary files that dead runs left are deleted, too.

        Raises:
            UserError: if the folder cannot be written.
        """
        self.files.check_writable(self.path)
        self.withdraw()
        self._clear()

    def owner(self) -> str:
        """Returns the digest of the plan whose folder this is now; empty if `plan.json` cannot be read as one.

        Raises:
            FileNotFoundError: if there is no `plan.json`.
        """
        return digest_in(self.files.read_start(self.path_of(PLAN_FILE), DIGEST_BYTES))

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
            return self.files.read(self.path_of(name))
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
        path = self.path_of(name)
        self.check_ownership()
        self.files.write(path, content)
        try:
            self.check_ownership()
        except StoreError:
            self.take_back(name, content)
            raise

    def read_part(self, kind: str, shard: Shard) -> Part | None:
        """Returns a shard's part as an earlier run of the same plan left it; None if it must be made.

        Args:
            kind: `predictions` or `rejected`.
            shard: of this plan.
        """
        name = self.stamp.name(kind, shard)
        try:
            content = self.files.read(self.path_of(name))
            table = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True).read()
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError) as error:
            raise_if_store_failed(error)
            return None
        belongs = self.stamp.metadata(shard).items() <= metadata_of(table.schema).items()
        return Part(name, table, content) if belongs else None

    def shards_left(self) -> list[int]:
        """Returns the numbers of the shards of this plan that lack a part of either kind, by the names of the files."""
        there = set(self._part_names())
        names = (
            (index, {self.stamp.name_of(kind, index) for kind in PART_KINDS}) for index in range(self.stamp.shards)
        )
        return [index for index, wanted in names if not wanted <= there]

    def publish(self, content: Mapping[str, bytes], manifest: bytes) -> None:
        """Publishes as every folder is, unless another run of the plan, asked for the same, has done so already.

        Temporary files are deleted first: those of workers that died on the way, whose shards others have scored.

        Raises:
            StoreError: if the folder is another plan's or gone, or another run, asked for something else, publishes.
        """
        if not self.says_same(manifest, self.stated_manifest() or b""):
            self.files.delete(self._temporary_files())
            super().publish(content, manifest)

    def says_same(self, manifest: bytes, other: bytes) -> bool:
        """Tells whether both manifests were accepted, of this plan, under the same; their times may differ."""
        return requests_same(manifest, other)

    def withdraw(self) -> None:
        """Deletes `_SUCCESS`, be it that of another run of this plan, before what it is about is replaced.

        Raises:
            StoreError: if the folder is another plan's, or gone.
        """
        self.check_ownership()
        super().withdraw()

    def content_fault(self, manifest: bytes) -> str | None:
        """Returns why the folder does not hold what a manifest of this plan lists; None if it does.

        Of the parts, which are large, name and size are looked at, and of the other files every byte.
        """
        try:
            content = json.loads(manifest)
            sizes = {str(entry["name"]): int(entry["bytes"]) for kind in PART_KINDS for entry in content[kind]}
            if content["plan"] != self.stamp.plan_digest:
                return f"{MANIFEST_FILE} is another plan's"
        except (KeyError, TypeError, ValueError):
            return f"{MANIFEST_FILE} is damaged, or no run's"
        return self._parts_fault(sizes) or super().content_fault(manifest)

    def _parts_fault(self, sizes: Mapping[str, int]) -> str | None:
        """Returns which part is missing, has another size than the manifest lists, or belongs to no shard."""
        planned = set(self.stamp.names)
        current = {file.path.removeprefix(f"{self.path}/"): file.size for file in self._parts()}
        for name in sorted(planned | sizes.keys() | current.keys()):
            if name not in planned or sizes.get(name) != current.get(name):
                return f"{name} is not the part that {MANIFEST_FILE} lists"
        return None

    def strangers(self) -> list[str]:
        """Returns the files among the parts that no run has made, by their names below the folder: they stay."""
        listed = self._listed_parts()
        return [name for name in self._names_there() if "/" in name and not self._is_own_part(name, listed)]

    def _remove_other_plan(self) -> None:
        """Deletes what another plan's runs made, in such an order that none of them is taken for finished meanwhile.

        Without `plan.json` they stop before they write another file. One that had read it just before may still write
        `_SUCCESS`, so that is deleted twice here, and once more when the new plan is written down. Parts come last:
        whoever finds the folder without a plan knows by them that a run was here. What no run has made stays.

        Raises:
            UserError: if there is a file that no run has made, and that all would take for a part.
        """
        listed = self._listed_parts()
        for name in self._part_names():
            if not self._is_own_part(name, listed):
                raise self._not_ours(name)
        for name in (SUCCESS_FILE, BASELINE_FILE, PLAN_FILE, SUCCESS_FILE):
            self.files.delete([self.path_of(name)])
        self.files.delete([self.path_of(name) for name in reversed(PUBLISHED)])
        self.files.delete([self.path_of(name) for name in self._part_names() if self._is_own_part(name, listed)])

    def _clear(self) -> None:
        """Deletes what no shard of the plan will replace: temporary files of dead runs, and other plans' parts."""
        foreign = [name for name in self._part_names() if self.stamp.is_foreign(f"/{name}")]
        parts = [self.path_of(name) for name in foreign if self._is_own_part(name, set())]
        self.files.delete([*self._temporary_files(), *parts])

    def _temporary_files(self) -> list[str]:
        folders = [self.path, *(self.path_of(kind) for kind in PART_KINDS)]
        return [file.path for folder in folders for file in self.files.list_temporary(folder)]

    def _is_finished(self) -> bool:
        """Tells whether `_SUCCESS` states what is there, and no record was rejected that another try may score."""
        manifest = self.stated_manifest()
        return manifest is not None and not any(PASSING in entry for entry in json.loads(manifest)[REJECTED])

    def _names_there(self) -> list[str]:
        """Returns the names, below the folder, of files that are where a run's are, whoever made them.

        Hidden ones are a file system's own, such as NFS's `.nfs…` for deleted files that are open, or a browser's.
        """
        inside = [file.path for kind in PART_KINDS for file in self.files.list_folder(self.path_of(kind))]
        beside = [name for name in (*PUBLISHED, BASELINE_FILE, SUCCESS_FILE) if self.read_if_there(name) is not None]
        names = [*beside, *(path.removeprefix(f"{self.path}/") for path in inside)]
        return [name for name in names if not posixpath.basename(name).startswith(".")]

    def _holds_a_run(self) -> bool:
        """Tells whether a run has left a manifest or a part, though its `plan.json` is gone."""
        return bool(self._listed_parts()) or any(self._is_own_part(name, set()) for name in self._part_names())

    def _listed_parts(self) -> set[str]:
        """Returns the names of the parts that the plan and the manifest that are there list."""
        names: set[str] = set()
        with contextlib.suppress(KeyError, TypeError, ValueError):
            plan = json.loads(self.read_if_there(PLAN_FILE) or b"")
            names |= set(replace(self.stamp, plan_digest=plan["digest"], shards=len(plan["shards"])).names)
        with contextlib.suppress(KeyError, TypeError, ValueError):
            manifest = json.loads(self.read_if_there(MANIFEST_FILE) or b"")
            names |= {str(entry["name"]) for kind in PART_KINDS for entry in manifest[kind]}
        return names

    def _is_own_part(self, name: str, listed: Set[str]) -> bool:
        """Tells whether a file, by its name below the folder, is a part that some run has made.

        One that nobody lists says it in its footer.
        """
        if name in listed:
            return True
        kind, _, rest = name.partition("/")
        if kind not in PART_KINDS or not PART_NAME.fullmatch(f"/{rest}"):
            return False
        try:
            schema = pq.read_schema(pa.BufferReader(self.read_if_there(name) or b""))
        except (pa.ArrowException, OSError) as error:
            raise_if_store_failed(error)
            return False
        return self.stamp.metadata(NO_SHARD).keys() <= metadata_of(schema).keys()

    def _not_ours(self, name: str) -> UserError:
        return UserError(f"{self.path} holds {name}, which no run has made; give another --output, or move it away.")

    def _part_names(self) -> list[str]:
        return [file.path.removeprefix(f"{self.path}/") for file in self._parts()]

    def _parts(self) -> list[File]:
        folders = [self.path_of(kind) for kind in PART_KINDS]
        listing = [(folder, file) for folder in folders for file in self.files.list_folder(folder)]
        return [file for folder, file in listing if PART_NAME.fullmatch(file.path.removeprefix(folder))]
