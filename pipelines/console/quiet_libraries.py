"""Keeps libraries off the terminal: their greetings, and tracebacks of errors that get a line of their own."""

import logging
import os
import threading
import warnings

from bulklabel.pipelines.console.error_lines import LOST_WORKER, is_reported, text_is_reported
from bulklabel.pipelines.console.logs import log
from bulklabel.pipelines.console.worker_logs import TRACEBACK, show_worker_logs

REPEATING = ("", "apache_beam.runners.worker.sdk_worker")
"""Loggers, the root's among them, by which a job's driver and a worker in its process repeat what it failed of."""


def quiet_libraries() -> None:
    """Keeps TensorFlow's and Beam's messages off the terminal; whoever wants them sets the variable or the level."""
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
    show_worker_logs()
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_thread_failure


def _is_news(record: logging.LogRecord) -> bool:
    """Tells whether a record of Beam's is more than an error that is about to be reported in one line."""
    if record.exc_info and record.exc_info[0]:
        return not is_reported(record.exc_info[0], record.exc_info[1])
    return not text_is_reported(record.getMessage())


def _is_repeated(record: logging.LogRecord) -> bool:
    """Tells whether a record repeats what the job failed of: the error of the run holds it, too."""
    message, of_a_job = record.getMessage(), record.module == "portable_runner" and record.levelno >= logging.ERROR
    return of_a_job or TRACEBACK in message or bool(LOST_WORKER.search(message))


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    """Logs an error that ended a thread, unless it is about to be reported in one line."""
    if not is_reported(failure.exc_type, failure.exc_value):
        name = failure.thread.name if failure.thread else "?"
        kind, value = failure.exc_type, failure.exc_value or failure.exc_type()
        log.error("the thread %s failed", name, exc_info=(kind, value, failure.exc_traceback))
