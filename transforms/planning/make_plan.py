"""Makes the plan of a run from its inputs, its model, and what earlier runs have scored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bulklabel.model.images.decode import batch_size_for
from bulklabel.model.images.limits import DEFAULT_LIMITS, Limits
from bulklabel.model.labels.choose_rule import AS_FOUND, LabelOptions
from bulklabel.model.labels.examine_rule import truth_content
from bulklabel.model.labels.label_rule import NO_TRUTH, LabelRule
from bulklabel.model.labels.predictions import WIDE, column_names
from bulklabel.model.model_directory import Model
from bulklabel.model.network.precision import FLOAT32, check_precision
from bulklabel.model.versions import deciding_versions
from bulklabel.transforms.files.planned_files import with_hashes
from bulklabel.transforms.files.text import json_value
from bulklabel.transforms.planning.choose_ids import with_useful_ids
from bulklabel.transforms.planning.choose_labels import choose_labels, first_files, sampled_ids
from bulklabel.transforms.planning.thresholds import choose_thresholds
from bulklabel.transforms.reading.find_shards import check_usable, find_listings, shards_of
from bulklabel.transforms.reading.readers import READERS, first_image_warnings, read_shard
from bulklabel.transforms.reading.records import RECORD_SCHEMA, UNKNOWN_FIELD, Columns, Unreadable, check_carried
from bulklabel.transforms.reading.streams.stream_reader import StreamReader
from bulklabel.transforms.reading.table_columns import IMAGE_COLUMN
from bulklabel.transforms.reuse.earlier_runs import EarlierRuns
from bulklabel.transforms.reuse.unchanged_files import (
    find_unchanged,
    with_unchanged,
    without_same_problems,
    without_unchanged,
)
from bulklabel.transforms.run_directory.plan import CONTENT, DECODE_SECONDS, Plan, Recipe
from bulklabel.transforms.truth.truth_source import TruthSource, check_sample_joins, rule_of


@dataclass(frozen=True)
class ScoreOptions:
    """Holds what the user says of how images are scored.

    `threshold` is what `--threshold` gives, as `choose_thresholds` takes it; `layout` how predictions are laid out in
    columns, `wide` for one a label, `list` for one of lists; `decode_seconds` the time limit for one image;
    `precision` what the network computes in, `float32`, `bfloat16` or `tensorfloat32`; `limits` how large an image may
    be, and whether one that lacks pixels is rejected.
    """

    threshold: str | None = None
    layout: str = WIDE
    decode_seconds: float = DECODE_SECONDS
    precision: str = FLOAT32
    limits: Limits = DEFAULT_LIMITS


AS_THE_MODEL_SAYS = ScoreOptions()


def make_recipe(
    model: Model, input_format: str, columns: Columns, options: ScoreOptions, rule: LabelRule = NO_TRUTH
) -> Recipe:
    """Returns the recipe for scoring records of a format with a model, by the versions that are installed here.

    `rule` says how labels are read.

    Raises:
        UserError: if the threshold or the precision cannot be used, or the model's engine is not installed.
    """
    check_precision(model.engine, options.precision)
    return Recipe(
        input_format=input_format,
        columns=columns,
        model_digest=model.digest,
        labels=model.labels,
        preprocessing=model.preprocessing,
        thresholds=choose_thresholds(options.threshold, model.thresholds, model.labels),
        tuned_thresholds=model.thresholds,
        layout=options.layout,
        batch_size=batch_size_for(model.preprocessing),
        versions=deciding_versions(model.engine),
        rule=rule,
        decode_seconds=options.decode_seconds,
        precision=options.precision,
        max_pixels=options.limits.max_pixels,
        truncated=options.limits.truncated,
    )


def make_plan(
    inputs: Sequence[str],
    input_format: str,
    columns: Columns,
    model: Model,
    output: str,
    earlier_runs: EarlierRuns,
    options: ScoreOptions = AS_THE_MODEL_SAYS,
    label_options: LabelOptions = AS_FOUND,
    by_bytes: bool = False,
    truth: TruthSource | None = None,
) -> Plan:
    """Returns the plan for scoring what is new in the inputs with a model into an output.

    Reads the files' footers, and of their records only the first ones, without the images, unless files are known by
    their bytes.

    Args:
        inputs: paths, globs, or patterns with braces, as `--input` gives them.
        input_format: one of `FORMATS`, or `auto`.
        columns: what the user calls a record's fields.
        model: the model to score with.
        output: the run directory, whose own files are not taken as inputs.
        earlier_runs: the runs whose answers are taken over where the inputs are unchanged.
        options: what the user says of how images are scored.
        label_options: what the user says of how labels are written.
        truth: the files whose truth counts instead of the records', if there are any.
        by_bytes: whether a hash of a file's bytes says that it is unchanged, and not what the store says of it.

    Raises:
        SourceChangedError: if a file changes meanwhile.
        UserError: if the inputs, their labels or the threshold cannot be used.
    """
    taken = (
        *column_names(model.labels),
        *RECORD_SCHEMA.names,
        IMAGE_COLUMN,
        *([CONTENT.name] if earlier_runs.by_content else ()),
    )
    check_carried(columns, taken)
    chosen, listings = find_listings(inputs, input_format, [output, *earlier_runs.paths])
    if by_bytes:
        listings = [replace(listing, files=with_hashes(listing.files)) for listing in listings]
    first_shards = shards_of(first_files(listings, chosen), chosen, columns).shards
    columns, id_warnings = with_useful_ids(first_shards, chosen, columns)
    if truth is None:
        choice = choose_labels(first_shards, chosen, columns, model.labels, label_options)
        rule, seen = choice.rule, truth_content(choice, model.labels)
    else:
        table = truth.load(model.labels)
        check_sample_joins(table, sampled_ids(first_shards, chosen, columns))
        rule, seen = rule_of(table), table.content
    seen = json_value({**seen, "warnings": [*seen["warnings"], *id_warnings]})
    recipe = replace(make_recipe(model, chosen, columns, options, rule), truth=truth)
    # An earlier run is of use only if its recipe gives the same answers.
    usable = earlier_runs.usable(recipe)
    unchanged = list(find_unchanged(usable, listings, earlier_runs.carry_over))
    # Unchanged files are left out before shards are made, so that not even their footers are read again.
    new = shards_of(without_unchanged(listings, unchanged, chosen), chosen, columns)
    if earlier_runs.carry_over:
        planned, reused = with_unchanged(new, unchanged)
    else:
        planned, reused = without_same_problems(new, unchanged)
    plan = Plan(
        # There may be metadata files among them that were not listed.
        with_hashes(planned.files) if by_bytes else planned.files,
        tuple(replace(shard, index=index) for index, shard in enumerate(planned.shards)),
        earlier_runs.with_answers_of(usable, recipe),
        reused if earlier_runs.runs else None,
        seen,
    )
    if not any(run.scored or run.rejected for run in plan.reused or ()):
        check_usable(inputs, plan.shards)
    return plan


def warnings(plan: Plan) -> list[str]:
    """Returns lines on what is probably not meant, as far as the first records tell.

    Raises:
        UserError: if none of the first images that records name by a path may be read.
    """
    spec = plan.recipe.read_spec
    return [*_unknown_names(plan), *_scored_again(plan), *first_image_warnings(plan.new_shards, spec)]


def _scored_again(plan: Plan) -> list[str]:
    """Returns a line if earlier runs could have been of more use."""
    if not plan.reused or plan.recipe.by_content or not any(shard.by_path for shard in plan.new_shards):
        return []
    return [
        "--since: images that a table names by their paths may have changed though the table did not, so they are "
        "scored again; with --match content they are read, and scored only if they are new."
    ]


def _unknown_names(plan: Plan) -> list[str]:
    """Returns a line for each name that the user gave and for which the first records have no value.

    Only TFRecord and WebDataset are looked at, where each record names its own fields. In the other formats a file
    lists its columns, so that their readers refuse wrong names when the shards are made.
    """
    recipe, flags = plan.recipe, plan.recipe.columns.flags
    if not flags or not plan.new_shards or not isinstance(READERS[recipe.input_format], StreamReader):
        return []
    shard = plan.new_shards[0]
    first = next(read_shard(shard, recipe.read_spec), None)
    if first is None or isinstance(first, Unreadable):
        return []
    names = {name: UNKNOWN_FIELD.name if flag == "--unknown_column" else name for name, flag in flags.items()}
    return [
        f"{flags[name]} {name}: no such field in the first {len(first):,} records of {shard.source}; check the name."
        for name, column in names.items()
        if first.rows.column(column).null_count == len(first)
    ]
