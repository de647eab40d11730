"""`bulklabel evaluate`: the metrics of a finished run again, without scoring anything."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.errors import UserError
from bulklabel.model.labels.examine_rule import truth_line
from bulklabel.model.report import plotting_library
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.logs import inform
from bulklabel.pipelines.console.tables import print_summary
from bulklabel.pipelines.flag_values import gates_of, goal_of, label_options_of, slice_columns
from bulklabel.pipelines.run_command import run_command
from bulklabel.pipelines.runners.check_submission import check_submission
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.evaluating.count_distinct import CountDistinct, count_partitions
from bulklabel.transforms.evaluating.evaluate import Evaluate, Evaluation
from bulklabel.transforms.evaluating.publication import Publication, provenance_of
from bulklabel.transforms.evaluating.publish import PublishEvaluation
from bulklabel.transforms.evaluating.read_parts import ReadParts, ReplaceTruth, count_used_truth
from bulklabel.transforms.evaluating.thumbnails import MakeThumbnails
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.retry import fail_fast
from bulklabel.transforms.files.text import json_value
from bulklabel.transforms.planning.thresholds import choose_thresholds
from bulklabel.transforms.reading.records import Columns
from bulklabel.transforms.run_directory.file_names import PLAN_FILE, REPORT_FILE
from bulklabel.transforms.run_directory.finished_run import FinishedRun, find_run
from bulklabel.transforms.run_directory.planned_shards import PlannedShards
from bulklabel.transforms.truth.truth_table import TruthTable, load_truth


def build(
    root: beam.Pipeline,
    run: FinishedRun,
    truth: OncePerProcess[TruthTable] | None,
    publication: Publication,
) -> None:
    """Adds the whole graph to a pipeline."""
    recipe, directory = publication.recipe, run.directory
    shards = root | "Start" >> beam.Impulse() | "Shards" >> PlannedShards(directory)
    results = shards | "Reshuffle" >> beam.Reshuffle() | "ReadParts" >> beam.ParDo(ReadParts(directory))
    if truth is not None:
        results = results | "ReplaceTruth" >> beam.ParDo(ReplaceTruth(truth))
    evaluation = Evaluation(recipe.labels, recipe.thresholds, publication.slice_by, publication.group_by)
    statistic = results | "Evaluate" >> Evaluate(evaluation)
    distinct = results | "CountDistinct" >> CountDistinct(count_partitions(run.plan), publication.group_by)
    thumbnails = statistic | "Thumbnails" >> MakeThumbnails(shards, recipe)
    _ = statistic | "Publish" >> PublishEvaluation(directory, publication, distinct, thumbnails)


def run(options: argparse.Namespace, pipeline_options: PipelineOptions) -> None:
    """Reads the parts of a run, and publishes metrics and report elsewhere.

    Raises:
        UserError: if the run, the truth or the output cannot be used.
    """
    paths = {"--input": [options.input], "--output": [options.output], "--truth": options.truth or ()}
    check_submission(pipeline_options, paths)
    plotting_library()
    account = current()
    account.output, account.report = options.output, f"{options.output}/{REPORT_FILE}"
    run_place, output = files.absolute(options.input), files.absolute(options.output)
    if files.same_place(run_place, output):
        raise UserError(f"--output {options.output} is the run itself, whose metrics are kept; give another place.")
    with fail_fast():
        finished = find_run(options.input)
        plan, directory = finished.plan, finished.directory
        group_by = options.group_by or finished.group_by
        _check_carried("--slice_by", slice_columns(options), plan.recipe.columns.carry)
        _check_carried("--group_by", [group_by] if group_by else [], plan.recipe.columns.carry)
        if files.exists(files.join(output, PLAN_FILE)):
            raise UserError(f"--output {options.output} is a run, whose metrics are kept; give another place.")
        gates = gates_of(options, plan.recipe.labels, output, group_by)
    account.plan, recipe = plan.digest, plan.recipe
    if options.threshold is not None:
        thresholds = choose_thresholds(options.threshold, recipe.tuned_thresholds, recipe.labels)
        recipe = replace(recipe, thresholds=thresholds)
    provenance = provenance_of(plan, "the run's") | {"run": options.input}
    truth, truth_words = None, plan.truth
    if options.truth:
        columns = Columns(id=options.id_column, labels=options.labels_column, unknown=options.unknown_column)
        label_options = label_options_of(options, recipe.labels)
        truth = OncePerProcess(load_truth, options.truth, columns, recipe.labels, label_options, options.truth_key)
        with fail_fast():
            records, used = len(truth.get().ids), count_used_truth(directory, plan, truth.get())
        provenance |= {"truth": ", ".join(options.truth), "truth_records": records, "truth_records_used": used}
        truth_words = json_value(truth.get().content)
        print("\n".join(_truth_lines(records, used, truth.get().labels_without_column, recipe.labels)))
        print(truth_line(truth_words))
    publication = Publication(
        output, recipe, provenance, goal_of(options), slice_columns(options), group_by, gates=gates, truth=truth_words
    )
    files.check_writable(output)
    inform("started", shards=len(plan.shards))
    with beam.Pipeline(options=pipeline_options) as root:
        build(root, finished, truth, publication)
    inform("published", shards=len(plan.shards))
    print_summary(options.output)


def _check_carried(flag: str, columns: Sequence[str], carried: Sequence[str]) -> None:
    for column in columns:
        if column not in carried:
            carried_words = f"it carried {', '.join(carried)}" if carried else "it carried nothing"
            raise UserError(
                f"{flag} {column}: the run has no such column; {carried_words}: score with --carry {column}."
            )


def _truth_lines(records: int, used: int, without_column: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Returns what is reported of truth from elsewhere before it is used."""
    lines = [f"truth of {records:,} records, {records - used:,} of them not in the run"]
    if without_column:
        names = ", ".join(without_column[:10]) + ", …" * (len(without_column) > 10)
        lines.append(f"{len(without_column):,} of {len(labels):,} labels have no column, so are unknown: {names}")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bulklabel evaluate`; returns the exit code."""
    return run_command("evaluate", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
