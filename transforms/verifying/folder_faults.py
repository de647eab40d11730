"""Checks the folder of an evaluation or a comparison: its files, and that what an evaluation points at is there."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bulklabel.model.errors import UserError
from bulklabel.transforms.answers.answers import Answers
from bulklabel.transforms.answers.find_answers import ANSWERS, evaluated_answers
from bulklabel.transforms.files.stores.path_names import TEMPORARY
from bulklabel.transforms.run_directory.file_names import BASELINE_FILE, MANIFEST_FILE, SUCCESS_FILE
from bulklabel.transforms.run_directory.manifest import file_fault
from bulklabel.transforms.run_directory.parts import Entry
from bulklabel.transforms.run_directory.success import success_fault
from bulklabel.transforms.verifying.output_files import PART_FOLDERS, OutputFiles

EVALUATE, COMPARE = "evaluate", "compare"


@dataclass(frozen=True)
class PublishedFiles:
    """Holds what the manifest of an evaluation or a comparison says, and its files' entries by name."""

    command: str
    manifest: Mapping[str, Any]
    entries: Mapping[str, Entry]

    @property
    def again(self) -> str:
        """Returns what makes it anew."""
        return f"run the same `bulklabel {self.command}` again" if self.command else "run the same command again"


def published_files(output: OutputFiles) -> PublishedFiles | None:
    """Returns what was published in a folder that is no run's; None if it is a run's.

    Where the manifest is gone or damaged nobody can tell what it listed, and by which command.
    """
    has_parts = any(name.startswith(PART_FOLDERS) for name in output.names)
    if has_parts or output.plan_content is not None or output.manifest is not None:
        return None
    try:
        manifest = json.loads(output.manifest_content or b"")
        command = EVALUATE if ANSWERS in manifest else COMPARE if "runs" in manifest else ""
        entries = {str(entry["name"]): entry for entry in manifest["published"]}
        _ = [(int(entry["bytes"]), str(entry["sha256"])) for entry in entries.values()]
    except (ValueError, KeyError, TypeError, RecursionError):
        return PublishedFiles("", {}, {})
    return PublishedFiles(command, manifest, entries)


def folder_faults(path: str, output: OutputFiles, published: PublishedFiles) -> Iterator[str]:
    """Yields every fault of such a folder, one line each; `path` is as the user named it.

    Raises:
        StoreError: if the store fails.
    """
    if output.success is None and published.manifest.get("accepted") is False:
        yield f"{SUCCESS_FILE} is missing: it was not accepted; {MANIFEST_FILE} and report.html say why"
    elif fault := success_fault(output.success, output.manifest_content):
        yield fault
    for name in sorted(published.entries):
        fault = file_fault(name, output.read(name), published.entries[name])
        if fault:
            yield fault
    others = output.names - {SUCCESS_FILE, MANIFEST_FILE, BASELINE_FILE} - published.entries.keys()
    for name in sorted(others) if published.entries else ():
        if TEMPORARY.search(f"/{name}"):
            yield f"{name} is a temporary file of a command that was killed; delete it"
        elif "/" not in name:
            yield f"{name} does not belong to it; put it elsewhere"
    if published.command == EVALUATE:
        yield from _answers_faults(path, published.manifest)


def _answers_faults(path: str, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yields why an evaluation could not be made again from what it was made of."""
    try:
        answers: Answers = evaluated_answers(path, manifest)
    except UserError as error:
        yield f"{error}"
        return
    changed = None if answers.truth is None else answers.truth.changed_file()
    if changed is not None:
        yield f"truth: {changed} is not what it was when this was evaluated by it"
