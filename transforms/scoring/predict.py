"""Runs the network on batches of decoded records, and makes tables of predictions."""

import itertools
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bulklabel.model.errors import RecordError
from bulklabel.model.labels.predictions import predictions_table, with_kinds
from bulklabel.model.network import TOLERANCE
from bulklabel.model.network.engine import BATCHES_AT_ONCE
from bulklabel.model.network.scorer import Scorer
from bulklabel.transforms.concurrency.ordered_map import ordered_map
from bulklabel.transforms.run_directory.part_tables import rejected_row_of
from bulklabel.transforms.run_directory.plan import Recipe
from bulklabel.transforms.scoring.decode import DecodedBatch
from bulklabel.transforms.scoring.slots import Slots


@dataclass(frozen=True)
class ScoredBatch:
    """Holds a batch after the network: its table of predictions, its rejected rows, and the network's milliseconds.

    `answered` is the wall clock's time of the network's answer, in seconds since 1970; None if it was not asked.
    """

    predictions: pa.Table
    rejected: list[dict[str, Any]]
    milliseconds: int
    answered: float | None


def full_batches(batches: Iterable[DecodedBatch], size: int) -> Iterator[DecodedBatch]:
    """Yields the same records in the same order in batches of `size`, except for the last.

    The network computes batches of one size: one that is not full is padded, and costs as much.

    Args:
        batches: in the slots that `with_slots` gave them.
        size: the number of records in a batch.
    """
    waiting: list[DecodedBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) == size:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[DecodedBatch]) -> DecodedBatch:
    if len(batches) == 1:
        return batches[0]
    return DecodedBatch(
        pa.concat_tables(batch.records for batch in batches),
        Slots(batches[-1].slots.images, slice(0, sum(map(len, batches)))),
        [kind for batch in batches for kind in batch.kinds],
        [row for batch in batches for row in batch.rejected],
    )


def predict_batch(batch: DecodedBatch, scorer: Scorer, recipe: Recipe) -> ScoredBatch:
    """Runs the network on a decoded batch; rejects records whose probabilities are none."""
    started = time.monotonic()
    good = batch.good
    if good.any():
        probabilities = scorer.predict(batch.pixels)
    else:
        probabilities = np.zeros((len(batch), len(recipe.labels)), np.float32)
    milliseconds = round(1000 * (time.monotonic() - started))
    answered = time.time() if good.any() else None
    rejected, kept = [*batch.rejected], good.copy()
    for valid, error in _validity(probabilities):
        rejected += [rejected_row_of(batch.records, int(row), error) for row in np.flatnonzero(kept & ~valid)]
        kept &= valid
    probabilities = probabilities.clip(0, 1)
    kinds = [kind for kind in itertools.compress(batch.kinds, kept) if kind]
    records = with_kinds(batch.records.filter(pa.array(kept)), kinds)
    table = predictions_table(records, probabilities[kept], recipe.thresholds, recipe.labels, recipe.layout)
    return ScoredBatch(table, rejected, milliseconds, answered)


def predict_batches(
    pool: ThreadPoolExecutor, batches: Iterable[DecodedBatch], scorer: Scorer, recipe: Recipe
) -> Iterator[ScoredBatch]:
    """Yields the records of decoded batches, in order, after the network, which the pool's threads run ahead.

    As many full batches wait for the network as are in it, so memory is bounded.
    """
    full = full_batches(batches, recipe.batch_size)
    return ordered_map(lambda batch: pool.submit(predict_batch, batch, scorer, recipe), full, 2 * BATCHES_AT_ONCE)


def _validity(probabilities: npt.NDArray[np.float32]) -> list[tuple[npt.NDArray[np.bool_], RecordError]]:
    """Returns for each check which rows of N×L pass it, and why the others are rejected.

    Rounding may pass 0 and 1 by a little: what is within `TOLERANCE` is clipped.
    """
    lowest, highest = probabilities.min(axis=1), probabilities.max(axis=1)
    finite = np.isfinite(lowest) & np.isfinite(highest)
    inside = (lowest >= -TOLERANCE) & (highest <= 1 + TOLERANCE)
    return [
        (finite, RecordError("predict", "not_finite", "the network's answer is not a number")),
        (inside, RecordError("predict", "not_a_probability", "the network's answer is below 0 or above 1")),
    ]
