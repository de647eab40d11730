"""Decodes batches of records to batches of pixels; rejects images that cannot be decoded, or not in time."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bulklabel.model.errors import RecordError
from bulklabel.model.images.decode import decode_with_kind
from bulklabel.model.images.kinds import Encoded, Kind
from bulklabel.model.images.limits import DEFAULT_LIMITS, Limits
from bulklabel.model.images.resize import Pixels, Preprocessing
from bulklabel.transforms.concurrency.ordered_map import ordered_map
from bulklabel.transforms.concurrency.stage_clock import DECODING, StageClock
from bulklabel.transforms.concurrency.timeout import TimedThreads, TimedWork
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.reading.records import RecordTable, Unreadable
from bulklabel.transforms.run_directory.part_tables import no_records, rejected_row, rejected_row_of
from bulklabel.transforms.run_directory.plan import DECODE_SECONDS, Recipe
from bulklabel.transforms.scoring.slots import Slots, new_slots

Decoded = tuple[Pixels, Kind]

TABLES_AHEAD = 4
"""Tables that are decoded, or wait to be, while another is used."""

SMALL_IMAGE_BYTES = 8 * 2**10

SMALL_IMAGE_LOCK = threading.Lock()
"""Held while a batch of small images is decoded, so that only one is at a time. Two threads that take turns with the
interpreter's lock at every image are slower than one (32×32 PNGs on two cores: 57 µs an image instead of 40). Batches
of large images are decoded in parallel."""


@dataclass(frozen=True)
class DecodedBatch:
    """Holds N records between decoding and the network.

    `records` are the N rows, `slots` where their pixels are, `kinds` what kind of image each
    record has (N), None where it cannot be scored, and `rejected` rows of `predictions.REJECTED_SCHEMA`. Records that
    cannot be scored stay in place as black images, so that the probabilities of the others do not depend on them.
    """

    records: pa.Table
    slots: Slots
    kinds: list[Kind | None]
    rejected: list[dict[str, Any]]

    @property
    def pixels(self) -> Pixels:
        """Returns the images, uint8 of N×H×W×3."""
        return self.slots.pixels

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Returns which of the N records can be scored."""
        return np.array([kind is not None for kind in self.kinds], bool)

    def __len__(self) -> int:
        """Returns the number of records, N."""
        return len(self.kinds)


def reject_unreadable(unreadable: Unreadable, recipe: Recipe, slots: Slots) -> DecodedBatch:
    """Makes a batch without records, with a rejected row for each record that could not be read."""
    source, problem = escape_surrogates(unreadable.source), unreadable.problem
    error = RecordError("read", problem.reason, problem.detail)
    rejected = [rejected_row(unreadable.id, source, position, error) for position in unreadable.positions]
    return DecodedBatch(no_records(recipe), slots, [], rejected)


class Decoding:
    """Decodes the images of a table; those that cannot be decoded, or not in time, are rejected, each with its reason.

    Nothing can stop a decoder. So if an image takes too long, its thread is abandoned, and another one goes on with the
    images after it.
    """

    def __init__(
        self,
        table: RecordTable,
        slots: Slots,
        preprocessing: Preprocessing,
        limits: Limits,
        seconds: float,
        threads: TimedThreads,
        clock: StageClock,
    ) -> None:
        """Begins to decode, as soon as a thread is free.

        Args:
            table: the records.
            slots: where their pixels go.
            preprocessing: the size that images are resized to.
            limits: how large an image may be, and whether one that lacks pixels is rejected.
            seconds: the time limit for one image.
            threads: what decodes.
            clock: measures the time that it takes.
        """
        self._rows, self._images, self._slots = table.rows, table.images, slots
        self._small = table.nbytes < len(table) * SMALL_IMAGE_BYTES
        self._decode = partial(_decode, preprocessing=preprocessing, limits=limits)
        self._seconds, self._threads, self._clock = seconds, threads, clock
        self._outcomes: list[Kind | RecordError] = []
        self._attempt = 0
        self._lock = threading.Lock()
        self._turn = _SmallImageTurn()
        self._work: TimedWork[DecodedBatch] = threads.submit(partial(self._run, self._attempt), seconds)

    def result(self) -> DecodedBatch:
        """Returns the records, when all are decoded or rejected."""
        while True:
            try:
                return self._work.result()
            except TimeoutError:
                if not self._work.given_up:
                    raise
                self._abandon_thread()

    def _run(self, attempt: int, timed: TimedWork[DecodedBatch]) -> DecodedBatch:
        """Decodes the images that are left in this thread, until it is abandoned."""
        self._turn = turn = _SmallImageTurn()
        with self._clock.measure(DECODING):
            if self._small:
                turn.take(self._seconds)
            try:
                timed.renew()
                for image in self._images[len(self._outcomes) :]:
                    decoded = self._decode(image)
                    with self._lock:
                        if attempt != self._attempt:
                            raise TimeoutError
                        self._add(decoded)
                        timed.renew()
            finally:
                turn.end()
        return self._batch()

    def _abandon_thread(self) -> None:
        """Rejects the image that takes too long, and begins with the next; at the last moment it may have ended."""
        with self._lock:
            self._attempt += 1
            if self._work.is_late and len(self._outcomes) < len(self._images):
                detail = f"its decoder was not finished after {self._seconds:g} seconds"
                self._add(RecordError("decode", "timed_out", detail))
        self._turn.end()
        self._work = self._threads.replace(partial(self._run, self._attempt), self._seconds)

    def _add(self, decoded: Decoded | RecordError) -> None:
        """Puts the next image into its slot while it is in the processor's cache."""
        row = self._slots.pixels[len(self._outcomes)]
        if isinstance(decoded, RecordError):
            row[:] = 0
            self._outcomes.append(decoded)
        else:
            row[:], kind = decoded
            self._outcomes.append(kind)

    def _batch(self) -> DecodedBatch:
        self._images = ()  # they may be large, and the batch may wait for its turn
        kinds = [None if isinstance(outcome, RecordError) else outcome for outcome in self._outcomes]
        rejected = [
            rejected_row_of(self._rows, row, outcome)
            for row, outcome in enumerate(self._outcomes)
            if isinstance(outcome, RecordError)
        ]
        return DecodedBatch(self._rows, self._slots, kinds, rejected)


def decode_tables(
    threads: TimedThreads,
    tables: Iterable[RecordTable],
    preprocessing: Preprocessing,
    limits: Limits = DEFAULT_LIMITS,
    seconds: float = DECODE_SECONDS,
) -> Iterator[DecodedBatch]:
    """Yields tables of records decoded, in order, each in slots of its own; threads decode the next ones meanwhile.

    The arguments are those of `Decoding`.
    """
    clock = StageClock()

    def begin(table: RecordTable) -> Decoding:
        return Decoding(table, new_slots(len(table), preprocessing), preprocessing, limits, seconds, threads, clock)

    return ordered_map(begin, tables, TABLES_AHEAD)


def _decode(image: Encoded | None, preprocessing: Preprocessing, limits: Limits) -> Decoded | RecordError:
    try:
        return decode_with_kind(image, preprocessing, limits)
    except RecordError as error:
        return error


class _SmallImageTurn:
    """Holds `SMALL_IMAGE_LOCK` for a thread, until that ends its turn, or whoever abandons it does."""

    def __init__(self) -> None:
        self._holds = False
        self._lock = threading.Lock()

    def take(self, seconds: float) -> None:
        """Waits for the lock, but no longer than a second, or half of the `seconds` that an image may take."""
        self._holds = SMALL_IMAGE_LOCK.acquire(timeout=min(1, seconds / 2))

    def end(self) -> None:
        """Releases the lock, if it is still held."""
        with self._lock:
            if self._holds:
                self._holds = False
                SMALL_IMAGE_LOCK.release()
