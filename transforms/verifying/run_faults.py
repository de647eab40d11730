"""Checks an output: the run as a whole, its parts, the published files, and files that do not belong to it."""

from collections.abc import Iterator

from bulklabel.model.errors import UserError
from bulklabel.transforms.files.stores.path_names import TEMPORARY
from bulklabel.transforms.run_directory.file_names import (
    BASELINE_FILE,
    MANIFEST_FILE,
    PLAN_FILE,
    PUBLISHED,
    SUCCESS_FILE,
)
from bulklabel.transforms.run_directory.manifest import file_fault
from bulklabel.transforms.run_directory.parts import PART_KINDS
from bulklabel.transforms.run_directory.success import success_fault
from bulklabel.transforms.scoring.model_files import load_model
from bulklabel.transforms.verifying.output_files import PART_FOLDERS, OutputFiles
from bulklabel.transforms.verifying.part_faults import part_faults, planned_parts

AGAIN = "run the same `bulklabel score` again"


class FaultsFoundError(Exception):
    """Raised if an output is not what its run left, or its run has not finished; the faults have been printed."""


def output_faults(output: OutputFiles) -> Iterator[str]:
    """Yields every fault of an output, one line each, except the model's.

    Raises:
        StoreError: if the store fails.
    """
    yield from _finish_faults(output)
    yield from _plan_faults(output)
    yield from part_faults(output)
    yield from _published_faults(output)
    yield from _foreign_faults(output)


def model_directory(output: OutputFiles, given: str | None) -> str | None:
    """Returns where the run's model should be: where `--model` says, or else where it was; None if neither is known."""
    return given or (output.manifest and output.manifest.model_directory) or None


def model_faults(output: OutputFiles, given: str | None) -> Iterator[str]:
    """Yields why the model directory does not hold the run's model; nothing if that is not known.

    Args:
        output: the output.
        given: the directory by `--model`, if there was one.
    """
    directory = model_directory(output, given)
    if output.plan is None or directory is None:
        return
    expected = output.plan.recipe.model_digest
    try:
        digest = load_model(directory).digest
    except UserError as error:
        yield f"model: {error} If the run's model is elsewhere, say where with --model."
        return
    if digest != expected:
        yield (
            f"model: {directory} now holds {digest[:12]}…, and the run's was {expected[:12]}…; "
            "if it is elsewhere, say where with --model."
        )


def _finish_faults(output: OutputFiles) -> Iterator[str]:
    if output.manifest_content is not None and output.manifest is None:
        yield f"{MANIFEST_FILE} is damaged, or of an earlier bulklabel: it cannot be read"
    if output.success is None:
        yield f"{SUCCESS_FILE} is missing: {_state(output)}"
    elif fault := success_fault(output.success, output.manifest_content):
        yield fault


def _state(output: OutputFiles) -> str:
    """Returns how far an unfinished run came, and what to do."""
    if output.manifest is not None:
        if output.manifest.accepted:
            return f"the run was published and then interrupted; {AGAIN}"
        return f"the run was published but not accepted; {MANIFEST_FILE} and report.html say why"
    if output.plan is None:
        return f"nobody knows what was to be done here; {AGAIN} with --overwrite"
    shards, stamp = output.plan.shards, output.plan.stamp
    done = sum(all(stamp.name(kind, shard) in output.names for kind in PART_KINDS) for shard in shards)
    return f"the run has not finished, {done:,} of {len(shards):,} shards are done; {AGAIN} to continue"


def _plan_faults(output: OutputFiles) -> Iterator[str]:
    if output.plan_content is None:
        yield f"{PLAN_FILE} is missing"
    elif output.saved_plan is None:
        yield f"{PLAN_FILE} is damaged: it is not what its own digest says"
    elif output.plan is None:
        yield f"{PLAN_FILE} is another plan than {MANIFEST_FILE} names"
    elif output.manifest and output.plan.recipe.model_digest != output.manifest.model_digest:
        yield f"{MANIFEST_FILE} names another model than {PLAN_FILE}"


def _published_faults(output: OutputFiles) -> Iterator[str]:
    if output.manifest is None:
        return
    entries = output.manifest.published
    for name in sorted({PLAN_FILE, *PUBLISHED, *entries} - {MANIFEST_FILE}):
        content = output.plan_content if name == PLAN_FILE else output.read(name)
        fault = file_fault(name, content, entries.get(name))
        if fault and (name != PLAN_FILE or output.plan is not None):  # else `_plan_faults` reports it
            yield fault


def _foreign_faults(output: OutputFiles) -> Iterator[str]:
    """Yields files below the parts' folders and beside them that are not this run's."""
    known = {
        SUCCESS_FILE,
        PLAN_FILE,
        BASELINE_FILE,
        *PUBLISHED,
        *(output.manifest.published if output.manifest else ()),
    }
    parts = {part.name for part in planned_parts(output)}
    for name in sorted(output.names - known - parts):
        among_parts = name.startswith(PART_FOLDERS)
        if not among_parts and "/" in name:
            continue
        if TEMPORARY.search(f"/{name}"):
            yield f"{name} is a temporary file of a run that was killed; delete it"
        elif parts or not among_parts:
            yield f"{name} does not belong to this run; put it elsewhere"
