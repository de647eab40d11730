"""Loads and runs a network once in a process of its own, which a damaged or hostile file may end or fill."""

import json
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import numpy as np
import onnx

from bulklabel.model.network.onnx.onnx_engine import make_session, words_of

PROCESSOR_SECONDS = 600
"""The limit of a try: two images through a network are a matter of seconds, and a loop in it may have no end."""

IMAGES = 2


class TryError(Exception):
    """A network cannot be loaded or run; the message says why."""


def try_network(network: bytes) -> list[int]:
    """Returns the shape of what a wrapped network answers to two black images, or to as many as it takes.

    Raises:
        TryError: if it cannot be loaded or run.
    """
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(network)
        file.flush()
        done = subprocess.run([sys.executable, "-m", __name__, file.name], capture_output=True, text=True, check=False)
    try:
        result = json.loads(done.stdout)
        error, shape = result["error"], result["shape"]
    except (ValueError, KeyError):
        name = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit code {done.returncode}"
        why = "too long or without an end" if name in ("SIGXCPU", "SIGKILL") else "damaged"
        raise TryError(f"its process ended by {name}, so it is {why}") from None
    if error is not None:
        raise TryError(error)
    return list(shape)


def _limit() -> None:
    """Gives this process no more memory than there is, since the system would end any process to find more."""
    with open("/proc/meminfo") as file:
        match = re.search(r"MemAvailable: +(\d+) kB", file.read())
    if match:
        resource.setrlimit(resource.RLIMIT_AS, (int(match.group(1)) * 1024,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run_once(network: bytes) -> Sequence[int]:
    """Runs a network on black images in this process; returns the shape of its answers. Errors are of many types."""
    onnx.checker.check_model(network)
    session = make_session(network)
    (taken,), (answers,) = session.get_inputs(), session.get_outputs()
    batch, *size = taken.shape
    images = np.zeros((batch if isinstance(batch, int) else IMAGES, *size), np.uint8)
    (result,) = session.run([answers.name], {taken.name: images})
    return list(result.shape)


def main() -> None:
    """Tries the network in the file that the command line names, and prints a line of JSON."""
    _limit()
    shape, error = None, None
    try:
        with open(sys.argv[1], "rb") as file:
            shape = run_once(file.read())
    except MemoryError:
        error = "out of memory"
    except Exception as raised:  # ONNX Runtime's types have no common one
        error = words_of(raised)
    print(json.dumps({"error": error, "shape": shape}), flush=True)


if __name__ == "__main__":
    main()
