"""Batches of decoded images: what cannot be decoded in time is rejected, and costs nobody else anything."""

import gc
import threading
import weakref
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bulklabel.model.images.decode import decode, decode_with_kind
from bulklabel.model.images.demo_collages import collages
from bulklabel.model.images.kinds import Encoded, Kind
from bulklabel.model.images.limits import DEFAULT_LIMITS
from bulklabel.model.images.resize import Pixels, Preprocessing
from bulklabel.transforms.concurrency.stage_clock import StageClock
from bulklabel.transforms.concurrency.timeout import TimedThreads, run_with_timeout
from bulklabel.transforms.reading.records import RECORD_SCHEMA, RecordTable
from bulklabel.transforms.scoring import decode as decoding
from bulklabel.transforms.scoring.slots import Slots, new_slots

SIZE = Preprocessing(32, 32)


def batch(images: Sequence[Encoded]) -> RecordTable:
    rows = [{"id": f"r{index}", "source": "file", "position": index, "labels": None} for index in range(len(images))]
    return RecordTable(pa.Table.from_pylist(rows, RECORD_SCHEMA), images)


def test_a_decoder_that_hangs_costs_its_own_record_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [image for image, _ in collages(6, 0, held_out=False)]
    images[2], images[4] = b"hang", b"broken"
    all_hang = [batch([b"hang", images[0]]) for _ in range(3)]
    for_ever = threading.Event()

    def sometimes_hanging(data: bytes | None, *arguments: Any) -> tuple[Pixels, Kind]:
        if data == b"hang":
            for_ever.wait()
        return decode_with_kind(data, *arguments)

    def used_slots(count: int, size: Preprocessing) -> Slots:
        slots = new_slots(count, size)
        slots.pixels[:] = 7
        return slots

    monkeypatch.setattr(decoding, "decode_with_kind", sometimes_hanging)
    monkeypatch.setattr(decoding, "new_slots", used_slots)
    with closing(TimedThreads(2, "decode")) as threads:
        decoded, *others, last = decoding.decode_tables(
            threads, [batch(images), *all_hang, batch(images[:2])], SIZE, seconds=0.5
        )
    assert not decoding.SMALL_IMAGE_LOCK.locked(), "nobody waits for a turn that an abandoned thread has"
    for_ever.set()
    assert [other.good.tolist() for other in others] == [[False, True]] * 3
    assert last.good.all(), "other threads took the place of those that hang"
    assert [(row["id"], row["stage"], row["reason"]) for row in decoded.rejected] == [
        ("r2", "decode", "timed_out"),
        ("r4", "decode", "not_an_image"),
    ]
    assert decoded.rejected[0]["detail"] == "its decoder was not finished after 0.5 seconds"
    assert decoded.good.tolist() == [True, True, False, True, False, True]
    for row in (0, 1, 3, 5):
        assert np.array_equal(decoded.pixels[row], decode(images[row], SIZE))
    assert not decoded.pixels[[2, 4]].any(), "they are black, whatever the memory held"


def test_what_work_raises_is_raised_where_it_was_waited_for() -> None:
    def failing() -> None:
        raise KeyError("here")

    with pytest.raises(KeyError, match="here"):
        run_with_timeout(failing, 60)


def test_the_time_limit_is_each_images_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of slow images takes longer than one image may, and no image is decoded twice."""
    decoded: list[bytes | None] = []

    def slow(data: bytes | None, *arguments: Any) -> tuple[Pixels, Kind]:
        decoded.append(data)
        threading.Event().wait(0.1)
        return decode_with_kind(data, *arguments)

    monkeypatch.setattr(decoding, "decode_with_kind", slow)
    images = [image for image, _ in collages(6, 0, held_out=False)]
    with closing(TimedThreads(1, "decode")) as threads:
        (found,) = decoding.decode_tables(threads, [batch(images)], SIZE, seconds=0.4)
    assert found.good.all()
    assert decoded == images


def test_images_are_let_go_when_they_are_decoded() -> None:
    """A batch may wait for its turn, and 25 MB of each image need not wait with it."""
    ((image, _),) = collages(1, 0, held_out=False)
    source = bytearray(image)
    with closing(TimedThreads(1, "decode")) as threads:
        decoding_one = decoding.Decoding(
            batch([memoryview(source)]), new_slots(1, SIZE), SIZE, DEFAULT_LIMITS, 60, threads, StageClock()
        )
        assert decoding_one.result().good.all()
    source.clear()  # which fails as long as anybody looks at it


def test_a_batch_is_let_go_when_it_was_used(request: pytest.FixtureRequest) -> None:
    """And does not wait for the garbage collector, which is never in time for 16 MiB a batch."""
    images = [image for image, _ in collages(2, 0, held_out=False)]
    gc.collect()
    gc.disable()
    request.addfinalizer(gc.enable)
    with closing(TimedThreads(1, "decode")) as threads:
        decoded = decoding.decode_tables(threads, [batch(images), batch(images)], SIZE)
        first = weakref.ref(next(decoded).slots.images)
        next(decoded)
    assert first() is None


def test_threads_end_when_nobody_has_them_any_more() -> None:
    threads = TimedThreads(2, "soon gone")
    assert threads.submit(lambda _: 6 * 7, seconds=60).result() == 42
    mine = [thread for thread in threading.enumerate() if thread.name == "soon gone"]
    del threads
    for thread in mine:
        thread.join(10)
    assert [thread.is_alive() for thread in mine] == [False, False]
