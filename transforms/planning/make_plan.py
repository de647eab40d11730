"""Makes the plan of a run from its inputs, its model, and what earlier runs have scored."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bulklabel.model.errors import UserError
from bulklabel.model.images.decode import batch_size_for
from bulklabel.model.labels.predictions import column_names
from bulklabel.model.model_directory import Model
from bulklabel.model.versions import deciding_versions
from bulklabel.transforms.planning.thresholds import choose_thresholds
from bulklabel.transforms.reading.find_shards import check_usable, find_listings
from bulklabel.transforms.reading.readers import READERS, read_shard
from bulklabel.transforms.reading.records import RECORDS, UNKNOWN, Columns, Unreadable
from bulklabel.transforms.reading.streams import StreamReader
from bulklabel.transforms.run_directory.plan import CONTENT, Plan, Recipe

if TYPE_CHECKING:
    from bulklabel.transforms.reuse.unchanged_files import Since


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
    first = next(read_shard(shard, recipe.read_spec), None)
    if first is None or isinstance(first, Unreadable):
        return []
    names = {name: UNKNOWN.name if flag == "--unknown_column" else name for name, flag in flags.items()}
    return [
        f"{flags[name]} {name}: no such field in the first {len(first):,} records of {shard.source}; check the name."
        for name, column in names.items()
        if first.column(column).null_count == len(first)
    ]
