"""Waiting for work that nothing can stop: a decoder's, or a store's."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def run_with_timeout(work: Callable[[], T], seconds: float) -> T:
    """What `work` returns or raises, from a thread that is left to itself when the time is over.

    Raises:
        TimeoutError: if it is.
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
