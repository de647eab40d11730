"""Limits how long to wait for work that nothing can stop: a decoder's, or a store's."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def run_with_timeout(work: Callable[[], T], seconds: float) -> T:
    """Returns what `work` returns, or raises what it raises, if it ends within so many seconds.

    It runs in a thread of its own. Python cannot stop a thread, so work that takes longer goes on unattended, in a
    daemon thread that does not keep the process from ending.

    Raises:
        TimeoutError: if the work has not ended in time.

    >>> run_with_timeout(lambda: 6 * 7, seconds=60)
    42
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # it is raised where the result is awaited
            result.set_exception(error)

    threading.Thread(target=run, name="run_with_timeout", daemon=True).start()
    try:
        return result.result(seconds)
    except TimeoutError:
        if result.done():
            raise  # the work's own
        raise TimeoutError(f"not done after {seconds:g} seconds") from None
