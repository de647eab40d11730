"""`bulklabel compare`: what changed between two finished runs, metric by metric, label by label, record by record."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bulklabel.model.errors import UserError
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.logs import inform
from bulklabel.pipelines.console.run import run_command
from bulklabel.pipelines.flags.common import CommandParser, add_store_flags, store_flags
from bulklabel.pipelines.runners.beam_options import beam_options
from bulklabel.pipelines.runners.check_submission import check_submission

if TYPE_CHECKING:
    import apache_beam as beam

    from bulklabel.transforms.evaluating.compare import ComparisonPublication
    from bulklabel.transforms.run_directory.finished_run import Run


def parser() -> CommandParser:
    """The flags of `compare`."""
    flags = CommandParser("compare", "Say what changed between two finished runs, of any models and shards.")
    flags.add_argument("before", metavar="RUN_A", help="the --output of a finished `score`")
    flags.add_argument("after", metavar="RUN_B", help="that of another, whose records have the same ids")
    flags.add_argument("--output", required=True, metavar="DIR", help="where comparison.json and report.html go")
    add_store_flags(flags)
    return flags


def build(root: "beam.Pipeline", runs: "Mapping[str, Run]", publication: "ComparisonPublication") -> None:
    """The whole graph."""
    import apache_beam as beam

    from bulklabel.transforms.evaluating.compare import AFTER, BEFORE, Compare, PublishComparison
    from bulklabel.transforms.evaluating.read_parts import ReadParts
    from bulklabel.transforms.run_directory.planned_shards import PlannedShards

    results = {
        side: root
        | f"Start {side}" >> beam.Impulse()
        | f"Shards {side}" >> PlannedShards(run.place, run.plan.digest)
        | f"Reshuffle {side}" >> beam.Reshuffle()
        | f"ReadParts {side}" >> beam.ParDo(ReadParts(run.place, run.plan.stamp))
        for side, run in runs.items()
    }
    comparison = results[BEFORE] | "Compare" >> Compare(results[AFTER], runs, publication.labelling)
    _ = comparison | "Publish" >> PublishComparison(publication)


def compare(argv: Sequence[str]) -> None:
    """Join the parts of two runs by the records' ids, and publish what changed.

    Raises:
        UserError: if the command line, a run or the output cannot be used.
    """
    flags = parser()
    options, rest = flags.parse_known_args(argv)
    if rest and list(argv[:2]) != [options.before, options.after]:
        raise UserError("with Beam's flags the two runs come first: `bulklabel compare RUN_A RUN_B --output DIR …`.")
    pipeline_options = beam_options([*rest, *store_flags(options)], flags)
    check_submission(pipeline_options, {"RUN": [options.before, options.after], "--output": [options.output]})

    import apache_beam as beam

    from bulklabel.pipelines.console.tables import print_comparison
    from bulklabel.transforms.evaluating.compare import AFTER, BEFORE, publication_of
    from bulklabel.transforms.files import files
    from bulklabel.transforms.files.stores.retry import planning
    from bulklabel.transforms.run_directory.file_names import PLAN_FILE, REPORT_FILE
    from bulklabel.transforms.run_directory.finished_run import find_run

    account = current()
    account.output, account.report = options.output, f"{options.output}/{REPORT_FILE}"
    output = files.absolute(options.output)
    with planning():
        runs = {BEFORE: find_run(options.before), AFTER: find_run(options.after)}
        publication = publication_of(runs, output)
        if files.exists(files.join(output, PLAN_FILE)):
            raise UserError(f"--output {options.output} is a run, whose report is kept; give another place.")
    files.check_writable(output)
    inform("started", shards=sum(len(run.plan.shards) for run in runs.values()))
    with beam.Pipeline(options=pipeline_options) as root:
        build(root, runs, publication)
    inform("published")
    print_comparison(options.output)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `compare`; the exit code."""
    return run_command(compare, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
