"""A run that was published, found again by its output's path."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bulklabel.model.errors import UserError
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.path_names import is_remote
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, PLAN_FILE
from bulklabel.transforms.run_directory.parts import PART_KINDS, Entry
from bulklabel.transforms.run_directory.plan import Plan, read_plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory


def runs_below(place: str, output: str) -> str:
    """Returns words on a run in a folder below a local one that is none, where there is one; else an empty text."""
    if is_remote(place):
        return ""
    names = sorted(str(path.parent.relative_to(place)) for path in Path(place).glob(f"*/{PLAN_FILE}"))
    return f", but there is a run in {output}/{names[0]}" if names else ""


def load_run(output: str) -> Plan:
    """Returns the plan of a run that was published.

    Raises:
        UserError: if there is no such run, or it has not finished.
    """
    place = files.absolute(output)
    for name in (MANIFEST_FILE, PLAN_FILE):
        if not files.exists(files.join(place, name)):
            raise UserError(
                f"{output} is not a finished run: {name} is missing{runs_below(place, output)}; give an --output of "
                "`bulklabel score`."
            )
    try:
        return read_plan(files.read(files.join(place, PLAN_FILE)))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{output}/{PLAN_FILE} cannot be read ({error}); score again with --overwrite.") from error


@dataclass(frozen=True)
class FinishedRun:
    """Holds a run that was published: the path as the user named it, its folder, its plan, and its manifest."""

    path: str
    directory: RunDirectory
    plan: Plan
    manifest: dict[str, Any]

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Returns what the manifest says of each part, by its name below the output."""
        return {entry["name"]: entry for kind in PART_KINDS for entry in self.manifest[kind]}

    @property
    def scored(self) -> int:
        """Returns how many records it scored."""
        return int(self.manifest["counts"]["scored"])

    @property
    def group_by(self) -> str | None:
        """Returns the column whose records of one value belong together; None if none was named."""
        column = self.manifest.get("group_by")
        return None if column is None else str(column)


def find_run(output: str) -> FinishedRun:
    """Returns a run that was published.

    Raises:
        UserError: if there is no such run, it has not finished, or its manifest cannot be read.
    """
    plan = load_run(output)
    directory = RunDirectory(files.absolute(output), plan.stamp)
    try:
        run = FinishedRun(output, directory, plan, json.loads(files.read(files.join(directory.path, MANIFEST_FILE))))
        _ = run.scored
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{output}/{MANIFEST_FILE} cannot be read ({error}); score again with --overwrite.") from error
    return run
