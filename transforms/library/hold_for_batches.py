"""HoldForBatches: keeps a stream's records until they make a batch, or the first of them has waited long enough."""

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
"""So many bytes of images are let go even if they are no batch yet: what is held is the runner's state."""


_STAMPED = coders.TupleCoder((coders.registry.get_coder(ImageRecord), coders.coders.TimestampCoder()))

HELD = beam.DoFn.StateParam(BagStateSpec("held", _STAMPED))

ACCOUNT = beam.DoFn.StateParam(ReadModifyWriteStateSpec("account", coders.PickleCoder()))
"""How many records are held, their bytes, the earliest timestamp, and when they have waited long enough."""

_DUE, _CLOSING = TimerSpec("due", TimeDomain.REAL_TIME), TimerSpec("closing", TimeDomain.WATERMARK)
DUE, CLOSING = beam.DoFn.TimerParam(_DUE), beam.DoFn.TimerParam(_CLOSING)


class HoldForBatches(beam.PTransform):  # type: ignore[misc]
    """The same records, with their timestamps and windows, a batch of `size` at a time; none waits above `seconds`.

    Unlike Beam's `GroupIntoBatches` it keeps each record's own timestamp and holds the watermark at the earliest: in
    windows that are made behind it, nothing is late that was not late before.
    """

    def __init__(self, size: int, seconds: float) -> None:
        super().__init__()
        self._size = size
        self._seconds = seconds

    def expand(self, images: "beam.PCollection[ImageRecord]") -> "beam.PCollection[ImageRecord]":
        """As many batches are gathered at a time as there are processes that hand over records."""
        return images | "Key" >> beam.ParDo(Key()) | "Hold" >> beam.ParDo(Hold(self._size, self._seconds))


class Key(beam.DoFn):  # type: ignore[misc]
    """Gives records a key, since Beam has state by key alone: that of the process which has them."""

    def setup(self) -> None:
        """The process's, since a runner may make a DoFn for each of a stream's small bundles."""
        self._key = f"{socket.gethostname()}:{os.getpid()}"

    def process(self, record: ImageRecord) -> Iterator[tuple[str, ImageRecord]]:
        """The record under that key."""
        yield self._key, record


class Hold(beam.DoFn):  # type: ignore[misc]
    """State and timers, of one key in one window."""

    def __init__(self, size: int, seconds: float) -> None:
        self._size = size
        self._seconds = seconds

    def process(
        self,
        element: tuple[str, ImageRecord],
        timestamp: Timestamp = beam.DoFn.TimestampParam,
        window: BoundedWindow = beam.DoFn.WindowParam,
        held: Any = HELD,
        account: Any = ACCOUNT,
        due: Any = DUE,
        closing: Any = CLOSING,
    ) -> Iterator[ImageRecord]:
        """Hold the record, or let go all that are held and this."""
        record = element[1]
        count, size, earliest, until = account.read() or (0, 0, timestamp, Timestamp.now() + self._seconds)
        count, size = count + 1, size + len(record.image or b"")
        if count >= self._size or size >= MAX_HELD_BYTES:
            yield from _released(window, held, account, due)
            yield WindowedValue(record, timestamp, (window,))
            return
        if count == 1:
            closing.set(window.max_timestamp())
        if count == 1 or timestamp < earliest:
            due.set(until)  # set again since a timer holds the watermark at the record that set it
        held.add((record, timestamp))
        account.write((count, size, min(earliest, timestamp), until))

    @on_timer(_DUE)  # type: ignore[untyped-decorator]
    def waited_long_enough(
        self,
        window: BoundedWindow = beam.DoFn.WindowParam,
        held: Any = HELD,
        account: Any = ACCOUNT,
    ) -> Iterable[ImageRecord]:
        """Let them go."""
        return _released(window, held, account)

    @on_timer(_CLOSING)  # type: ignore[untyped-decorator]
    def window_closes(
        self,
        window: BoundedWindow = beam.DoFn.WindowParam,
        held: Any = HELD,
        account: Any = ACCOUNT,
        due: Any = DUE,
    ) -> Iterable[ImageRecord]:
        """Let them go, before whatever comes behind takes them for late."""
        return _released(window, held, account, due)


def _released(window: BoundedWindow, held: Any, account: Any, due: Any = None) -> list[WindowedValue]:
    """All that are held; `due` is their timer, unless it has just gone off.

    Prism would wait for ever for a timer that clears itself.
    """
    found = [WindowedValue(record, timestamp, (window,)) for record, timestamp in held.read()]
    held.clear()
    account.clear()
    if due is not None and found:
        due.clear()
    return found
