"""What workers log, as Beam passes it on: made into records like our own."""

import logging
from pathlib import Path
from typing import Any

from bulklabel.pipelines.console.logs import log

OURS = f"{Path(__file__).parents[2]}/"
"""Where the package's files are."""
LOGGER = "apache_beam.runners.portability.local_job_service"
PASSED_ON = "Worker: %s"
TRACEBACK = "Traceback (most recent call last)"


def show_worker_logs() -> None:
    """Shows our own warnings and all errors of workers, each by its message alone."""
    logger = logging.getLogger(LOGGER)
    logger.setLevel(logging.WARNING)
    logger.addFilter(_translated)


def _translated(record: logging.LogRecord) -> bool:
    """Tells whether to log a record; replaces the protocol buffer that came from a worker by its message.

    Beam's tracebacks of an error in a worker, logged or printed there, are left out: the run fails with that error, and
    the driver says so. If another worker has died they are of no error at all: Beam takes the graph apart while this
    one is at work.
    """
    if record.msg != PASSED_ON:
        return True
    from apache_beam.portability.api import beam_fn_api_pb2
    from google.protobuf import text_format

    arguments: Any = record.args
    entry = text_format.Parse(arguments[0], beam_fn_api_pb2.LogEntry())
    ours = entry.log_location.startswith(OURS)
    record.msg, record.args = entry.message, ()
    record.name = log.name if ours else record.name
    return TRACEBACK not in f"{entry.message}{entry.trace}" and (ours or record.levelno >= logging.ERROR)
