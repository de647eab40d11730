"""HoldForBatches: holds a stream's records until they make a batch, or the first of them has waited long enough."""

import os
import socket
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from bulklabel.transforms.library.elements import ImageRecord

MAX_HELD_BYTES = 64 * 2**20
"""Held images are released at so many bytes, even if they are no batch yet, since they are in the runner's state."""

_STAMPED = coders.TupleCoder((coders.registry.get_coder(ImageRecord), coders.coders.TimestampCoder()))

HELD = beam.DoFn.StateParam(BagStateSpec("held", _STAMPED))

SUMMARY = beam.DoFn.StateParam(ReadModifyWriteStateSpec("summary", coders.PickleCoder()))
"""How many records are held, their bytes, the earliest timestamp, and when they have waited long enough."""

_DUE, _CLOSING = TimerSpec("due", TimeDomain.REAL_TIME), TimerSpec("closing", TimeDomain.WATERMARK)
DUE, CLOSING = beam.DoFn.TimerParam(_DUE), beam.DoFn.TimerParam(_CLOSING)


class HoldForBatches(beam.PTransform):  # type: ignore[misc]
    """Passes records on in batches of `size`, with their timestamps and windows; none waits longer than `seconds`.

    Unlike Beam's `GroupIntoBatches` it keeps each record's own timestamp and holds the watermark at the earliest: in
    windows that are made downstream, nothing is late that was not late before.
    """

    def __init__(self, size: int, seconds: float) -> None:
        super().__init__()
        self._size = size
        self._seconds = seconds

    def expand(self, images: "beam.PCollection[ImageRecord]") -> "beam.PCollection[ImageRecord]":
        """Adds the two steps; as many batches are gathered at a time as there are processes that have records."""
        # Beam has state by key alone: one key would gather all records in one worker, one for each record none.
        keyed = images | "Key" >> beam.ParDo(KeyByProcess())
        # State and timers keep records over the end of a bundle, which in a stream may be one record long.
        return keyed | "Hold" >> beam.ParDo(HoldUntilBatch(self._size, self._seconds))


class KeyByProcess(beam.DoFn):  # type: ignore[misc]
    """Keys each record by the process that has it."""

    def setup(self) -> None:
        """Makes the key from the process, since a runner may make a DoFn for each of a stream's small bundles."""
        self._key = f"{socket.gethostname()}:{os.getpid()}"

    def process(self, record: ImageRecord) -> Iterator[tuple[str, ImageRecord]]:
        """Yields the record under that key."""
        yield self._key, record


class HoldUntilBatch(beam.DoFn):  # type: ignore[misc]
    """Holds the records of one key in one window, until they are a batch, are due, or the window ends."""

    def __init__(self, size: int, seconds: float) -> None:
        self._size = size
        self._seconds = seconds

    def process(
        self,
        element: tuple[str, ImageRecord],
        timestamp: Timestamp = beam.DoFn.TimestampParam,
        window: BoundedWindow = beam.DoFn.WindowParam,
        held: Any = HELD,
        summary: Any = SUMMARY,
        due: Any = DUE,
        closing: Any = CLOSING,
    ) -> Iterator[ImageRecord]:
        """Holds the record, or yields it with all that are held if they are a batch."""
        record = element[1]
        count, size, earliest, until = summary.read() or (0, 0, timestamp, Timestamp.now() + self._seconds)
        count, size = count + 1, size + len(record.image or b"")
        if count >= self._size or size >= MAX_HELD_BYTES:
            yield from _release(window, held, summary, due)
            yield WindowedValue(record, timestamp, (window,))
            return
        if count == 1:
            closing.set(window.max_timestamp())
        if count == 1 or timestamp < earliest:
            due.set(until)  # set again since a timer holds the watermark at the record that set it
        held.add((record, timestamp))
        summary.write((count, size, min(earliest, timestamp), until))

    @on_timer(_DUE)  # type: ignore[untyped-decorator]
    def on_due(
        self,
        window: BoundedWindow = beam.DoFn.WindowParam,
        held: Any = HELD,
        summary: Any = SUMMARY,
    ) -> Iterable[ImageRecord]:
        """Releases the held records, the first of which has waited long enough."""
        return _release(window, held, summary)

    @on_timer(_CLOSING)  # type: ignore[untyped-decorator]
    def on_window_end(
        self,
        window: BoundedWindow = beam.DoFn.WindowParam,
        held: Any = HELD,
        summary: Any = SUMMARY,
        due: Any = DUE,
    ) -> Iterable[ImageRecord]:
        """Releases the held records, which would be late for the steps downstream after the window's end."""
        return _release(window, held, summary, due)


def _release(window: BoundedWindow, held: Any, summary: Any, due: Any = None) -> list[WindowedValue]:
    """Returns the held records and clears the state, and `due`, their timer, unless it has just fired.

    Prism would wait for ever for a timer that clears itself.
    """
    released = [WindowedValue(record, timestamp, (window,)) for record, timestamp in held.read()]
    held.clear()
    summary.clear()
    if due is not None and released:
        due.clear()
    return released
