"""Reads an output as it is: the names of its files, and the three of them that describe the others."""

from dataclasses import dataclass
from functools import cached_property

from bulklabel.model.errors import UserError
from bulklabel.transforms.files import files
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, PLAN_FILE, PUBLISHED, SUCCESS_FILE
from bulklabel.transforms.run_directory.finished_run import runs_below
from bulklabel.transforms.run_directory.manifest import Manifest, read_manifest
from bulklabel.transforms.run_directory.parts import PART_KINDS, PREDICTIONS
from bulklabel.transforms.run_directory.plan import Plan, read_plan

PART_FOLDERS = tuple(f"{kind}/" for kind in PART_KINDS)


@dataclass(frozen=True)
class OutputFiles:
    """Holds an output's absolute path, the names of all files in it, and the content of three, None if missing."""

    path: str
    names: frozenset[str]
    success: bytes | None
    manifest_content: bytes | None
    plan_content: bytes | None

    @property
    def plan(self) -> Plan | None:
        """Returns the plan to check the output against; None if it cannot be read or the manifest is another's."""
        agrees = self.saved_plan and (self.manifest is None or self.manifest.plan == self.saved_plan.digest)
        return self.saved_plan if agrees else None

    @cached_property
    def saved_plan(self) -> Plan | None:
        """Returns what `plan.json` holds, None if it cannot be read or has another digest than it says."""
        try:
            return read_plan(self.plan_content or b"")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    @cached_property
    def manifest(self) -> Manifest | None:
        """Returns the manifest, None if it cannot be read."""
        try:
            return read_manifest(self.manifest_content or b"")
        except ValueError:
            return None

    @property
    def scored_rows(self) -> list[int]:
        """Returns how many rows each shard's part of predictions has by the manifest; empty without it or the plan."""
        if self.plan is None or self.manifest is None:
            return []
        parts, stamp = self.manifest.parts, self.plan.stamp
        entries = [parts.get(stamp.name(PREDICTIONS, shard)) for shard in self.plan.shards]
        return [max(0, int(entry["rows"])) if entry else 0 for entry in entries]

    def read(self, name: str) -> bytes | None:
        """Returns a file's bytes, None if it does not exist.

        Raises:
            StoreError: if the store fails.
        """
        try:
            return files.read(files.join(self.path, name))
        except FileNotFoundError:
            return None


def read_output(output: str) -> OutputFiles:
    """Reads the output that a user named.

    Raises:
        UserError: if none of its files is a run's.
    """
    path = files.absolute(output)
    names = frozenset(file.path.removeprefix(f"{path}/") for file in files.list_folder(path))
    if not names & {SUCCESS_FILE, PLAN_FILE, *PUBLISHED} and not any(name.startswith(PART_FOLDERS) for name in names):
        below = runs_below(path, output)
        raise UserError(
            f"{output} holds no run{below}; give an --output of `bulklabel score`, `evaluate` or `compare`."
        )
    unread = OutputFiles(path, names, None, None, None)
    return OutputFiles(path, names, *map(unread.read, (SUCCESS_FILE, MANIFEST_FILE, PLAN_FILE)))
