"""Runs a command so that people and schedulers see one line and an exit code, and a traceback for our bugs alone."""

import contextlib
import importlib
import os
from collections.abc import Callable, Sequence

from bulklabel.model.errors import first_line
from bulklabel.model.freeze_imports import imports_frozen
from bulklabel.model.hide_package import hidden
from bulklabel.model.network.import_tensorflow import reopen_stderr
from bulklabel.pipelines.console.account import Account, open_account
from bulklabel.pipelines.console.error_lines import AGAIN, outcome_of
from bulklabel.pipelines.console.exit_codes import DONE, FAILED, PUBLISHED, STOPPED
from bulklabel.pipelines.console.logs import log, log_to_stderr
from bulklabel.pipelines.console.quiet_libraries import quiet_libraries
from bulklabel.pipelines.console.signals import stoppable
from bulklabel.pipelines.console.streams import forgiving_streams
from bulklabel.pipelines.flags.common import add_textfile_flags
from bulklabel.pipelines.flags.parser import TEXT, add_log_flags, known_early
from bulklabel.transforms.concurrency.timeout import run_with_timeout

SECONDS_TO_COUNT = 3.0
"""The time for counting finished shards once a signal came."""

Rewrite = Callable[[Sequence[str]], Sequence[str]]


def run_command(name: str, argv: Sequence[str], rewrite: Rewrite = list) -> int:
    """Parses a command's flags, runs it, and reports how it ended; returns the exit code.

    Args:
        name: the command's, and that of two modules: `pipelines/flags/<name>.py` has its parser, and
            `pipelines/<name>.py` its `run`.
        argv: the command line without the command.
        rewrite: makes flags of another notation; it may raise a UserError.

    Returns:
        0 done or nothing to do, 1 failed or stopped, 2 bad command line or configuration, 3 a quality gate failed, 4
        too many records rejected.
    """
    with forgiving_streams(log.warning):
        return _run(name, argv, rewrite)


def _run(name: str, argv: Sequence[str], rewrite: Rewrite) -> int:
    quiet_libraries()
    early = known_early(argv, add_log_flags, add_textfile_flags)  # for the report, should the command line be wrong
    account = open_account(name, early.log_format, early.metrics_textfile)
    with log_to_stderr(early.log_format, name), stoppable(lambda signal: _report_signal(account, signal)):
        try:
            _parse_and_run(name, rewrite(argv))
        except Exception as error:
            exit_code, line, state = outcome_of(error)
            if line is None:
                account.close(FAILED, f"{type(error).__name__}: {first_line(error)}")
                if early.log_format == TEXT:
                    raise
                log.critical("this is a bug of ours", exc_info=error)
                return FAILED
            if exit_code in PUBLISHED:
                _print_metrics(account)
            return account.close(exit_code, line, state)
        return account.close(DONE)


def _parse_and_run(name: str, argv: Sequence[str]) -> None:
    """Imports the command, and Beam with it, only once its flags are known to be good: `--help` answers at once."""
    # numpy's products are small here, and other threads keep all cores busy, for which its own would wait in a loop.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    parser = importlib.import_module(f"bulklabel.pipelines.flags.{name}").parser()
    options, beam_flags = parser.parse_command(argv)
    begins = parser.first_line(options)
    if begins:
        print(begins, flush=True)
    # Beam, Keras and pyarrow import pandas where it is installed, in 0.8 s, for what only a model's own code may need.
    with contextlib.nullcontext() if getattr(options, "trust_model_code", False) else hidden("pandas"):
        with imports_frozen("apache_beam"):
            from bulklabel.pipelines.runners.beam_options import beam_options

            pipeline_options = beam_options(beam_flags, options, parser)
            command = importlib.import_module(f"bulklabel.pipelines.{name}")
        command.run(options, pipeline_options)


def _print_metrics(account: Account) -> None:
    """Prints the metrics of a run that is not accepted, which are what its reader looks at first."""
    from bulklabel.pipelines.console.tables import print_summary

    if account.output is not None:
        with contextlib.suppress(Exception):  # the run has ended, whatever is wrong with the store now
            print_summary(account.output, account.seconds)


def _report_signal(account: Account, signal: str) -> int:
    """Reports that a signal ended the command, with the number of finished shards; returns the exit code."""
    reopen_stderr()
    finished = ""
    if account.progress is not None:
        with contextlib.suppress(Exception):  # a store that stalls must not keep us
            finished = "{:,} of {:,} shards are finished; ".format(
                *run_with_timeout(account.progress, SECONDS_TO_COUNT)
            )
    return account.close(FAILED, f"stopped by {signal}; {finished}{AGAIN}", STOPPED)
