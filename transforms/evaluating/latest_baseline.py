"""Chooses what `--baseline latest` is, the newest finished run beside an output, and keeps the choice there.

The choice is written down when the run begins: the same command, after a crash or on another day, compares with the
same run, whatever has finished meanwhile, and even if that run is gone by then.
"""

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bulklabel.model.errors import StoreError, UserError
from bulklabel.model.metrics.by_name import number_of
from bulklabel.model.metrics.requirements import LATEST, Gates, Requirement
from bulklabel.transforms.answers.find_answers import ANSWERS
from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.evaluating.baseline import differing_labels, numbers_of
from bulklabel.transforms.files import files
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.run_directory.file_names import BASELINE_FILE, MANIFEST_FILE, METRICS_FILE
from bulklabel.transforms.run_directory.finished_run import find_run
from bulklabel.transforms.run_directory.parts import REJECTED
from bulklabel.transforms.run_directory.published_folder import PublishedFolder

HEAD_BYTES = 2**16
"""What is read of each manifest beside the output: its time and its model stand before its thousands of parts."""

FIRST_ENDED = re.compile(rb'^    "(?:first_)?ended": "([^"]*)"', re.MULTILINE)
MODEL = re.compile(rb'^  "model_digest": "([^"]*)"', re.MULTILINE)
"""Lines of a manifest as it is written; no text in it has a line end of its own.

A run that was judged again has two times: what it was made of is as old as it was at the first.
"""

OF, NUMBERS = "of", "numbers"
"""What the choice belongs to, the digest of a plan or of predictions; and what is compared."""

FOUND = ("same_model", "metrics_sha256", NUMBERS)
"""What a choice has besides if there is a run."""

SHOWN = ("folder", "run", "ended", "passed_over")
"""What `metrics.json` has of a choice: where runs were looked for; the one, or None; its end; and why not others."""

MOST_PASSED_OVER = 20


@dataclass(frozen=True)
class Asked:
    """Describes the run that asks for a baseline.

    `of` is the digest of what it is made of, `model` that of its model, if there is one; an evaluation is compared with
    evaluations alone, and a run with runs.
    """

    of: str
    model: str | None
    labels: Sequence[str]
    is_evaluation: bool = False


@dataclass(frozen=True)
class Neighbour:
    """Holds a folder beside the output as far as the head of its manifest tells.

    `ended` is empty in a manifest of an earlier version, and None in one that may not be read.
    """

    path: str
    ended: str | None
    model: str | None


def with_latest(gates: Gates, folder: PublishedFolder, asked: Asked) -> Gates:
    """Returns the gates with the newest finished run beside the folder, or with the one that was chosen before.

    Gates that do not ask for it stay as they are. Writes nothing.

    Raises:
        StoreError: if the folders there cannot be listed or read; `UserError` within `fail_fast`.
    """
    if gates.baseline != LATEST:
        return gates
    choice = _kept(folder, asked.of, gates.requirements) or _choose(folder.path, asked, gates.requirements)
    if choice["run"] is None:
        return replace(gates, choice=choice)
    return replace(
        gates, baseline=choice["run"], digest=choice["metrics_sha256"], before=choice[NUMBERS], choice=choice
    )


def keep_choice(folder: PublishedFolder, gates: Gates) -> None:
    """Writes down what was chosen, if anything was asked for, unless that is there already."""
    for name, content in chosen_file(gates).items():
        if folder.read_if_there(name) != content:
            folder.withdraw()
            folder.write(name, content)


def chosen_file(gates: Gates) -> dict[str, bytes]:
    """Returns the file that keeps the choice, by its name; nothing if there was none to make."""
    if gates.choice is None:
        return {}
    return {BASELINE_FILE: json.dumps(gates.choice, ensure_ascii=False, allow_nan=False).encode() + b"\n"}


def choice_line(gates: Gates) -> str:
    """Returns one line on what was chosen and what was passed over; empty if there was nothing to choose."""
    if gates.choice is None:
        return ""
    passed_over: Mapping[str, str] = gates.choice["passed_over"]
    examples = ", ".join(f"{path} ({reason})" for path, reason in list(passed_over.items())[:3])
    others = f"; passed over: {examples}" + ", …" * (len(passed_over) > 3) if passed_over else ""
    if gates.choice["run"] is not None:
        model = "" if gates.choice["same_model"] else ", of another model"
        return f"baseline: {gates.choice['run']}, which ended {gates.choice['ended'] or 'long ago'}{model}{others}"
    waiting = [requirement.text for requirement in gates.requirements if requirement.needs_baseline]
    not_judged = f", so {', '.join(waiting)} will not be judged" if waiting else ""
    nothing = f"there is no finished run in {gates.choice['folder']} to compare with yet"
    return f"--baseline {LATEST}: {nothing}{not_judged}{others}"


def _kept(folder: PublishedFolder, of: str, requirements: Sequence[Requirement]) -> dict[str, Any] | None:
    """Returns the choice that was written down for the same plan or predictions; None if it lacks what is required."""
    try:
        choice: dict[str, Any] = json.loads(folder.read_if_there(BASELINE_FILE) or b"")
        found = choice["run"] is not None
        whole = all(name in choice for name in (*SHOWN, *(FOUND if found else ())))
        usable = whole and choice[OF] == of and not (found and _lacking(choice[NUMBERS], requirements))
        return choice if usable else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _choose(output: str, asked: Asked, requirements: Sequence[Requirement]) -> dict[str, Any]:
    """Returns the newest run of the same model, else of any with the same labels; as `baseline.json` has it."""
    folder = posixpath.dirname(files.place_of(output))
    places = {files.place_of(path) for path in files.list_folders(folder)}  # links may lead to some of them
    others = sorted(path for path in places if not files.same_place(path, output))
    heads = [head for head in map_in_threads(_head_of, others) if head is not None]
    passed_over = {escape_surrogates(head.path): "it may not be read" for head in heads if head.ended is None}
    readable = [head for head in heads if head.ended is not None]
    about = {OF: asked.of, "folder": escape_surrogates(folder)}
    for neighbour in sorted(readable, key=lambda each: (each.model == asked.model, each.ended or ""), reverse=True):
        content, fault = _finished(neighbour.path, asked.is_evaluation)
        numbers, fault = (None, fault) if content is None else _usable(content, asked.labels, requirements)
        if content is not None and numbers is not None:
            return {
                **about,
                "run": escape_surrogates(neighbour.path),
                "ended": neighbour.ended or None,
                "passed_over": passed_over,
                "same_model": neighbour.model == asked.model,
                "metrics_sha256": hashlib.sha256(content).hexdigest(),
                NUMBERS: numbers,
            }
        if fault and len(passed_over) < MOST_PASSED_OVER:
            passed_over[escape_surrogates(neighbour.path)] = fault
    return {**about, "run": None, "ended": None, "passed_over": passed_over}


def _head_of(path: str) -> Neighbour | None:
    """Returns what the head of a folder's manifest says; None if there is none."""
    try:
        head = files.read_start(files.join(path, MANIFEST_FILE), HEAD_BYTES)
    except FileNotFoundError:
        return None
    except (StoreError, UserError) as error:
        # A folder of somebody else's, such as lost+found, is nothing to fail for; a store that is away is.
        if isinstance(error.__cause__, PermissionError):
            return Neighbour(path, ended=None, model=None)
        raise
    times, models = ([text.decode(errors="replace") for text in line.findall(head)] for line in (FIRST_ENDED, MODEL))
    return Neighbour(path, min(times, default=""), next(iter(models), None))


def _finished(path: str, is_evaluation: bool) -> tuple[bytes | None, str]:
    """Returns the `metrics.json` of a finished run or evaluation; else None, and why unless it is the other kind."""
    folder = PublishedFolder(path)
    try:
        manifest = json.loads(folder.read_if_there(MANIFEST_FILE) or b"{}")
        if (ANSWERS if is_evaluation else REJECTED) not in manifest:
            return None, ""
        stated, fault = (folder if is_evaluation else find_run(path).directory).statement()
    except (ValueError, TypeError, RecursionError):
        return None, f"{MANIFEST_FILE} is damaged"
    except UserError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return None, "its plan is damaged or of another version"
    return (None, f"not finished: {fault}") if stated is None else (folder.read_if_there(METRICS_FILE), "")


def _usable(
    content: bytes, labels: Sequence[str], requirements: Sequence[Requirement]
) -> tuple[dict[str, Any] | None, str]:
    """Returns the numbers of a `metrics.json` that are compared; None and why, if they cannot be what is asked for."""
    try:
        numbers = numbers_of(content)
    except ValueError:
        return None, f"its {METRICS_FILE} is damaged or of another version"
    differing = differing_labels(labels, numbers)
    if differing:
        return None, f"other labels, such as {differing[0]!r}"
    if not numbers["counts"]["scored"]:
        return None, "it scored no record"
    lacking = _lacking(numbers, requirements)
    return (None, f"it has no {lacking}") if lacking else (numbers, "")


def _lacking(numbers: Mapping[str, Any], requirements: Sequence[Requirement]) -> str:
    """Returns the first number that a limit is made of and that is not there, or undefined; empty if there is none."""
    return next((each.name for each in requirements if each.change is not None and _undefined(numbers, each)), "")


def _undefined(numbers: Mapping[str, Any], requirement: Requirement) -> bool:
    try:
        return number_of(numbers, requirement.metric, requirement.label) is None
    except KeyError:
        return True
