"""Runs a command so that people and schedulers see one line and an exit code, never a traceback that is not our bug."""

import contextlib
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence

DONE, FAILED, BAD_COMMAND, GATE_FAILED, TOO_MANY_REJECTED = 0, 1, 2, 3, 4

EXIT_CODES = {
    "UserError": BAD_COMMAND,
    "StoreError": FAILED,
    "FaultsFoundError": FAILED,
    "GateFailedError": GATE_FAILED,
    "TooManyRejectedError": TOO_MANY_REJECTED,
}
"""By class name, since workers' errors reach the driver as text."""


LOST_WORKER = re.compile("Channel closed prematurely|Worker subprocess exited|RpcError")
"""What Beam says, in several threads, when the process of a worker is gone."""


def run_command(command: Callable[[Sequence[str]], None], argv: Sequence[str]) -> int:
    """Run a command on its flags; the exit code.

    0 done or nothing to do, 1 failed, 2 bad command line or configuration, 3 a quality gate failed, 4 too many
    records rejected.
    """
    _quiet_libraries()
    try:
        command(argv)
    except KeyboardInterrupt:
        return _report("interrupted; run the same command again to continue.", FAILED)
    except Exception as error:
        for name, exit_code in EXIT_CODES.items():
            line = _line_of(error, name)
            if line:
                return _report(line, exit_code)
        if LOST_WORKER.search(str(error)):
            line = "a worker process died or was killed (out of memory?); run the same command again to continue."
            return _report(line, FAILED)
        failed = re.search(r"\b\w*Error: (\[Errno \d+\] [^\n]*?)( \[while running .*)?$", str(error), re.MULTILINE)
        if failed:
            return _report(f"{failed.group(1)}; when that is mended, run the same command again to continue.", FAILED)
        if isinstance(error, OSError):
            return _report(f"{error}; when that is mended, run the same command again to continue.", FAILED)
        raise
    return DONE


def _is_expected(record: logging.LogRecord) -> bool:
    """Whether Beam logs, with its traceback, an error that is about to be said in one line."""
    if record.exc_info and record.exc_info[0]:
        return _is_said(record.exc_info[0], record.exc_info[1])
    return any(f".{name}: " in record.getMessage() for name in EXIT_CODES)  # a worker process's, as text


def _is_said(kind: type[BaseException], error: BaseException | None) -> bool:
    return kind.__name__ in EXIT_CODES or bool(LOST_WORKER.search(f"{kind.__name__}: {error}"))


def _except_in_thread(failure: threading.ExceptHookArgs) -> None:
    """Python's own words on an error in a thread, unless it is about to be said in one line."""
    if not _is_said(failure.exc_type, failure.exc_value):
        threading.__excepthook__(failure)


def import_tensorflow() -> None:
    """Import TensorFlow without what its C++ side prints before anybody can ask it not to; errors are raised."""
    with _stderr_closed():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def _stderr_closed() -> Iterator[None]:
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


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


def _report(line: str, exit_code: int) -> int:
    print(f"bulklabel: error: {line}", file=sys.stderr)
    return exit_code


def _quiet_libraries() -> None:
    """Keep TensorFlow's and Beam's greetings off the terminal; whoever wants them sets the variable or the level."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for module in ("PIL", "keras"):
        warnings.filterwarnings("ignore", category=UserWarning, module=module)
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # it also raises what it logs
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    logging.getLogger().addFilter(lambda record: "apitools not found" not in record.getMessage())
    portability = ("portability.fn_api_runner.worker_handlers", "portability.local_job_service")
    for module in ("common", "worker.data_plane", *portability):
        logging.getLogger(f"apache_beam.runners.{module}").addFilter(lambda record: not _is_expected(record))
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _except_in_thread
