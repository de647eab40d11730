"""`bulklabel score`: read, decode, predict, write, evaluate, publish, as one Beam graph."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.exit_codes import NOTHING_TO_DO
from bulklabel.pipelines.console.logs import inform, log
from bulklabel.pipelines.console.prometheus import add_textfile_flags
from bulklabel.pipelines.console.run import run_command
from bulklabel.pipelines.flags.common import (
    CommandParser,
    add_evaluation_flags,
    add_input_flags,
    add_store_flags,
    add_trust_flag,
    columns_of,
    fraction,
    goal_of,
    seconds,
    slice_columns,
    store_flags,
)
from bulklabel.pipelines.flags.deadline import add_deadline_flags
from bulklabel.pipelines.flags.earlier_runs import CONTENT, add_since_flags, check_since_flags
from bulklabel.pipelines.flags.requirements import add_gate_flags, gates_of
from bulklabel.pipelines.runners.beam_options import beam_options
from bulklabel.pipelines.runners.check_submission import check_submission

if TYPE_CHECKING:
    import argparse

    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from bulklabel.model.metrics.requirements import Gates
    from bulklabel.model.network.scorer import Scorer
    from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
    from bulklabel.transforms.evaluating.judge import Publication
    from bulklabel.transforms.run_directory.manifest import Launch
    from bulklabel.transforms.run_directory.plan import Plan
    from bulklabel.transforms.run_directory.state import State
    from bulklabel.transforms.scoring.deadline import Deadline


def parser() -> CommandParser:
    """The flags of `score`."""
    flags = CommandParser("score", "Score images with a model directory: predictions, metrics, report.")
    add_input_flags(flags)
    flags.add_argument(
        "--unknown_column",
        metavar="NAME",
        help="column, feature or field of lists of labels whose truth nobody knows (default: none)",
    )
    flags.add_argument(
        "--carry",
        action="append",
        default=[],
        metavar="NAME",
        help="column, feature or field to take along into the predictions, as text; repeatable",
    )
    flags.add_argument("--model", required=True, metavar="DIR", help="model directory")
    flags.add_argument("--output", required=True, metavar="DIR", help="where the run goes")
    flags.add_argument(
        "--layout",
        default="wide",
        choices=("wide", "list"),
        help="a column a label, or one list column (default: wide)",
    )
    flags.add_argument(
        "--threshold",
        metavar="T",
        help="a number for all labels, `tuned`, or a thresholds file (default: tuned if the model has them, else 0.5)",
    )
    flags.add_argument(
        "--max_rejected_fraction",
        type=fraction,
        default=0.05,
        metavar="F",
        help="above it the run fails, after publishing all but _SUCCESS (default: %(default)s)",
    )
    flags.add_argument(
        "--decode_timeout",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="an image whose decoder takes longer is rejected (default: 60)",
    )
    add_evaluation_flags(flags)
    add_gate_flags(flags)
    add_since_flags(flags)
    flags.add_argument("--overwrite", action="store_true", help="replace what another plan left in --output")
    add_trust_flag(flags)
    add_store_flags(flags)
    add_deadline_flags(flags)
    add_textfile_flags(flags)
    return flags


def build(
    root: "beam.Pipeline",
    plan: "Plan",
    scorer: "OncePerProcess[Scorer]",
    launch: "Launch",
    publication: "Publication",
    decode_seconds: float,
    deadline: "Deadline | None" = None,
) -> None:
    """The whole graph."""
    import apache_beam as beam

    from bulklabel.transforms.evaluating.evaluate import Evaluate, Evaluation
    from bulklabel.transforms.evaluating.publish import Publish
    from bulklabel.transforms.evaluating.thumbnails import MakeThumbnails
    from bulklabel.transforms.run_directory.parts import PREDICTIONS, REJECTED
    from bulklabel.transforms.run_directory.planned_shards import PlannedShards
    from bulklabel.transforms.scoring.check_workers import CheckedStart, CheckWorker, needs_of
    from bulklabel.transforms.scoring.deadline import EndAtDeadline
    from bulklabel.transforms.scoring.score_shards import LEFT, ScoreShards
    from bulklabel.transforms.scoring.write_parts import WriteParts

    recipe, output = plan.recipe, publication.output
    needs = needs_of(plan, output, launch.model_directory)
    shards = root | "Start" >> CheckedStart(needs) | "Shards" >> PlannedShards(output, plan.digest)
    score_shards = ScoreShards(output, recipe, plan.stamp, scorer, decode_seconds, deadline)
    results, left = (
        shards
        | "Reshuffle" >> beam.Reshuffle()
        | "CheckWorkers" >> beam.ParDo(CheckWorker(needs))
        | "ScoreShards" >> beam.ParDo(score_shards).with_outputs(LEFT, main="results")
    )
    predictions = results | "WritePredictions" >> WriteParts(output, PREDICTIONS, plan.digest)
    rejected = results | "WriteRejected" >> WriteParts(output, REJECTED, plan.digest)
    statistic = results | "Evaluate" >> Evaluate(Evaluation(recipe.labels, recipe.thresholds, publication.slice_by))
    statistic = statistic | "EndAtDeadline" >> EndAtDeadline(left, len(plan.shards), deadline)
    thumbnails = statistic | "Thumbnails" >> MakeThumbnails(shards, recipe, decode_seconds)
    _ = statistic | "Publish" >> Publish(publication, launch, thumbnails, predictions, rejected)


def score(argv: Sequence[str]) -> None:
    """Plan, settle the plan with what the output holds, and run what is left.

    Raises:
        UserError: if the command line, the inputs, the model or the output cannot be used.
    """
    flags = parser()
    options, rest = flags.parse_known_args(argv)
    check_since_flags(options)
    pipeline_options = beam_options([*rest, *store_flags(options)], flags)
    paths = {"--input": options.input, "--model": [options.model], "--output": [options.output]}
    check_submission(pipeline_options, paths | {"--since": options.since})

    from bulklabel.pipelines.console.tables import print_reused, print_summary
    from bulklabel.pipelines.runners.launch import prepare
    from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
    from bulklabel.transforms.evaluating.judge import Publication, provenance_of
    from bulklabel.transforms.files import files
    from bulklabel.transforms.files.stores.retry import planning
    from bulklabel.transforms.reuse.unchanged_files import account_of
    from bulklabel.transforms.run_directory.file_names import REPORT_FILE
    from bulklabel.transforms.run_directory.manifest import launch_of, now
    from bulklabel.transforms.run_directory.ownership import reopen, start
    from bulklabel.transforms.run_directory.state import State
    from bulklabel.transforms.scoring.load_scorer import load_scorer

    prepare(pipeline_options)
    account, started, output = current(), now(), files.absolute(options.output)
    account.output, account.report = options.output, f"{options.output}/{REPORT_FILE}"
    with planning():
        plan, state, gates = _planned(options, output)
    account.plan = plan.digest
    inform("planned", state=state.value, shards=len(plan.shards), files=len(plan.inputs))
    publication = Publication(
        output,
        plan.recipe,
        provenance_of(plan, options.model),
        goal_of(options),
        slice_columns(options),
        options.max_rejected_fraction,
        gates,
        plan.reused,
    )
    if state is State.FINISHED and publication.is_published():
        account.state = NOTHING_TO_DO
        print(f"{options.output}: nothing to do, this plan is finished.")
        return
    if plan.reused is not None:
        print(account_of(plan))
    model = files.absolute(options.model), plan.recipe.model_digest, options.trust_model_code
    scorer = OncePerProcess(load_scorer, *model)
    if state is State.FINISHED:
        reopen(output)
    else:
        if plan.new_shards:
            scorer.get()  # what is wrong with the network is said before anything is written
        start(plan, output, options.overwrite)
    if not _run(pipeline_options, plan, scorer, launch_of(plan, vars(options), started), publication, options):
        return
    print_summary(options.output)
    if plan.recipe.by_content and plan.reused is not None:
        print_reused(options.output)


def _planned(options: "argparse.Namespace", output: str) -> "tuple[Plan, State, Gates]":
    """The plan, what is left to do for it, and what is required of it; everything is checked, nothing written."""
    from bulklabel.transforms.planning.make_plan import doubts, make_plan
    from bulklabel.transforms.reuse.unchanged_files import find_since
    from bulklabel.transforms.run_directory.state import State, settle
    from bulklabel.transforms.scoring.model_files import load_model

    model = load_model(options.model)
    gates = gates_of(options, model.labels, output)
    since = find_since(options.since, output, options.carry_over, options.match == CONTENT)
    columns, threshold = columns_of(options), options.threshold
    plan = make_plan(options.input, options.input_format, columns, model, threshold, options.layout, output, since)
    state = settle(plan, output, options.overwrite)
    for doubt in [*since.doubts(plan.recipe), *doubts(plan)] if state is not State.FINISHED else []:
        log.warning(doubt)
    return plan, state, gates


def _run(
    pipeline_options: "PipelineOptions",
    plan: "Plan",
    scorer: "OncePerProcess[Scorer]",
    launch: "Launch",
    publication: "Publication",
    options: "argparse.Namespace",
) -> bool:
    """Whether the run came to its end, or goes on without this command."""
    from bulklabel.pipelines.runners import launch as launching

    return launching.launch(
        pipeline_options,
        plan,
        publication.output,
        lambda root: build(root, plan, scorer, launch, publication, options.decode_timeout, options.deadline),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run `score`; the exit code."""
    return run_command(score, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
