"""Makes the plan of a run, and settles it with what the output already holds."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from enum import Enum
from importlib.metadata import version

from model.directory import Model
from model.errors import UserError
from model.images import batch_size_for
from model.thresholds import DEFAULT_THRESHOLD, TUNED, parse_threshold, read_thresholds
from transforms import files
from transforms.files import File
from transforms.parts import KINDS
from transforms.plan import Plan, Recipe
from transforms.readers import AUTO, READERS, choose_format
from transforms.records import Columns, Shard

PLAN_FILE = "plan.json"
SUCCESS_FILE = "_SUCCESS"
MANIFEST_FILE, METRICS_FILE, REPORT_FILE = "manifest.json", "metrics.json", "report.html"

DECIDING_PACKAGES = ("tensorflow", "keras", "numpy", "opencv-python-headless", "pillow")

LISTING_THREADS = 16


class State(Enum):
    """What there is to do for a plan at its output."""

    FINISHED = "finished"
    CONTINUES = "continues"
    STARTS = "starts"
    REPLACES = "replaces"


def deciding_versions() -> dict[str, str]:
    """The installed versions of the packages that decode and compute."""
    return {name: version(name) for name in DECIDING_PACKAGES}


def find_shards(inputs: Sequence[str], input_format: str, columns: Columns) -> tuple[str, list[File], list[Shard]]:
    """The format, the files and the shards that `--input` and `--input_format` mean.

    Raises:
        UserError: if no file matches, one is not of the format, or none holds a record.
    """
    every = [READERS[input_format]] if input_format != AUTO else list(READERS.values())
    extensions = tuple(extension for reader in every for extension in reader.extensions)
    found = {file.path: file for path in inputs for file in files.list_files(path, extensions)}
    listed = [found[path] for path in sorted(found)]
    chosen = choose_format(listed) if input_format == AUTO else input_format
    with ThreadPoolExecutor(LISTING_THREADS) as pool:
        groups = pool.map(lambda file: READERS[chosen].shards(file, columns), listed)
        shards = [shard for group in groups for shard in group if shard.records]
    if not shards:
        raise UserError(f"{', '.join(inputs)}: the input holds no records; give files with at least one.")
    return chosen, listed, [replace(shard, index=index) for index, shard in enumerate(shards)]


def choose_thresholds(
    threshold: str | None, model_thresholds: tuple[float, ...] | None, labels: Sequence[str]
) -> tuple[float, ...]:
    """The thresholds that `--threshold` means, in the order of the labels, 0…1.

    Args:
        threshold: a number for all, `tuned`, a thresholds file, or None for tuned where there are any, else 0.5.
        model_thresholds: the tuned ones of the model directory.
        labels: the model's.

    Raises:
        UserError: if it is none of these, or the model has no tuned thresholds.
    """
    if threshold is None:
        return model_thresholds or (DEFAULT_THRESHOLD,) * len(labels)
    if threshold == TUNED:
        if model_thresholds is None:
            raise UserError("--threshold tuned: the model directory has no tuned thresholds; give a number or a file.")
        return model_thresholds
    try:
        return (parse_threshold(threshold),) * len(labels)
    except ValueError as error:
        try:
            content = files.read(files.absolute(threshold))
        except FileNotFoundError:
            raise UserError(
                f"--threshold {threshold}: {error}; give a number from 0 to 1, `tuned`, or a thresholds file."
            ) from None
        return read_thresholds(content, labels, threshold)


def make_plan(
    inputs: Sequence[str], input_format: str, columns: Columns, model: Model, threshold: str | None, layout: str
) -> Plan:
    """The plan for scoring the inputs with a model; reads the files' footers, not their records.

    Raises:
        UserError: if the inputs or the threshold cannot be used.
    """
    chosen, listed, shards = find_shards(inputs, input_format, columns)
    recipe = Recipe(
        input_format=chosen,
        columns=columns,
        model_digest=model.digest,
        labels=model.labels,
        preprocessing=model.preprocessing,
        thresholds=choose_thresholds(threshold, model.thresholds, model.labels),
        tuned_thresholds=model.thresholds,
        layout=layout,
        batch_size=batch_size_for(model.preprocessing),
        versions=deciding_versions(),
    )
    return Plan(tuple(listed), tuple(shards), recipe)


def settle(plan: Plan, output: str, overwrite: bool) -> State:
    """What is left to do for the plan at the output. Writes nothing.

    Raises:
        UserError: if another plan is there, or parts without a plan, and `overwrite` is not set.
    """
    try:
        saved = files.read(files.join(output, PLAN_FILE))
    except FileNotFoundError:
        if not any(files.list_folder(files.join(output, kind)) for kind in KINDS):
            return State.STARTS
        if not overwrite:
            raise UserError(
                f"{output} holds parts but no {PLAN_FILE}; give another --output, or --overwrite to replace them."
            ) from None
        return State.REPLACES
    differences = plan.differences(saved)
    if not differences:
        return State.FINISHED if files.exists(files.join(output, SUCCESS_FILE)) else State.CONTINUES
    if not overwrite:
        raise UserError(
            f"{output} holds another plan ({differences}); give another --output, or --overwrite to replace it."
        )
    return State.REPLACES


def start(plan: Plan, output: str, state: State) -> None:
    """Write the plan down, after clearing what another one left if the state says so: its `_SUCCESS` goes first.

    A run that starts in an empty place deletes nothing: another of the same plan may have started just before it.

    Raises:
        UserError: if the output cannot be written.
    """
    files.check_writable(output)
    if state is State.REPLACES:
        names = (SUCCESS_FILE, MANIFEST_FILE, METRICS_FILE, REPORT_FILE, PLAN_FILE)
        files.delete([files.join(output, name) for name in names])
        for kind in KINDS:
            files.delete([file.path for file in files.list_folder(files.join(output, kind))])
    files.write(files.join(output, PLAN_FILE), plan.to_json())
