"""What a person reads when a command fails: exit code and one line for each kind of error."""

import re
from typing import NamedTuple

from bulklabel.pipelines.console.exit_codes import BAD_COMMAND, FAILED, GATE_FAILED, STOPPED, TOO_MANY_REJECTED
from bulklabel.pipelines.console.worker_errors import worker_error

EXIT_CODES_OF = {
    "UserError": BAD_COMMAND,
    "StoreError": FAILED,
    "SourceChangedError": FAILED,
    "FaultsFoundError": FAILED,
    "GateFailedError": GATE_FAILED,
    "DeadlineError": FAILED,
    "OutOfMemoryError": FAILED,
    "TooManyRejectedError": TOO_MANY_REJECTED,
}
"""By class name, since workers' errors reach the driver as text."""


LOST_WORKER = re.compile(
    "Channel closed prematurely|Worker subprocess exited|RpcError|of RPC that terminated with|SDK worker disconnected"
    "|didn't get control connection|cannot schedule new futures after (interpreter )?shutdown|CancelledError"
)
"""What Beam says, in several threads, when the process of a worker is gone, and its other workers, taken apart."""

JOB_FAILED = re.compile(r"(?s)failed in state [A-Z]+: (?!.*Traceback)([^\n]*)")
"""What Beam says of a job that its engine has failed, and not our code, which would leave a traceback."""

OF_THIS_PROCESS = (ImportError, AttributeError, TypeError)
"""Where one of these comes as itself, and not as text in another error, no worker elsewhere lacks anything."""

AGAIN = "run the same command again to continue."


class Outcome(NamedTuple):
    """Says how a command ended: its exit code, its line for people, and the state if the exit code does not say it.

    There is no line for an error that is a bug of bulklabel: that one keeps its traceback.
    """

    exit_code: int
    line: str | None
    state: str | None = None


def outcome_of(error: Exception) -> Outcome:
    """Finds out which kind of error ended a command.

    >>> from bulklabel.model.errors import UserError
    >>> outcome_of(UserError("--input x: no such file."))
    Outcome(exit_code=2, line='--input x: no such file.', state=None)
    >>> outcome_of(OSError(28, "No space left on device")).line
    '[Errno 28] No space left on device; when that is fixed, run the same command again to continue.'
    >>> outcome_of(RuntimeError("concurrent.futures._base.CancelledError")).line
    'a worker process died or was killed (out of memory?); run the same command again to continue.'
    """
    for name, exit_code in EXIT_CODES_OF.items():
        line = _line_of(error, name)
        if line:
            return Outcome(exit_code, line, STOPPED if name == "DeadlineError" else None)
    text = str(error)
    from_worker = None if isinstance(error, OF_THIS_PROCESS) else worker_error(text)
    if from_worker is not None:
        return Outcome(*from_worker)
    if type(error).__name__ == "FutureTimeoutError":  # gRPC's, which says nothing
        return Outcome(BAD_COMMAND, "the job server does not answer; start it, or correct --job_endpoint.")
    if LOST_WORKER.search(text):
        return Outcome(FAILED, f"a worker process died or was killed (out of memory?); {AGAIN}")
    if isinstance(error, MemoryError) or re.search(r"\bMemoryError\b", text):
        return Outcome(FAILED, f"out of memory; give the process more, or use fewer workers, and {AGAIN}")
    system_error = re.search(r"\b\w*Error: (\[Errno \d+\] [^\n]*?)( \[while running .*)?$", text, re.MULTILINE)
    if system_error or isinstance(error, OSError):
        reason = system_error.group(1) if system_error else text
        return Outcome(FAILED, f"{reason}; when that is fixed, {AGAIN}")
    job = JOB_FAILED.search(text)
    return Outcome(FAILED, f"the job has failed ({job.group(1).rstrip('.')}); {AGAIN}" if job else None)


def is_reported(kind: type[BaseException], error: BaseException | None) -> bool:
    """Tells whether the command is about to end with one line for this error, so that its traceback is noise."""
    if kind.__name__ in EXIT_CODES_OF or LOST_WORKER.search(f"{kind.__name__}: {error}"):
        return True
    return not issubclass(kind, OF_THIS_PROCESS) and text_is_reported(str(error))


def text_is_reported(text: str) -> bool:
    """Tells whether a text, as worker processes and jobs send it, holds such an error."""
    return any(f".{name}: " in text for name in EXIT_CODES_OF) or worker_error(text) is not None


def _line_of(error: Exception, name: str) -> str | None:
    """Returns the message of an error of this class; workers' errors reach the driver as text inside others."""
    if type(error).__name__ == name:
        text = str(error)
    else:
        inside = re.search(rf"\b{name}: (.*)", str(error))
        if not inside:
            return None
        text = inside.group(1)
    return re.sub(r" \[while running .*", "", text.splitlines()[0])
