"""What is wrong with an output: the run as a whole, its parts, what was published, what does not belong there."""

import hashlib
from collections.abc import Iterator

from bulklabel.model.errors import UserError
from bulklabel.transforms.files.stores.path_names import TEMPORARY
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, PLAN_FILE, PUBLISHED, SUCCESS_FILE
from bulklabel.transforms.run_directory.parts import KINDS
from bulklabel.transforms.scoring.model_files import load_model
from bulklabel.transforms.verifying.found_output import PART_FOLDERS, Output, file_fault
from bulklabel.transforms.verifying.part_faults import part_faults, planned_parts

AGAIN = "run the same `bulklabel score` again"


class FaultsFoundError(Exception):
    """An output is not what its run left, or its run has not finished; the faults have been said, a line each."""


def output_faults(found: Output) -> Iterator[str]:
    """Every fault of an output, one line each, the model's apart.

    Raises:
        StoreError: if the store fails.
    """
    yield from _finish_faults(found)
    yield from _plan_faults(found)
    yield from part_faults(found)
    yield from _published_faults(found)
    yield from _foreign_faults(found)


def model_directory(found: Output, given: str | None) -> str | None:
    """Where the run's model should be: where `--model` says, or else where it was; None if nobody knows."""
    return given or (found.manifest and found.manifest.model_directory) or None


def model_faults(found: Output, given: str | None) -> Iterator[str]:
    """Why the model directory does not hold the run's model; nothing where it is not known which that was.

    Args:
        found: the output.
        given: the directory by `--model`, if there was one.
    """
    directory = model_directory(found, given)
    if found.plan is None or directory is None:
        return
    expected = found.plan.recipe.model_digest
    try:
        digest = load_model(directory).digest
    except UserError as error:
        yield f"model: {error} If the run's model is elsewhere, say where by --model."
        return
    if digest != expected:
        yield (
            f"model: {directory} now holds {digest[:12]}…, and the run's was {expected[:12]}…; "
            "if it is elsewhere, say where by --model."
        )


def _finish_faults(found: Output) -> Iterator[str]:
    if found.manifest_content is not None and found.manifest is None:
        yield f"{MANIFEST_FILE} is damaged, or of an earlier bulklabel: it cannot be read"
    if found.success is None:
        yield f"{SUCCESS_FILE} is missing: {_state(found)}"
    elif found.manifest_content is None:
        yield f"{MANIFEST_FILE} is missing"
    elif found.success.decode("ascii", "replace").strip() != hashlib.sha256(found.manifest_content).hexdigest():
        yield f"{MANIFEST_FILE} is not the one whose SHA-256 {SUCCESS_FILE} holds: one of them was changed"


def _state(found: Output) -> str:
    """How far a run came that has not finished, and what to do."""
    if found.manifest is not None:
        if found.manifest.accepted:
            return f"the run was published and then interrupted; {AGAIN}"
        return f"the run was published but not accepted; {MANIFEST_FILE} and report.html say why"
    if found.plan is None:
        return f"nobody knows what was to be done here; {AGAIN} with --overwrite"
    shards, stamp = found.plan.shards, found.plan.stamp
    done = sum(all(stamp.name(kind, shard) in found.names for kind in KINDS) for shard in shards)
    return f"the run has not finished, {done:,} of {len(shards):,} shards are done; {AGAIN} to continue"


def _plan_faults(found: Output) -> Iterator[str]:
    if found.plan_content is None:
        yield f"{PLAN_FILE} is missing"
    elif found.saved_plan is None:
        yield f"{PLAN_FILE} is damaged: it is not what its own digest says"
    elif found.plan is None:
        yield f"{PLAN_FILE} is another plan than {MANIFEST_FILE} names"
    elif found.manifest and found.plan.recipe.model_digest != found.manifest.model_digest:
        yield f"{MANIFEST_FILE} names another model than {PLAN_FILE}"


def _published_faults(found: Output) -> Iterator[str]:
    if found.manifest is None:
        return
    entries = found.manifest.published
    for name in sorted({PLAN_FILE, *PUBLISHED, *entries} - {MANIFEST_FILE}):
        content = found.plan_content if name == PLAN_FILE else found.read(name)
        fault = file_fault(name, content, entries.get(name))
        if fault and (name != PLAN_FILE or found.plan is not None):  # else it has been said
            yield fault


def _foreign_faults(found: Output) -> Iterator[str]:
    """Files below the parts' folders that are no parts of this run, and files beside them that are nothing of it."""
    known = {SUCCESS_FILE, PLAN_FILE, *PUBLISHED, *(found.manifest.published if found.manifest else ())}
    parts = {part.name for part in planned_parts(found)}
    for name in sorted(found.names - known - parts):
        among_parts = name.startswith(PART_FOLDERS)
        if not among_parts and "/" in name:
            continue
        if TEMPORARY.search(f"/{name}"):
            yield f"{name} is a temporary file of a run that was killed; delete it"
        elif parts or not among_parts:
            yield f"{name} does not belong to this run; put it elsewhere"
