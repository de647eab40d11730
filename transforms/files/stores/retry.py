"""Retries what fails on network stores: a time limit for each attempt, and growing, random pauses between them."""

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from apache_beam.io.filesystems import FileSystems
from apache_beam.io.localfilesystem import LocalFileSystem
from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.errors import StoreError, UserError
from bulklabel.transforms.concurrency.timeout import run_with_timeout

T = TypeVar("T")

DEFAULT_TIMEOUT = 60.0
DEFAULT_RETRIES = 6

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before the first retry, doubled for each further one up to the longest; each is cut by up to a half."""

MOST_CONNECT_RETRIES = 2
"""Within `fail_fast`, a store that cannot be reached at all is given up after so many retries."""

TRANSIENT = (ConnectionError, TimeoutError)
"""Errors that another attempt may mend; `ConnectionRefusedError` is for stores that were not reached at all."""

_failing_fast = threading.Event()


class StoreOptions(PipelineOptions):  # type: ignore[misc]
    """Makes `--store_timeout` and `--store_retries` options of Beam, which takes them to workers in other processes."""

    @classmethod
    def _add_argparse_args(cls, parser: "object") -> None:
        parser.add_argument("--store_timeout", type=float, default=DEFAULT_TIMEOUT)  # type: ignore[attr-defined]
        parser.add_argument("--store_retries", type=int, default=DEFAULT_RETRIES)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class RetryPolicy:
    """Repeats attempts that fail: `timeout` is seconds for each, None for no limit; `retries` those after the first.

    The time limits of HTTP clients start again with each byte that arrives, so a store that trickles would outlive
    them: the limit here is on the whole attempt.

    >>> RetryPolicy(timeout=None, retries=6).call(lambda: "done")
    'done'
    """

    timeout: float | None
    retries: int

    def call(self, attempt: Callable[[], T], pieces: int = 1) -> T:
        """Returns what the attempt returns, once it succeeds; it may run again while an abandoned one has not ended.

        Args:
            attempt: an operation that is harmless when repeated.
            pieces: what the time limit is multiplied by, for attempts that move more than one piece.

        Raises:
            ConnectionError, TimeoutError: if the last attempt failed, too.
            OSError: at once, for what no retry can mend; everything else that `attempt` raises.
        """
        for retry in itertools.count():
            try:
                return attempt() if self.timeout is None else run_with_timeout(attempt, self.timeout * pieces)
            except TRANSIENT as error:
                if retry >= self._retries_after(error):
                    raise
            time.sleep(min(FIRST_PAUSE * 2**retry, LONGEST_PAUSE) * random.uniform(0.5, 1))  # noqa: S311
        raise AssertionError("unreachable")

    def _retries_after(self, error: OSError) -> int:
        refused = isinstance(error, ConnectionRefusedError) and _failing_fast.is_set()
        return min(self.retries, MOST_CONNECT_RETRIES) if refused else self.retries


class OptionsOfFileSystems(LocalFileSystem):  # type: ignore[misc]
    """Tells the options that Beam gave to this process's file systems, in the driver and on workers alike.

    Beam makes a file system of its own for each scheme, with the options: no other public interface hands them out.
    """

    def __init__(self, pipeline_options: PipelineOptions | None) -> None:
        super().__init__(pipeline_options)
        self.options = pipeline_options or _NO_OPTIONS

    @classmethod
    def scheme(cls) -> str:
        """Returns a scheme that no path has."""
        return "options-of-bulklabel"


def store_options() -> PipelineOptions:
    """Returns the options that Beam gave to this process's file systems."""
    return FileSystems.get_filesystem(f"{OptionsOfFileSystems.scheme()}://").options


@contextlib.contextmanager
def fail_fast() -> Iterator[None]:
    """Lets store errors be `UserError`s, raised after few retries where a store cannot be reached at all.

    It is for what a command does before any work that could be lost: a wrong endpoint is then reported within seconds.
    It holds for all threads of the process.
    """
    _failing_fast.set()
    try:
        yield
    finally:
        _failing_fast.clear()


def store_error(path: str, participle: str, error: Exception) -> StoreError | UserError:
    """Makes the error to raise for a path that cannot be `read`, `written`, …: `UserError` within `fail_fast`."""
    reason = getattr(error, "strerror", None) or str(error)
    if _failing_fast.is_set():
        return UserError(f"{path} cannot be {participle} ({reason}); check the path, the credentials and the endpoint.")
    return StoreError(f"{path} cannot be {participle} ({reason}); when that is fixed, run the same command again.")


_NO_OPTIONS = PipelineOptions([])
