"""`bulklabel score`: read, decode, predict, write, evaluate, publish, as one Beam graph."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.images.limits import Limits
from bulklabel.model.labels.examine_rule import truth_line
from bulklabel.model.metrics.requirements import Gates
from bulklabel.model.network.precision import Parity
from bulklabel.model.network.scorer import Scorer
from bulklabel.model.report import plotting_library
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.exit_codes import NOTHING_TO_DO
from bulklabel.pipelines.console.logs import inform, log
from bulklabel.pipelines.console.tables import plan_line, print_choice, print_reused, print_summary
from bulklabel.pipelines.flags.common import CONTENT, STOP
from bulklabel.pipelines.flags.values import columns_of, gates_of, goal_of, label_options_of, slice_columns
from bulklabel.pipelines.run_command import run_command
from bulklabel.pipelines.runners.check_submission import check_submission
from bulklabel.pipelines.runners.launch import launch, prepare
from bulklabel.transforms.concurrency.deadline import Deadline
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.evaluating.check_keys import CheckTruthKeys
from bulklabel.transforms.evaluating.count_distinct import CountDistinct, count_partitions
from bulklabel.transforms.evaluating.evaluate import Evaluate, Evaluation
from bulklabel.transforms.evaluating.latest_baseline import Asked, keep_choice, with_latest
from bulklabel.transforms.evaluating.publication import Publication
from bulklabel.transforms.evaluating.publish import Publish
from bulklabel.transforms.evaluating.thumbnails import MakeThumbnails
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.retry import fail_fast
from bulklabel.transforms.planning.make_plan import ScoreOptions, make_plan, warnings
from bulklabel.transforms.planning.thresholds import threshold_source
from bulklabel.transforms.reuse.earlier_runs import find_earlier_runs, summary
from bulklabel.transforms.run_directory.file_names import REPORT_FILE
from bulklabel.transforms.run_directory.manifest import Launch, launch_of, provenance_of
from bulklabel.transforms.run_directory.parts import PREDICTIONS, REJECTED
from bulklabel.transforms.run_directory.plan import Plan
from bulklabel.transforms.run_directory.planned_shards import ListShards, planned_shards
from bulklabel.transforms.run_directory.run_directory import RunDirectory, State
from bulklabel.transforms.scoring.check_precision import check_precision
from bulklabel.transforms.scoring.check_workers import CheckedStart, CheckWorker, worker_requirements
from bulklabel.transforms.scoring.deadline import EndAtDeadline
from bulklabel.transforms.scoring.load_scorer import load_scorer
from bulklabel.transforms.scoring.model_files import load_model
from bulklabel.transforms.scoring.score_shards import NOT_BEGUN, ScoreShards
from bulklabel.transforms.scoring.write_parts import WriteParts
from bulklabel.transforms.truth import ID
from bulklabel.transforms.truth.truth_source import find_truth


@dataclass(frozen=True)
class Job:
    """Holds all that the graph is made of: the plan, the scorer, and what is published.

    `launch` is what the manifest says of this command, `deadline` the moment after which no further shard is begun.
    `stop_if_changed` ends the run where an input is not as planned.
    """

    plan: Plan
    scorer: OncePerProcess[Scorer]
    launch: Launch
    publication: Publication
    deadline: Deadline | None = None
    stop_if_changed: bool = False

    @property
    def directory(self) -> RunDirectory:
        """Returns the folder of the run."""
        return RunDirectory(self.publication.output, self.plan.stamp)


def build(root: beam.Pipeline, job: Job) -> None:
    """Adds the whole graph to a pipeline."""
    plan, recipe, directory = job.plan, job.plan.recipe, job.directory
    needs = worker_requirements(plan, directory, job.launch.model_directory)
    # The shards come from plan.json, so that a job of a million shards is as small as one of ten.
    shards = root | "Start" >> CheckedStart(needs) | "Shards" >> ListShards(partial(planned_shards, directory))
    score_shards = ScoreShards(directory, recipe, job.scorer, job.deadline, job.stop_if_changed)
    results, left = (
        shards
        # Without a reshuffle all shards would stay with the worker that read the plan.
        | "Reshuffle" >> beam.Reshuffle()
        # A worker that lacks a mount would reject its records as missing files, so it is checked first.
        | "CheckWorkers" >> beam.ParDo(CheckWorker(needs))
        | "ScoreShards" >> beam.ParDo(score_shards).with_outputs(NOT_BEGUN, main="results")
    )
    predictions = results | "WritePredictions" >> WriteParts(directory, PREDICTIONS)
    rejected = results | "WriteRejected" >> WriteParts(directory, REJECTED)
    evaluation = Evaluation(recipe.labels, recipe.thresholds, job.publication.slice_by, job.publication.group_by)
    statistic = results | "Evaluate" >> Evaluate(evaluation)
    # Nothing is published of a part of the shards.
    statistic = statistic | "EndAtDeadline" >> EndAtDeadline(left, len(plan.shards), job.deadline)
    if recipe.truth is not None and recipe.truth.key != ID:
        statistic = statistic | "CheckTruthKeys" >> CheckTruthKeys(results, recipe.truth.key)
    # Whether an id or a group was met before is seen only where all shards meet, so these are counted apart.
    distinct = results | "CountDistinct" >> CountDistinct(count_partitions(plan), job.publication.group_by)
    # Which records are shown is known only once everything is merged, so their images are read again.
    thumbnails = statistic | "Thumbnails" >> MakeThumbnails(shards, recipe)
    publish = Publish(directory, job.publication, job.launch, distinct, thumbnails, predictions, rejected)
    _ = statistic | "Publish" >> publish


def run(options: argparse.Namespace, pipeline_options: PipelineOptions) -> None:
    """Makes the plan, compares it with what the output holds, and runs what is left to do.

    Raises:
        UserError: if the inputs, the model or the output cannot be used.
    """
    check_paths(options, pipeline_options)
    plotting_library()
    prepare(pipeline_options)
    account, output = current(), files.absolute(options.output)
    account.output, account.report = options.output, f"{options.output}/{REPORT_FILE}"
    with fail_fast():
        plan, directory, state, gates = planned(options, output)
    account.plan = plan.digest
    inform("planned", state=state.value, shards=len(plan.shards), files=len(plan.inputs))
    publication = publication_of(options, plan, gates, output)
    stated = directory.stated_manifest() if state is State.FINISHED else None
    if stated is not None and publication.is_stated(json.loads(stated)):
        account.state = NOTHING_TO_DO
        print(f"{options.output}: nothing to do, this plan is finished.")
        return
    print_choice(gates)
    if plan.reused is not None:
        print(summary(plan))
    if state is not State.FINISHED:
        print(f"{plan_line(plan)}\n{truth_line(plan.truth)}", flush=True)
    scorer = scorer_of(options, plan)
    parity: Parity | None = None
    if state is State.FINISHED:
        directory.reopen()
    else:
        if plan.new_shards:
            parity = check_precision(plan, scorer.get())  # what cannot be used is reported before anything is written
        strangers = directory.strangers()
        directory.start(plan, options.overwrite)
        if strangers:
            log.warning(
                f"{options.output}: {len(strangers):,} files stay that no run has made, such as {strangers[0]}; move "
                "them away, since whoever reads the whole folder takes them for parts."
            )
    keep_choice(directory, gates)
    launched = launch_of(vars(options), account.started, None if parity is None else parity.content)
    stop = options.changed_input == STOP
    job = Job(plan, scorer, launched, publication, options.deadline, stop)
    if not launch(pipeline_options, plan, output, lambda root: build(root, job)):
        return
    print_summary(
        options.output, account.seconds, in_one_go=state in (State.STARTS, State.REPLACES) and plan.reused is None
    )
    if plan.recipe.by_content and plan.reused is not None:
        print_reused(options.output)


def check_paths(options: argparse.Namespace, pipeline_options: PipelineOptions) -> None:
    """Refuses what no worker could reach.

    Raises:
        UserError: if a path is of that kind.
    """
    paths = {"--input": options.input, "--model": [options.model], "--output": [options.output]}
    check_submission(
        pipeline_options,
        paths | {"--since": options.since, "--image_root": options.image_root, "--truth": options.truth},
    )


def planned(options: argparse.Namespace, output: str) -> tuple[Plan, RunDirectory, State, Gates]:
    """Returns the plan, what is left to do for it, and what is required of it; checks everything, writes nothing."""
    model = load_model(options.model)
    gates = gates_of(options, model.labels, output, options.group_by)
    earlier_runs = find_earlier_runs(options.since, output, options.carry_over, options.match == CONTENT)
    columns = columns_of(options)
    limits = Limits(options.max_pixels, options.truncated)
    score_options = ScoreOptions(options.threshold, options.layout, options.decode_timeout, options.precision, limits)
    label_options = label_options_of(options, model.labels)
    plan = make_plan(
        options.input,
        options.input_format,
        columns,
        model,
        output,
        earlier_runs,
        score_options,
        label_options,
        by_bytes=options.identity == CONTENT,
        truth=find_truth(options.truth, columns, label_options, options.truth_key),
    )
    directory = RunDirectory(output, plan.stamp)
    state = directory.state(plan, options.overwrite)
    gates = with_latest(gates, directory, Asked(plan.digest, plan.recipe.model_digest, model.labels))
    if state is not State.FINISHED:
        for warning in [*earlier_runs.warnings(plan.recipe), *warnings(plan), *plan.truth["warnings"]]:
            log.warning(warning)
    return plan, directory, state, gates


def scorer_of(options: argparse.Namespace, plan: Plan) -> OncePerProcess[Scorer]:
    """Returns what loads the plan's network, once in each process that needs it."""
    trusted = options.trust_model_code
    return OncePerProcess(
        load_scorer,
        files.absolute(options.model),
        plan.recipe.model_digest,
        trusted,
        plan.recipe.precision,
        options.golden_tolerance,
        trusted,  # what comes with a network may use Keras' wrappers
    )


def publication_of(options: argparse.Namespace, plan: Plan, gates: Gates, output: str) -> Publication:
    """Returns what the published files say besides what is counted."""
    return Publication(
        output,
        plan.recipe.labels,
        plan.recipe.thresholds,
        provenance_of(plan, options.model),
        goal_of(options),
        slice_columns(options),
        options.group_by,
        options.max_rejected_fraction,
        gates,
        plan.reused,
        plan.truth,
        truth_joined=plan.recipe.truth is not None,
        threshold_source=threshold_source(
            options.threshold, plan.recipe.thresholds, plan.recipe.tuned_thresholds, "the default"
        ),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bulklabel score`; returns the exit code."""
    return run_command("score", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
