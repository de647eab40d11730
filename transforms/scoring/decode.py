"""Decodes batches of records to batches of pixels; rejects images that cannot be decoded, or not in time."""

import contextlib
import threading
from collections.abc import Callable, Iterator
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
from bulklabel.transforms.concurrency.timeout import run_with_timeout
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.reading.record_tables import images_in
from bulklabel.transforms.reading.records import Unreadable
from bulklabel.transforms.run_directory.part_tables import no_records, rejected_row, rejected_row_of
from bulklabel.transforms.run_directory.plan import DECODE_SECONDS, Recipe

Decoded = tuple[Pixels, Kind]

SMALL_IMAGE_BYTES = 8 * 2**10

SMALL_IMAGE_LOCK = threading.Lock()
"""Held while a batch of small images is decoded, so that only one is at a time. Two threads that take turns with the
interpreter's lock at every image are slower than one (32×32 PNGs on two cores: 57 µs an image instead of 40). Batches
of large images are decoded in parallel."""


@dataclass(frozen=True)
class DecodedBatch:
    """Holds N records between decoding and the network.

    `records` are the N rows without their images, `pixels` uint8 of N×H×W×3, `kinds` what kind of image each record
    has (N), None where it cannot be scored, and `rejected` rows of `predictions.REJECTED_SCHEMA`. Records that cannot
    be scored stay in place as black images, so that the probabilities of the others do not depend on them.
    """

    records: pa.Table
    pixels: Pixels
    kinds: list[Kind | None]
    rejected: list[dict[str, Any]]

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Returns which of the N records can be scored."""
        return np.array([kind is not None for kind in self.kinds], bool)

    def __len__(self) -> int:
        """Returns the number of records, N."""
        return len(self.kinds)

    def split(self, size: int) -> tuple["DecodedBatch", "DecodedBatch"]:
        """Returns the first `size` records with all rejected rows, and the other records."""
        first = DecodedBatch(self.records[:size], self.pixels[:size], self.kinds[:size], self.rejected)
        return first, DecodedBatch(self.records[size:], self.pixels[size:], self.kinds[size:], [])


def reject_unreadable(unreadable: Unreadable, recipe: Recipe) -> DecodedBatch:
    """Makes a batch without records, with a rejected row for each record that could not be read."""
    pixels = np.zeros((0, recipe.preprocessing.height, recipe.preprocessing.width, 3), np.uint8)
    source, problem = escape_surrogates(unreadable.source), unreadable.problem
    error = RecordError("read", problem.reason, problem.detail)
    rejected = [rejected_row(unreadable.id, source, position, error) for position in unreadable.positions]
    return DecodedBatch(no_records(recipe), pixels, [], rejected)


def decode_batch(
    batch: pa.Table,
    preprocessing: Preprocessing,
    seconds: float = DECODE_SECONDS,
    limits: Limits = DEFAULT_LIMITS,
) -> DecodedBatch:
    """Decodes the images of a batch; records whose images cannot be decoded are rejected, each with its reason.

    An image that takes longer than `seconds` is rejected too. Nothing can stop its decoder: its thread is abandoned,
    and the images after it are decoded one by one, each with a time limit of its own.

    Args:
        batch: records with their encoded images, of `Recipe.schema`.
        preprocessing: the size that images are resized to.
        seconds: the time limit for one image; a whole batch that takes less is decoded in one go.
        limits: how large an image may be, and whether one that lacks pixels is rejected.
    """
    images = images_in(batch.column("image"))
    small = sum(len(image or b"") for image in images) < len(images) * SMALL_IMAGE_BYTES
    decoded: list[Decoded | RecordError] = []
    abandoned = threading.Event()
    decode = partial(_decode, preprocessing=preprocessing, limits=limits)
    try:
        run_with_timeout(lambda: _decode_all(images, decode, small, decoded, abandoned), seconds)
    except TimeoutError:
        abandoned.set()
        done = decoded[:]  # a copy, since the thread may be about to add one more
        decoded = done + [_decode_with_timeout(image, decode, seconds) for image in images[len(done) :]]
    pixels = np.zeros((len(batch), preprocessing.height, preprocessing.width, 3), np.uint8)
    kinds: list[Kind | None] = [None] * len(batch)
    rejected = []
    for row, image in enumerate(decoded):
        if isinstance(image, RecordError):
            rejected.append(rejected_row_of(batch, row, image))
        else:
            pixels[row], kinds[row] = image
    return DecodedBatch(batch.drop_columns(["image"]), pixels, kinds, rejected)


def _decode_all(
    images: list[Encoded | None],
    decode: Callable[[Encoded | None], Decoded | RecordError],
    small: bool,
    decoded: list[Decoded | RecordError],
    abandoned: threading.Event,
) -> None:
    """Appends each decoded image to `decoded`, until the thread that runs this has been abandoned."""
    with _small_image_turn() if small else contextlib.nullcontext():
        for image in images:
            result = decode(image)
            if abandoned.is_set():
                return
            decoded.append(result)


def _decode(image: Encoded | None, preprocessing: Preprocessing, limits: Limits) -> Decoded | RecordError:
    try:
        return decode_with_kind(image, preprocessing, limits)
    except RecordError as error:
        return error


def _decode_with_timeout(
    image: Encoded | None, decode: Callable[[Encoded | None], Decoded | RecordError], seconds: float
) -> Decoded | RecordError:
    try:
        return run_with_timeout(lambda: decode(image), seconds)
    except TimeoutError:
        return RecordError("decode", "timed_out", f"its decoder was not finished after {seconds:g} seconds")


@contextlib.contextmanager
def _small_image_turn() -> Iterator[None]:
    """Holds `SMALL_IMAGE_LOCK`, or goes on without it after a second: an abandoned thread may keep it for ever."""
    acquired = SMALL_IMAGE_LOCK.acquire(timeout=1)
    try:
        yield
    finally:
        if acquired:
            SMALL_IMAGE_LOCK.release()
