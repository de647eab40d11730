"""Errors of remote workers and services that are no bug of ours, recognised by the text that reaches the driver."""

import re
import sys
from collections.abc import Callable

from bulklabel.pipelines.console.exit_codes import BAD_COMMAND, FAILED

INSTALL = "--setup_file=./setup.py, an --sdk_container_image with it, or its sdist in the worker pools' environment"
OURS = "bulklabel"

PYTHON = ".".join(map(str, sys.version_info[:2]))


def _missing_module(match: re.Match[str]) -> str:
    module = match.group(1)
    if module == OURS:
        return f"the workers do not have bulklabel (no module named {module!r}); give them {INSTALL}."
    if module.split(".")[0] == OURS:
        return _other_code(match)
    return f"the workers lack a package that bulklabel needs (no module named {module!r}); give them {INSTALL}."


def _other_code(match: re.Match[str]) -> str:
    return f"the workers have another version of bulklabel, without {match.group(1)}; give them this one: {INSTALL}."


def _other_python(match: re.Match[str]) -> str:
    return (
        f"the workers cannot load what Python {PYTHON} has made ({match.group(0).strip()}); give them Python {PYTHON}."
    )


def _no_pool(match: re.Match[str]) -> str:
    return (
        f"no worker pool answers at {match.group(1)} ({match.group(2)}); start one there, or correct "
        "--environment_config, and run the same command again to continue."
    )


def _refused(match: re.Match[str]) -> str:
    return (
        f"the runner was refused a connection ({match.group(1)}); see that on each of its machines a worker pool runs "
        "where --environment_config says, and that Flink answers its job server; the same command continues."
    )


def _silent(_: re.Match[str]) -> str:
    return (
        "a worker did not begin within three minutes; see its own log, and that no worker has another bulklabel; "
        "the same command continues."
    )


def _no_container(match: re.Match[str]) -> str:
    return f"no container of a worker was started ({match.group(1)!r} failed); see --environment_type and its image."


KNOWN: tuple[tuple[str, int, Callable[[re.Match[str]], str]], ...] = (
    (r"ModuleNotFoundError: No module named '([\w.]+)'", BAD_COMMAND, _missing_module),
    (r"Can't get attribute '(\w+)' on <module 'bulklabel\b", BAD_COMMAND, _other_code),
    (r"cannot import name '(\w+)' from 'bulklabel\b", BAD_COMMAND, _other_code),
    (r"TypeError: code(?:\(\) argument \d+ must be| expected at (?:most|least)) [^\n\[]*", BAD_COMMAND, _other_python),
    (r"(?:Command '\[|command |program \")'?(docker)\b", BAD_COMMAND, _no_container),
    (r"java\.net\.(?:ConnectException|UnknownHostException): (?:.*failed: )?(.+)$", FAILED, _refused),
    (r"java\.util\.concurrent\.TimeoutException: Waited 3 minutes", FAILED, _silent),
    (r"(?s)StartWorker\(.*?ipv[46]:(\S+): Failed to connect to remote host: ([^\"\n]+)", FAILED, _no_pool),
)
"""Messages of Python and Beam, in a worker or on the way to it, as patterns; the first that matches counts."""


def worker_error(text: str) -> tuple[int, str] | None:
    """Returns exit code and line for an error that a worker, or what starts workers, caused; None if it is none.

    >>> exit_code, line = worker_error("ModuleNotFoundError: No module named 'cv2'")
    >>> exit_code, line.partition(";")[0]
    (2, "the workers lack a package that bulklabel needs (no module named 'cv2')")
    >>> worker_error("KeyError: 3") is None
    True
    """
    for pattern, exit_code, line in KNOWN:
        match = re.search(pattern, text, re.MULTILINE)
        if match:
            return exit_code, line(match)
    return None
