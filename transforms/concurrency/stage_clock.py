"""Where a shard's time goes: seconds by stage, added up over threads."""

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

READING, DECODING, PREDICTING, WRITING = STAGES = ("reading", "decoding", "predicting", "writing")


class StageClock:
    """Adds up what threads spend in each stage; waiting for a turn counts. Look at it once a batch, never an image."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._lock = threading.Lock()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage so far, all stages among them."""
        with self._lock:
            return dict(self._seconds)

    def add(self, stage: str, seconds: float) -> None:
        """Count seconds that were measured elsewhere."""
        with self._lock:
            self._seconds[stage] += seconds

    @contextlib.contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Count what the body takes."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.add(stage, time.monotonic() - started)

    def measure_each(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """The items, and count what each takes to come, not what is done with it."""
        iterator = iter(items)
        while True:
            with self.measure(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item
