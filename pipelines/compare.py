"""`bulklabel compare`: what changed between two finished runs, metric by metric, label by label, record by record."""

import argparse
import sys
from collections.abc import Mapping, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.errors import UserError
from bulklabel.model.report import plotting_library
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.logs import inform, log
from bulklabel.pipelines.console.tables import print_comparison
from bulklabel.pipelines.run_command import run_command
from bulklabel.pipelines.runners.check_submission import check_submission
from bulklabel.transforms.answers.answers import AnswerReader, Answers, ReadAnswers
from bulklabel.transforms.answers.find_answers import find_answers
from bulklabel.transforms.answers.replace_truth import ReplaceTruth, load_unchanged
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.evaluating.compare import (
    AFTER,
    BEFORE,
    Compare,
    ComparisonPublication,
    CountJoinedGroups,
    JoinRuns,
    PublishComparison,
    comparison_publication,
    flipped_records,
    pictured_side,
)
from bulklabel.transforms.evaluating.thumbnails import MakeThumbnails
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.retry import fail_fast
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.file_names import PLAN_FILE, REPORT_FILE
from bulklabel.transforms.run_directory.planned_shards import ListShards
from bulklabel.transforms.scoring.score_shards import ShardResult


def build(root: beam.Pipeline, runs: Mapping[str, Answers], publication: ComparisonPublication) -> None:
    """Adds the whole graph to a pipeline."""
    labelling, group_by = publication.labelling, publication.group_by
    readers = {side: run.reader.carrying([group_by] if group_by in run.carried else []) for side, run in runs.items()}
    shards = {
        side: root | f"Start {side}" >> beam.Impulse() | f"Shards {side}" >> ListShards(reader.shards)
        for side, reader in readers.items()
    }
    results = {side: _results(shards[side], side, run, readers[side]) for side, run in runs.items()}
    joined = results[BEFORE] | "Join" >> JoinRuns(results[AFTER], runs, labelling, group_by)
    comparison = joined | "Compare" >> Compare(labelling)
    groups = None if group_by is None else joined | "CountGroups" >> CountJoinedGroups(runs)
    # Which records are shown is known only at the end, so their images are read again, from the run that has any.
    side = pictured_side(runs)
    recipe = side and runs[side].recipe
    thumbnails = (
        comparison | "Thumbnails" >> MakeThumbnails(shards[side], recipe, flipped_records)
        if side and recipe
        else root | "NoThumbnails" >> beam.Create([])
    )
    _ = comparison | "Publish" >> PublishComparison(publication, thumbnails, groups)


def _results(
    shards: beam.PCollection[Shard], side: str, run: Answers, reader: AnswerReader
) -> beam.PCollection[ShardResult]:
    """Reads one side, with its truth."""
    results = shards | f"Reshuffle {side}" >> beam.Reshuffle() | f"Read {side}" >> beam.ParDo(ReadAnswers(reader))
    if run.truth is not None:
        truth = OncePerProcess(load_unchanged, run.truth, run.labels)
        results = results | f"ReplaceTruth {side}" >> beam.ParDo(ReplaceTruth(truth))
    return results


def run(options: argparse.Namespace, pipeline_options: PipelineOptions) -> None:
    """Joins the parts of two runs by the records' ids, and publishes what changed.

    Raises:
        UserError: if a run or the output cannot be used.
    """
    check_submission(pipeline_options, {"RUN": [options.before, options.after], "--output": [options.output]})
    plotting_library()
    account = current()
    account.output, account.report = options.output, f"{options.output}/{REPORT_FILE}"
    output = files.absolute(options.output)
    with fail_fast():
        runs = {BEFORE: find_answers(options.before), AFTER: find_answers(options.after)}
        publication = comparison_publication(runs, output, options.group_by)
        if files.exists(files.join(output, PLAN_FILE)):
            raise UserError(f"--output {options.output} is a run, whose report is kept; give another place.")
    ungrouped = [run.path for run in runs.values() if run.group_by is None]
    if publication.group_by is not None and options.group_by is None and ungrouped:
        log.warning("%s was not grouped; intervals of changes are by %s.", *ungrouped, publication.group_by)
    files.check_writable(output)
    inform("started", records=sum(run.records for run in runs.values()))
    with beam.Pipeline(options=pipeline_options) as root:
        build(root, runs, publication)
    inform("published")
    print_comparison(options.output)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bulklabel compare`; returns the exit code."""
    return run_command("compare", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
