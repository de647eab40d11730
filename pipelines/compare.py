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
from bulklabel.transforms.evaluating.compare import (
    AFTER,
    BEFORE,
    Compare,
    ComparisonPublication,
    CountJoinedGroups,
    JoinRuns,
    PublishComparison,
    comparison_publication,
)
from bulklabel.transforms.evaluating.read_parts import ReadParts
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.retry import fail_fast
from bulklabel.transforms.run_directory.file_names import PLAN_FILE, REPORT_FILE
from bulklabel.transforms.run_directory.finished_run import FinishedRun, find_run
from bulklabel.transforms.run_directory.planned_shards import PlannedShards


def build(root: beam.Pipeline, runs: Mapping[str, FinishedRun], publication: ComparisonPublication) -> None:
    """Adds the whole graph to a pipeline."""
    results = {
        side: root
        | f"Start {side}" >> beam.Impulse()
        | f"Shards {side}" >> PlannedShards(run.directory)
        | f"Reshuffle {side}" >> beam.Reshuffle()
        | f"ReadParts {side}" >> beam.ParDo(ReadParts(run.directory))
        for side, run in runs.items()
    }
    labelling, group_by = publication.labelling, publication.group_by
    joined = results[BEFORE] | "Join" >> JoinRuns(results[AFTER], runs, labelling, group_by)
    comparison = joined | "Compare" >> Compare(labelling)
    groups = None if group_by is None else joined | "CountGroups" >> CountJoinedGroups(runs)
    _ = comparison | "Publish" >> PublishComparison(publication, groups)


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
        runs = {BEFORE: find_run(options.before), AFTER: find_run(options.after)}
        publication = comparison_publication(runs, output, options.group_by)
        if files.exists(files.join(output, PLAN_FILE)):
            raise UserError(f"--output {options.output} is a run, whose report is kept; give another place.")
    ungrouped = [run.path for run in runs.values() if run.group_by is None]
    if publication.group_by is not None and options.group_by is None and ungrouped:
        log.warning("%s was not grouped; intervals of changes are by %s.", *ungrouped, publication.group_by)
    files.check_writable(output)
    inform("started", shards=sum(len(run.plan.shards) for run in runs.values()))
    with beam.Pipeline(options=pipeline_options) as root:
        build(root, runs, publication)
    inform("published")
    print_comparison(options.output)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bulklabel compare`; returns the exit code."""
    return run_command("compare", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
