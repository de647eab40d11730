"""Makes the plan of a run, and settles it with what the output already holds."""

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING

from bulklabel.model.errors import UserError
from bulklabel.model.images.decode import batch_size_for
from bulklabel.model.labels.predictions import column_names
from bulklabel.model.labels.thresholds import DEFAULT_THRESHOLD, TUNED, parse_threshold, read_thresholds
from bulklabel.model.model_directory import Model
from bulklabel.model.versions import deciding_versions
from bulklabel.transforms import files
from bulklabel.transforms.finding import check_usable, find_listings
from bulklabel.transforms.parts import KINDS
from bulklabel.transforms.plan import CONTENT, Plan, Recipe
from bulklabel.transforms.readers import READERS, read_shard
from bulklabel.transforms.readers.splitting import StreamReader
from bulklabel.transforms.records import RECORDS, UNKNOWN, Columns, Unreadable

if TYPE_CHECKING:
    from bulklabel.transforms.reuse import Since

PLAN_FILE = "plan.json"
SUCCESS_FILE = "_SUCCESS"
MANIFEST_FILE, METRICS_FILE, REPORT_FILE = "manifest.json", "metrics.json", "report.html"
PER_LABEL_FILE, THRESHOLDS_FILE, CURVES_FILE = "per_label.csv", "thresholds.json", "threshold_curves.parquet"
PUBLISHED = (MANIFEST_FILE, METRICS_FILE, REPORT_FILE, PER_LABEL_FILE, THRESHOLDS_FILE, CURVES_FILE)


class State(Enum):
    """What there is to do for a plan at its output."""

    FINISHED = "finished"
    CONTINUES = "continues"
    STARTS = "starts"
    REPLACES = "replaces"


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
    inputs: Sequence[str],
    input_format: str,
    columns: Columns,
    model: Model,
    threshold: str | None,
    layout: str,
    output: str,
    since: "Since",
) -> Plan:
    """The plan for scoring what is new in the inputs with a model into an output.

    Reads the files' footers, not their records.

    Raises:
        UserError: if the inputs or the threshold cannot be used.
    """
    own = (*column_names(model.labels, layout), *RECORDS.names, *([CONTENT.name] if since.by_content else ()))
    for name in columns.carry:
        if name in own or columns.carry.count(name) > 1:
            raise UserError(f"--carry {name}: records have a column of this name already; rename it in the input.")
    chosen, listings = find_listings(inputs, input_format, [output, *since.places])
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
    plan = since.plan(listings, recipe)
    if not any(run.scored or run.rejected for run in plan.reused or ()):
        check_usable(inputs, plan.shards)
    return plan


def doubts(plan: Plan) -> list[str]:
    """What the user may have meant otherwise, one line each: names for which the first records have nothing.

    Only for formats whose records each have names of their own; the others' readers know, and refuse wrong ones.
    """
    recipe, flags = plan.recipe, plan.recipe.columns.flags
    if not flags or not plan.new_shards or not isinstance(READERS[recipe.input_format], StreamReader):
        return []
    shard = plan.new_shards[0]
    first = next(read_shard(shard, recipe.input_format, recipe.columns, recipe.labels, recipe.batch_size), None)
    if first is None or isinstance(first, Unreadable):
        return []
    names = {name: UNKNOWN.name if flag == "--unknown_column" else name for name, flag in flags.items()}
    return [
        f"{flags[name]} {name}: no such field in the first {len(first):,} records of {shard.source}; check the name."
        for name, column in names.items()
        if first.column(column).null_count == len(first)
    ]


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
