"""An output as it is found: the names of its files, and the three of them that speak of the others."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from bulklabel.model.errors import UserError
from bulklabel.transforms.files import files
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, PLAN_FILE, PUBLISHED, SUCCESS_FILE
from bulklabel.transforms.run_directory.manifest import Manifest, read_manifest
from bulklabel.transforms.run_directory.parts import KINDS, PREDICTIONS, Entry
from bulklabel.transforms.run_directory.plan import Plan, read_plan

PART_FOLDERS = tuple(f"{kind}/" for kind in KINDS)


@dataclass(frozen=True)
class Output:
    """An output: where it is, the names of all files in it, and what is in the three, None where one is missing."""

    place: str
    names: frozenset[str]
    success: bytes | None
    manifest_content: bytes | None
    plan_content: bytes | None

    @property
    def plan(self) -> Plan | None:
        """The plan to judge by: the one that can be read, unless the manifest is another's."""
        agrees = self.saved_plan and (self.manifest is None or self.manifest.plan == self.saved_plan.digest)
        return self.saved_plan if agrees else None

    @cached_property
    def saved_plan(self) -> Plan | None:
        """What `plan.json` holds, if it can be read and has the digest that it claims."""
        try:
            return read_plan(self.plan_content or b"")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    @cached_property
    def manifest(self) -> Manifest | None:
        """The manifest, if it can be read."""
        try:
            return read_manifest(self.manifest_content or b"")
        except ValueError:
            return None

    @property
    def scored_rows(self) -> list[int]:
        """How many rows each shard's part of predictions has by the manifest; empty where that or the plan is not."""
        if self.plan is None or self.manifest is None:
            return []
        parts, stamp = self.manifest.parts, self.plan.stamp
        entries = [parts.get(stamp.name(PREDICTIONS, shard)) for shard in self.plan.shards]
        return [max(0, int(entry["rows"])) if entry else 0 for entry in entries]

    def read(self, name: str) -> bytes | None:
        """A file's bytes, None if it is not there.

        Raises:
            StoreError: if the store fails.
        """
        try:
            return files.read(files.join(self.place, name))
        except FileNotFoundError:
            return None


def find_output(output: str) -> Output:
    """What is at an output, which the user named.

    Raises:
        UserError: if nothing there is of a run.
    """
    place = files.absolute(output)
    names = frozenset(file.path.removeprefix(f"{place}/") for file in files.list_folder(place))
    if not names & {SUCCESS_FILE, PLAN_FILE, *PUBLISHED} and not any(name.startswith(PART_FOLDERS) for name in names):
        raise UserError(f"{output} holds no run; give an --output of `bulklabel score`.")
    nothing = Output(place, names, None, None, None)
    return Output(place, names, *map(nothing.read, (SUCCESS_FILE, MANIFEST_FILE, PLAN_FILE)))


def file_fault(name: str, content: bytes | None, entry: Entry | None) -> str | None:
    """In words, why a file is not the one that the manifest has an entry of; None if it is."""
    if content is None:
        return f"{name} is missing"
    if entry is None:
        return f"{name} is not listed in {MANIFEST_FILE}"
    if len(content) != entry["bytes"]:
        return f"{name} has {len(content):,} bytes, and {MANIFEST_FILE} says {entry['bytes']:,}"
    digest, expected = hashlib.sha256(content).hexdigest(), str(entry["sha256"])
    if digest != expected:
        return f"{name} was changed: its SHA-256 is {digest[:12]}…, and {MANIFEST_FILE} says {expected[:12]}…"
    return None
