"""Measures where a shard's time goes: seconds by stage, added up over threads."""

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

READING, DECODING, PREDICTING, WRITING = STAGES = ("reading", "decoding", "predicting", "writing")


class StageClock:
    """Adds up the seconds that threads spend in each stage, waiting for a lock included.

    It takes a lock at each measurement, so it is asked once a batch and never once an image.
    """

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._lock = threading.Lock()

    @property
    def seconds(self) -> dict[str, float]:
        """Returns the seconds of every stage so far, 0 for stages that nothing was measured of."""
        with self._lock:
            return dict(self._seconds)

    def add(self, stage: str, seconds: float) -> None:
        """Adds seconds that were measured elsewhere."""
        with self._lock:
            self._seconds[stage] += seconds

    @contextlib.contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Adds the seconds that the body of a `with` takes."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.add(stage, time.monotonic() - started)

    def measure_each(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """Yields the items, and adds the seconds that each takes to come, but not those that the consumer takes.

        >>> clock = StageClock()
        >>> list(clock.measure_each(READING, "ab")), clock.seconds[READING] > 0
        (['a', 'b'], True)
        """
        iterator = iter(items)
        while True:
            with self.measure(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item
