"""Batches of decoded images: what cannot be decoded in time is rejected, and costs nobody else anything."""

import threading
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bulklabel.model.images.decode import decode, decode_with_kind
from bulklabel.model.images.demo_collages import collages
from bulklabel.model.images.kinds import Kind
from bulklabel.model.images.resize import Pixels, Preprocessing
from bulklabel.transforms.concurrency.timeout import TimedThreads, run_with_timeout
from bulklabel.transforms.reading.records import RECORD_SCHEMA, RecordTable
from bulklabel.transforms.scoring import decode as decoding

SIZE = Preprocessing(32, 32)


def batch(images: list[bytes]) -> RecordTable:
    rows = [{"id": f"r{index}", "source": "file", "position": index, "labels": None} for index in range(len(images))]
    return RecordTable(pa.Table.from_pylist(rows, RECORD_SCHEMA), images)


def test_a_decoder_that_hangs_costs_its_own_record_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [image for image, _ in collages(6, 0, held_out=False)]
    images[2], images[4] = b"hang", b"broken"
    for_ever = threading.Event()

    def sometimes_hanging(data: bytes | None, *arguments: Any) -> tuple[Pixels, Kind]:
        if data == b"hang":
            for_ever.wait()
        return decode_with_kind(data, *arguments)

    monkeypatch.setattr(decoding, "decode_with_kind", sometimes_hanging)
    with closing(TimedThreads(1, "decode")) as threads:
        decoded, after = decoding.decode_tables(threads, [batch(images), batch(images[:2])], SIZE, seconds=0.5)
    for_ever.set()
    assert after.good.all(), "another thread took the place of the one that hangs"
    assert [(row["id"], row["stage"], row["reason"]) for row in decoded.rejected] == [
        ("r2", "decode", "timed_out"),
        ("r4", "decode", "not_an_image"),
    ]
    assert decoded.rejected[0]["detail"] == "its decoder was not finished after 0.5 seconds"
    assert decoded.good.tolist() == [True, True, False, True, False, True]
    for row in (0, 1, 3, 5):
        assert np.array_equal(decoded.pixels[row], decode(images[row], SIZE))
    assert not decoded.pixels[2].any()


def test_what_work_raises_is_raised_where_it_was_waited_for() -> None:
    def failing() -> None:
        raise KeyError("here")

    with pytest.raises(KeyError, match="here"):
        run_with_timeout(failing, 60)
