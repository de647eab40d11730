"""`bulklabel plan`: says what `score` would do with the same flags, and what it would take, and writes nothing."""

import argparse
import sys
import time
from collections.abc import Sequence

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

from bulklabel.model.labels.examine_rule import truth_line
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.exit_codes import NOTHING_TO_DO, PLANNED
from bulklabel.pipelines.console.logs import log
from bulklabel.pipelines.console.tables import forecast_lines, print_choice
from bulklabel.pipelines.run_command import run_command
from bulklabel.pipelines.runners.choose import is_local
from bulklabel.pipelines.score import check_paths, planned, publication_of, scorer_of
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.retry import fail_fast
from bulklabel.transforms.forecasting.forecast import forecast
from bulklabel.transforms.forecasting.rehearse import rehearse
from bulklabel.transforms.reuse.earlier_runs import summary
from bulklabel.transforms.run_directory.manifest import now
from bulklabel.transforms.run_directory.run_directory import State
from bulklabel.transforms.scoring.check_precision import check_precision


def run(options: argparse.Namespace, pipeline_options: PipelineOptions) -> None:
    """Makes the plan as `score` does, rehearses it on some records, and prints what the run would take.

    Raises:
        UserError: if `score` would end with one.
    """
    check_paths(options, pipeline_options)
    account, output = current(), files.absolute(options.output)
    account.output = options.output
    with fail_fast():
        plan, directory, state, gates = planned(options, output)
    account.plan = plan.digest
    left = directory.shards_left() if state is State.CONTINUES else range(len(plan.shards))
    left = [index for index in left if plan.shards[index].reused is None]
    if state is State.FINISHED or not left:
        account.state = NOTHING_TO_DO
        print(f"{options.output}: nothing is left to score for this plan.")
        return
    print_choice(gates)
    if plan.reused is not None:
        print(summary(plan))
    print(truth_line(plan.truth))
    scorer = scorer_of(options, plan)
    check_precision(plan, scorer.get())
    startup = account.seconds, time.process_time()
    rehearsal = rehearse(plan, left, scorer, publication_of(options, plan, gates, output), directory)
    expected = forecast(plan, left, *startup, rehearsal)
    account.state, account.forecast = PLANNED, expected.content
    if rehearsal.rejected > options.max_rejected_fraction * rehearsal.records:
        log.warning(
            "%s of %s records of the sample were rejected: if all are like them, `score` ends with exit code 4; see "
            "--max_rejected_fraction.",
            f"{rehearsal.rejected:,}",
            f"{rehearsal.records:,}",
        )
    if not is_local(pipeline_options) or pipeline_options.view_as(DirectOptions).direct_num_workers != 1:
        log.warning("the forecast is for one process on this machine, not for the chosen runner and workers")
    if options.deadline is not None and now().timestamp() + expected.seconds > options.deadline.moment:
        log.warning("--deadline %s: the run would not be done by then; the same command continues it", options.deadline)
    print("\n".join(forecast_lines(plan, len(left), rehearsal, expected)))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bulklabel plan`; returns the exit code."""
    return run_command("plan", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
