"""Finds answers again by the path of a run, or by that of an evaluation, which points at what it is of."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bulklabel.model.errors import UserError
from bulklabel.transforms.answers.answers import Answers
from bulklabel.transforms.answers.prediction_answers import PREDICTIONS, predictions_again
from bulklabel.transforms.answers.run_answers import PLAN, RUN, run_answers
from bulklabel.transforms.files import files
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, PLAN_FILE
from bulklabel.transforms.run_directory.finished_run import find_run
from bulklabel.transforms.truth.truth_source import TruthSource

ANSWERS = "answers"
"""The entry of an evaluation's manifest that says which answers it is of; no other manifest has it."""


def find_answers(path: str) -> Answers:
    """Returns the answers of a run or an evaluation that was published, by the thresholds and the truth of that.

    Raises:
        UserError: if there is neither, or what was evaluated is not there any more as it was.
    """
    manifest = evaluation_manifest(path)
    return run_answers(find_run(path)) if manifest is None else evaluated_answers(path, manifest)


def evaluation_manifest(path: str) -> dict[str, Any] | None:
    """Returns the manifest in a folder of `bulklabel evaluate`; None where a run is, or nothing, or something else."""
    place = files.absolute(path)
    if files.exists(files.join(place, PLAN_FILE)):
        return None
    try:
        manifest: Any = json.loads(files.read(files.join(place, MANIFEST_FILE)))
    except (FileNotFoundError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and ANSWERS in manifest else None


def evaluated_answers(path: str, manifest: Mapping[str, Any]) -> Answers:
    """Returns the answers that an evaluation was made of, by its thresholds and its truth.

    Raises:
        UserError: if they are not there any more, or the manifest is damaged.
    """
    try:
        kept = manifest[ANSWERS]
        thresholds = tuple(float(threshold) for threshold in kept["thresholds"])
        truth = None if kept["truth"] is None else TruthSource.from_json(kept["truth"])
        evaluated = {"group_by": manifest["group_by"], "counts": manifest["counts"]}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}/{MANIFEST_FILE} cannot be read ({error}); evaluate again.") from error
    answers = predictions_again(path, kept) if PREDICTIONS in kept else _run_of(path, kept)
    if len(thresholds) != len(answers.labels):
        raise UserError(f"{path}/{MANIFEST_FILE} has not one threshold for each label; evaluate again.")
    about = {**answers.about, **({RUN: manifest[RUN]} if RUN in manifest else {})}
    return replace(answers, path=path, thresholds=thresholds, truth=truth, about=about, **evaluated)


def _run_of(path: str, kept: Mapping[str, Any]) -> Answers:
    """Returns the answers of the run that an evaluation points at."""
    place = str(kept[RUN])
    try:
        answers = run_answers(find_run(place))
    except UserError as error:
        raise UserError(f"{path} is an evaluation of a run that no longer exists: {error}") from error
    if answers.origin[PLAN] != kept[PLAN]:
        raise UserError(
            f"{path} is an evaluation of plan {kept[PLAN][:12]}…, and {place} now holds {answers.origin[PLAN][:12]}…; "
            "evaluate again."
        )
    return answers
