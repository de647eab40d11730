"""Limits how long to wait for work that nothing can stop: a decoder's, or a store's."""

import contextlib
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeAlias, TypeVar

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
    timed = TimedWork(lambda _: work(), seconds)
    threading.Thread(target=timed.run, name="run_with_timeout", daemon=True).start()
    return timed.result()


class TimedWork(Generic[R]):
    """Holds work for one thread, whose result another awaits until it has taken too long."""

    def __init__(self, work: Callable[["TimedWork[R]"], R], seconds: float) -> None:
        """Takes the work, which is given this object, and its time limit from when it is begun or last renewed."""
        self.given_up = False
        """Whether whoever awaited the result waits no more."""
        self._work = [work]
        self._seconds = seconds
        self._begun: float | None = None
        self._done: Future[R] = Future()
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Begins the time limit anew, at a step of the work."""
        self._begun = time.monotonic()

    @property
    def is_late(self) -> bool:
        """Tells whether the time limit has passed."""
        return self._seconds_left() <= 0

    def run(self) -> bool:
        """Does the work, once; returns whether it was done before anybody gave it up."""
        self.renew()
        work = self._work.pop()  # it may know this object, and both would wait for the garbage collector
        try:
            tell: Callable[[], None] = partial(self._done.set_result, work(self))
        except BaseException as error:  # it is raised where the result is awaited
            tell = partial(self._done.set_exception, error)
        with self._lock:
            if not self.given_up:
                tell()
            return not self.given_up

    def result(self) -> R:
        """Returns what the work returns, or raises what it raises.

        Raises:
            TimeoutError: if it has taken too long, and is given up.
        """
        while not self._done.done() and not self.is_late:
            with contextlib.suppress(TimeoutError):  # of waiting; if it is the work's own, it is raised below
                return self._done.result(self._seconds_left())
        with self._lock:
            self.given_up = not self._done.done()
        if self.given_up:
            raise TimeoutError(f"not done after {self._seconds:g} seconds")
        return self._done.result()

    def _seconds_left(self) -> float:
        return self._seconds if self._begun is None else self._begun + self._seconds - time.monotonic()


Waiting: TypeAlias = SimpleQueue[TimedWork[Any] | None]
"""Work that waits for a thread; None ends one."""


class TimedThreads:
    """Does work with a time limit in a number of threads; one whose work was given up is left to it and replaced.

    They end when this object is closed, or when nobody has it any more.

    >>> threads = TimedThreads(2, "compute")
    >>> threads.submit(lambda _: 6 * 7, seconds=60).result()
    42
    >>> threads.close()
    """

    def __init__(self, count: int, name: str) -> None:
        """Starts so many threads."""
        self._name = name
        self._waiting: Waiting = SimpleQueue()
        for _ in range(count):
            self._start_thread(None)
        self.close = weakref.finalize(self, _end_threads, self._waiting, count)
        """Ends each thread when it has nothing left to do."""

    def submit(self, work: Callable[[TimedWork[R]], R], seconds: float) -> TimedWork[R]:
        """Has a thread do the work as soon as one is free."""
        timed = TimedWork(work, seconds)
        self._waiting.put(timed)
        return timed

    def replace(self, work: Callable[[TimedWork[R]], R], seconds: float) -> TimedWork[R]:
        """Has a new thread do the work at once, and then be in the place of one whose work was given up.

        In the queue it might wait for ever, behind work that is given up by those who wait for this.
        """
        timed = TimedWork(work, seconds)
        self._start_thread(timed)
        return timed

    def _start_thread(self, first: TimedWork[Any] | None) -> None:
        threading.Thread(target=_work_off, args=(self._waiting, first), name=self._name, daemon=True).start()


def _work_off(waiting: Waiting, first: TimedWork[Any] | None) -> None:
    timed = first or waiting.get()
    while timed is not None and timed.run():
        del timed  # with what it returned, which may be large
        timed = waiting.get()


def _end_threads(waiting: Waiting, count: int) -> None:
    for _ in range(count):
        waiting.put(None)
