"""Limits how long to wait for work that nothing can stop: a decoder's, or a store's."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, NoReturn, TypeVar

R = TypeVar("R")


def run_with_timeout(work: Callable[[], R], seconds: float) -> R:
    """Returns what `work` returns, or raises what it raises, if it ends within so many seconds.

    It runs in a thread of its own. Python cannot stop a thread, so work that takes longer goes on unattended, in a
    daemon thread that does not keep the process from ending.

    Raises:
        TimeoutError: if the work has not ended in time.

    >>> run_with_timeout(lambda: 6 * 7, seconds=60)
    42
    """

    def late() -> NoReturn:
        raise TimeoutError(f"not done after {seconds:g} seconds")

    timed = TimedWork(work, seconds, late)
    threading.Thread(target=timed.run, name="run_with_timeout", daemon=True).start()
    return timed.result()


class TimedWork(Generic[R]):
    """Holds work for one thread, whose result another awaits for so many seconds from when the work was begun."""

    def __init__(self, work: Callable[[], R], seconds: float, late: Callable[[], R]) -> None:
        """Takes the work, its time limit, and what to do instead, where the result is awaited, when that has passed."""
        self._work = work
        self._seconds = seconds
        self._late = late
        self._begun: float | None = None
        self._given_up = False
        self._done: Future[R] = Future()
        self._lock = threading.Lock()

    def run(self) -> bool:
        """Does the work; returns whether it was done in time, or at least before anybody gave it up."""
        self._begun = time.monotonic()
        try:
            tell: Callable[[], None] = partial(self._done.set_result, self._work())
        except BaseException as error:
            tell = partial(self._done.set_exception, error)
        with self._lock:
            if not self._given_up:
                tell()
            return not self._given_up

    def result(self) -> R:
        """Returns what the work returns, or raises what it raises; or what `late` does, if that takes too long."""
        while not self._done.done() and (left := self._seconds_left()) > 0:
            try:
                return self._done.result(left)
            except TimeoutError:  # of waiting, or the work's own
                continue
        with self._lock:
            self._given_up = not self._done.done()
        return self._late() if self._given_up else self._done.result()

    def _seconds_left(self) -> float:
        return self._seconds if self._begun is None else self._begun + self._seconds - time.monotonic()


class TimedThreads:
    """Runs work with a time limit in a number of threads; one whose work takes longer is left to it and replaced.

    >>> threads = TimedThreads(2, "compute")
    >>> threads.submit(lambda: 6 * 7, seconds=60, late=lambda: 0).result()
    42
    >>> threads.close()
    """

    def __init__(self, count: int, name: str) -> None:
        """Starts so many threads."""
        self._name, self._count = name, count
        self._waiting: SimpleQueue[TimedWork[Any] | None] = SimpleQueue()
        for _ in range(count):
            self._start_thread()

    def submit(self, work: Callable[[], R], seconds: float, late: Callable[[], R]) -> TimedWork[R]:
        """Has a thread do the work as soon as one is free; `late` is done instead where its result is awaited."""

        def give_up() -> R:
            self._start_thread()
            return late()

        timed = TimedWork(work, seconds, give_up)
        self._waiting.put(timed)
        return timed

    def close(self) -> None:
        """Ends each thread when it has nothing left to do."""
        for _ in range(self._count):
            self._waiting.put(None)

    def _start_thread(self) -> None:
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        while (timed := self._waiting.get()) is not None and timed.run():
            del timed  # with what it returned, which may be large
