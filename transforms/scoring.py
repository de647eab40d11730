"""ScoreShards: a shard in, its predictions and its rejected records out, as whole tables."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.metrics import Metrics

from model.errors import RecordError, UserError
from model.golden import check_golden
from model.predictions import REJECTED, predictions_table
from transforms.ahead import ahead
from transforms.decoding import DecodedBatch, decode_batch, full_batches, reject_unreadable, rejected_row
from transforms.models import load_model
from transforms.once import OncePerProcess
from transforms.parts import PREDICTIONS, Part, PartStamp, make_part, read_part
from transforms.parts import REJECTED as REJECTED_PART
from transforms.plan import Recipe
from transforms.readers import read_shard
from transforms.records import Shard, Unreadable

if TYPE_CHECKING:
    from model.scorer import Scorer


@dataclass(frozen=True)
class ShardResult:
    """What one shard became. `committed` says that both parts were already there, from an earlier run."""

    shard: Shard
    predictions: Part
    rejected: Part
    committed: bool


@dataclass(frozen=True)
class ScoredBatch:
    """One batch after the network: its predictions table, its rejected rows, and the network's milliseconds."""

    predictions: pa.Table
    rejected: list[dict[str, Any]]
    milliseconds: int


def load_scorer(directory: str, digest: str, trusted: bool = False) -> "Scorer":
    """The scorer of the model that a plan names, after it answered the golden images as it should.

    Raises:
        UserError: if the model directory is no longer that model, its network cannot be loaded, would run code
            without being trusted, or answers otherwise on this machine.
    """
    from model.scorer import Scorer  # imports TensorFlow, which takes seconds

    model = load_model(directory)
    if model.digest != digest:
        raise UserError(f"{directory} changed since the run was planned; run the command again.")
    scorer = Scorer(model, directory, trusted)
    check_golden(model, scorer, directory)
    return scorer


class ScoreShards(beam.DoFn):  # type: ignore[misc]
    """`predict(decode(read(shard)))`, each in threads ahead of the next; a shard whose parts are there is read back."""

    def __init__(
        self,
        output: str,
        recipe: Recipe,
        stamp: PartStamp,
        scorer: OncePerProcess["Scorer"],
        decode_seconds: float,
    ) -> None:
        self._output = output
        self._decode_seconds = decode_seconds
        self._recipe = recipe
        self._stamp = stamp
        self._scorer = scorer

    def setup(self) -> None:
        """Start the threads that decode and predict, one a core."""
        self._threads = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="score")

    def teardown(self) -> None:
        """End them."""
        self._pool.shutdown()

    def process(self, shard: Shard) -> Iterator[ShardResult]:
        """One shard, one result."""
        result = self._committed(shard) or self._score(shard)
        Metrics.counter("bulklabel", "records").inc(len(result.predictions.table) + len(result.rejected.table))
        for reason in result.rejected.table.column("reason").to_pylist():
            Metrics.counter("bulklabel", f"rejected_{reason}").inc()
        yield result

    def _committed(self, shard: Shard) -> ShardResult | None:
        predictions = read_part(self._output, PREDICTIONS, shard, self._stamp)
        rejected = predictions and read_part(self._output, REJECTED_PART, shard, self._stamp)
        return ShardResult(shard, predictions, rejected, committed=True) if predictions and rejected else None

    def _score(self, shard: Shard) -> ShardResult:
        recipe, scorer = self._recipe, self._scorer.get()
        tables = read_shard(shard, recipe.input_format, recipe.columns, recipe.labels, recipe.batch_size)
        decoded = full_batches(ahead(self._pool, self._decode, tables, 4 * self._threads), recipe.batch_size)
        batches = list(
            ahead(self._pool, lambda batch: predict_batch(batch, scorer, recipe), decoded, 2 * self._threads)
        )
        for batch in batches:
            Metrics.distribution("bulklabel", "batch_milliseconds").update(batch.milliseconds)
        predictions = [batch.predictions for batch in batches] or [no_predictions(recipe)]
        rejected = sorted((row for batch in batches for row in batch.rejected), key=itemgetter("source", "position"))
        return ShardResult(
            shard,
            make_part(PREDICTIONS, shard, pa.concat_tables(predictions).combine_chunks(), self._stamp),
            make_part(REJECTED_PART, shard, pa.Table.from_pylist(rejected, REJECTED), self._stamp),
            committed=False,
        )

    def _decode(self, table: pa.Table | Unreadable) -> DecodedBatch:
        recipe = self._recipe
        if isinstance(table, Unreadable):
            return reject_unreadable(table, recipe.preprocessing, recipe.columns.schema)
        return decode_batch(table, recipe.preprocessing, self._decode_seconds)


def no_predictions(recipe: Recipe) -> pa.Table:
    """The predictions of a shard without records."""
    nothing = np.empty((0, len(recipe.labels)), np.float32)
    records = recipe.columns.schema.empty_table().drop_columns(["image"])
    return predictions_table(records, nothing, recipe.thresholds, recipe.labels, recipe.layout)


def predict_batch(batch: DecodedBatch, scorer: "Scorer", recipe: Recipe) -> ScoredBatch:
    """Run the network on a decoded batch; records whose answer is not a number are rejected."""
    started = time.monotonic()
    if batch.good.any():
        probabilities = scorer.predict(batch.pixels)
    else:
        probabilities = np.zeros((len(batch.good), len(recipe.labels)), np.float32)
    milliseconds = round(1000 * (time.monotonic() - started))
    finite = np.isfinite(probabilities).all(axis=1)
    error = RecordError("predict", "not_finite", "the network's answer is not a number")
    rejected = batch.rejected + [
        rejected_row(batch.records, int(row), error) for row in np.flatnonzero(batch.good & ~finite)
    ]
    kept = batch.good & finite
    table = predictions_table(
        batch.records.filter(pa.array(kept)), probabilities[kept], recipe.thresholds, recipe.labels, recipe.layout
    )
    return ScoredBatch(table, rejected, milliseconds)
