"""Runs a command so that people and schedulers see one line and an exit code, never a traceback that is not our bug."""

import contextlib
import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Sequence

from bulklabel.model.errors import first_line
from bulklabel.model.network.import_tensorflow import reopen_stderr
from bulklabel.pipelines.console.account import Account, open_account
from bulklabel.pipelines.console.exit_codes import BAD_COMMAND, DONE, FAILED, GATE_FAILED, STOPPED, TOO_MANY_REJECTED
from bulklabel.pipelines.console.logs import TEXT, add_log_flags, log, log_to_stderr
from bulklabel.pipelines.console.parser import known_early
from bulklabel.pipelines.console.prometheus import add_textfile_flags
from bulklabel.pipelines.console.signals import stoppable
from bulklabel.pipelines.console.worker_errors import remote_verdict
from bulklabel.pipelines.console.worker_logs import TRACEBACK, hear_workers
from bulklabel.transforms.concurrency.timeout import in_time

EXIT_CODES = {
    "UserError": BAD_COMMAND,
    "StoreError": FAILED,
    "FaultsFoundError": FAILED,
    "GateFailedError": GATE_FAILED,
    "DeadlineError": FAILED,
    "OutOfMemoryError": FAILED,
    "TooManyRejectedError": TOO_MANY_REJECTED,
}
"""By class name, since workers' errors reach the driver as text."""


LOST_WORKER = re.compile(
    "Channel closed prematurely|Worker subprocess exited|RpcError|cannot schedule new futures after shutdown"
    "|of RPC that terminated with|SDK worker disconnected|didn't get control connection"
)
"""What Beam says, in several threads, when the process of a worker is gone, and its other workers, taken apart."""

JOB_FAILED = re.compile(r"(?s)failed in state [A-Z]+: (?!.*Traceback)([^\n]*)")
"""What Beam says of a job that its engine has failed, and not our code, which would leave a traceback."""

REPEATING = ("", "apache_beam.runners.worker.sdk_worker")
"""Loggers, the root's among them, by which a job's driver and a worker in its process repeat what it failed of."""

OF_THIS_PROCESS = (ImportError, AttributeError, TypeError)
"""Where one of these comes as itself, and not as text in another error, no worker elsewhere lacks anything."""

AGAIN = "run the same command again to continue."

SECONDS_TO_COUNT = 3.0
"""For the number of finished shards, once a signal came."""


def run_command(command: Callable[[Sequence[str]], None], argv: Sequence[str]) -> int:
    """Run a command on its flags, and say how it ended; the exit code.

    0 done or nothing to do, 1 failed or stopped, 2 bad command line or configuration, 3 a quality gate failed, 4 too
    many records rejected.
    """
    _quiet_libraries()
    log_format: str = known_early(argv, add_log_flags).log_format
    account = open_account(command.__name__, log_format, known_early(argv, add_textfile_flags).metrics_textfile)
    with log_to_stderr(log_format, command.__name__), stoppable(lambda signal: _stopped(account, signal)):
        try:
            command(argv)
        except Exception as error:
            exit_code, line, state = _verdict(error)
            if line is None:
                account.close(FAILED, f"{type(error).__name__}: {first_line(error)}")
                if log_format == TEXT:
                    raise
                log.critical("this is a bug of ours", exc_info=error)
                return FAILED
            return account.close(exit_code, line, state)
        return account.close(DONE)


def _verdict(error: Exception) -> tuple[int, str | None, str | None]:
    """Exit code, line and state, if not the exit code's, of an error; no line for what is a bug of ours."""
    for name, exit_code in EXIT_CODES.items():
        line = _line_of(error, name)
        if line:
            return exit_code, line, STOPPED if name == "DeadlineError" else None
    remote = None if isinstance(error, OF_THIS_PROCESS) else remote_verdict(str(error))
    if remote is not None:
        return *remote, None
    if type(error).__name__ == "FutureTimeoutError":  # gRPC's, which says nothing
        return BAD_COMMAND, "the job server does not answer; start it, or correct --job_endpoint.", None
    if LOST_WORKER.search(str(error)):
        return FAILED, f"a worker process died or was killed (out of memory?); {AGAIN}", None
    if isinstance(error, MemoryError) or re.search(r"\bMemoryError\b", str(error)):
        return FAILED, f"out of memory; give the process more, or use fewer workers, and {AGAIN}", None
    failed = re.search(r"\b\w*Error: (\[Errno \d+\] [^\n]*?)( \[while running .*)?$", str(error), re.MULTILINE)
    if failed or isinstance(error, OSError):
        return FAILED, f"{failed.group(1) if failed else error}; when that is mended, {AGAIN}", None
    failed = JOB_FAILED.search(str(error))
    return FAILED, f"the job has failed ({failed.group(1).rstrip('.')}); {AGAIN}" if failed else None, None


def _stopped(account: Account, signal: str) -> int:
    """What is said and returned when a signal ends the command."""
    reopen_stderr()
    finished = ""
    if account.progress is not None:
        with contextlib.suppress(Exception):  # a store that stalls must not keep us
            finished = "{:,} of {:,} shards are finished; ".format(*in_time(account.progress, SECONDS_TO_COUNT))
    return account.close(FAILED, f"stopped by {signal}; {finished}{AGAIN}", STOPPED)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether what Beam logs, with a traceback, is no error that is about to be said in one line."""
    if record.exc_info and record.exc_info[0]:
        return not _is_said(record.exc_info[0], record.exc_info[1])
    return not _is_told_of(record.getMessage())


def _is_told_of(text: str) -> bool:
    """Whether a text, of a worker process or of a job, has such an error in it."""
    return any(f".{name}: " in text for name in EXIT_CODES) or remote_verdict(text) is not None


def _is_repeated(record: logging.LogRecord) -> bool:
    """Whether it is what a job failed of: the error of the run has it, too."""
    message, of_a_job = record.getMessage(), record.module == "portable_runner" and record.levelno >= logging.ERROR
    return of_a_job or TRACEBACK in message or bool(LOST_WORKER.search(message))


def _is_said(kind: type[BaseException], error: BaseException | None) -> bool:
    if kind.__name__ in EXIT_CODES or LOST_WORKER.search(f"{kind.__name__}: {error}"):
        return True
    return not issubclass(kind, OF_THIS_PROCESS) and _is_told_of(str(error))


def _except_in_thread(failure: threading.ExceptHookArgs) -> None:
    """Log an error in a thread, unless it is about to be said in one line."""
    if not _is_said(failure.exc_type, failure.exc_value):
        name = failure.thread.name if failure.thread else "?"
        kind, value = failure.exc_type, failure.exc_value or failure.exc_type()
        log.error("the thread %s failed", name, exc_info=(kind, value, failure.exc_traceback))


def _line_of(error: Exception, name: str) -> str | None:
    """The message of an error of this class; workers' errors reach the driver as text inside others, if at all."""
    if type(error).__name__ == name:
        text = str(error)
    else:
        found = re.search(rf"\b{name}: (.*)", str(error))
        if not found:
            return None
        text = found.group(1)
    return re.sub(r" \[while running .*", "", text.splitlines()[0])


def _quiet_libraries() -> None:
    """Keep TensorFlow's and Beam's greetings off the terminal; whoever wants them sets the variable or the level."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for module in ("PIL", "keras"):
        warnings.filterwarnings("ignore", category=UserWarning, module=module)
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # it also raises what it logs
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    logging.getLogger().addFilter(lambda record: "apitools not found" not in record.getMessage())
    logging.getLogger().addFilter(_is_news)  # where Beam logs what a job server says
    portability = ("portability.fn_api_runner.worker_handlers", "portability.local_job_service")
    for module in ("common", "worker.data_plane", *portability):
        logging.getLogger(f"apache_beam.runners.{module}").addFilter(_is_news)
    for name in REPEATING:
        logging.getLogger(name).addFilter(lambda record: not _is_repeated(record))
    hear_workers()
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _except_in_thread
