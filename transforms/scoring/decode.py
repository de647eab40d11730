"""From a batch of records to a batch of pixels: what cannot be decoded, or not in time, is rejected."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bulklabel.model.errors import RecordError
from bulklabel.model.images.decode import decode_with_kind
from bulklabel.model.images.kinds import Kind
from bulklabel.model.images.resize import Pixels, Preprocessing
from bulklabel.transforms.concurrency.timeout import run_with_timeout
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.reading.records import Unreadable
from bulklabel.transforms.run_directory.part_tables import rejected_row, rejected_row_of

DECODE_SECONDS = 60.0
"""The time limit for one image unless the user says otherwise; the slowest that are let in take about two."""

Decoded = tuple[Pixels, Kind]

SMALL_IMAGE_BYTES = 8 * 2**10
ONE_AT_A_TIME = threading.Lock()
"""Held while a batch of small images is decoded: two threads that hand the interpreter's lock to and fro at every
image are slower than one (32×32 PNGs on two cores: 57 µs an image instead of 40). Large ones are decoded in parallel.
"""


@dataclass(frozen=True)
class DecodedBatch:
    """Records between decoding and the network.

    `records` are the N rows without their images, `pixels` N×H×W×3, `kinds` what each image was, None where it cannot
    be scored (N), and `rejected` rows of `predictions.REJECTED_SCHEMA`. Bad rows stay in place as black images, so that
    the others' answers do not depend on them.
    """

    records: pa.Table
    pixels: Pixels
    kinds: list[Kind | None]
    rejected: list[dict[str, Any]]

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Where records can be scored, N."""
        return np.array([kind is not None for kind in self.kinds], bool)

    def __len__(self) -> int:
        """N."""
        return len(self.kinds)

    def split(self, size: int) -> tuple["DecodedBatch", "DecodedBatch"]:
        """The first `size` records with everything rejected, and the others."""
        first = DecodedBatch(self.records[:size], self.pixels[:size], self.kinds[:size], self.rejected)
        return first, DecodedBatch(self.records[size:], self.pixels[size:], self.kinds[size:], [])


def reject_unreadable(batch: Unreadable, preprocessing: Preprocessing, schema: pa.Schema) -> DecodedBatch:
    """No record, and a rejected row for each that could not be read; `schema` is that of the others' tables."""
    records = schema.empty_table().drop_columns(["image"])
    pixels = np.zeros((0, preprocessing.height, preprocessing.width, 3), np.uint8)
    source, problem = escape_surrogates(batch.source), batch.problem
    error = RecordError("read", problem.reason, problem.detail)
    return DecodedBatch(
        records, pixels, [], [rejected_row(batch.id, source, position, error) for position in batch.positions]
    )


def decode_batch(batch: pa.Table, preprocessing: Preprocessing, seconds: float = DECODE_SECONDS) -> DecodedBatch:
    """Decode the images of a batch; those that cannot be are rejected, each with its reason.

    An image that takes longer than `seconds` is rejected too. Nothing can stop its decoder: its thread is left
    behind, and the images after it are decoded one by one.
    """
    images = batch.column("image").to_pylist()
    small = sum(len(image or b"") for image in images) < len(images) * SMALL_IMAGE_BYTES
    found: list[Decoded | RecordError] = []
    over = threading.Event()
    try:
        run_with_timeout(lambda: _decode_all(images, preprocessing, small, found, over), seconds)
    except TimeoutError:
        over.set()
        done = found[:]
        found = done + [_decode_in_time(image, preprocessing, seconds) for image in images[len(done) :]]
    pixels = np.zeros((len(batch), preprocessing.height, preprocessing.width, 3), np.uint8)
    kinds: list[Kind | None] = [None] * len(batch)
    rejected = []
    for row, image in enumerate(found):
        if isinstance(image, RecordError):
            rejected.append(rejected_row_of(batch, row, image))
        else:
            pixels[row], kinds[row] = image
    return DecodedBatch(batch.drop_columns(["image"]), pixels, kinds, rejected)


def _decode_all(
    images: list[bytes | None],
    preprocessing: Preprocessing,
    small: bool,
    found: list[Decoded | RecordError],
    over: threading.Event,
) -> None:
    """Put what the images are decoded to into `found`, until that is over."""
    with _turn() if small else contextlib.nullcontext():
        for image in images:
            decoded = _decode(image, preprocessing)
            if over.is_set():
                return
            found.append(decoded)


def _decode(image: bytes | None, preprocessing: Preprocessing) -> Decoded | RecordError:
    try:
        return decode_with_kind(image, preprocessing)
    except RecordError as error:
        return error


def _decode_in_time(image: bytes | None, preprocessing: Preprocessing, seconds: float) -> Decoded | RecordError:
    try:
        return run_with_timeout(lambda: _decode(image, preprocessing), seconds)
    except TimeoutError:
        return RecordError("decode", "timed_out", f"its decoder was not finished after {seconds:g} seconds")


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    """`ONE_AT_A_TIME`, unless a thread that was left behind keeps it."""
    mine = ONE_AT_A_TIME.acquire(timeout=1)
    try:
        yield
    finally:
        if mine:
            ONE_AT_A_TIME.release()
