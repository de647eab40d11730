"""Decodes and predicts tables of records in threads, in order and ahead of the consumer."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from bulklabel.model.network.scorer import Scorer
from bulklabel.transforms.concurrency.ordered_map import ordered_map
from bulklabel.transforms.concurrency.stage_clock import DECODING, StageClock
from bulklabel.transforms.reading.records import TABLE_BYTES, Unreadable
from bulklabel.transforms.run_directory.plan import Recipe
from bulklabel.transforms.scoring.decode import DecodedBatch, decode_batch, reject_unreadable
from bulklabel.transforms.scoring.predict import ScoredBatch, full_batches, predict_batch


@dataclass(frozen=True)
class BatchScorer:
    """Computes `predict(decode(table))` in a pool of `threads`."""

    recipe: Recipe
    scorer: Scorer
    pool: ThreadPoolExecutor
    threads: int

    def score(self, tables: Iterable[pa.Table | Unreadable], clock: StageClock) -> Iterator[ScoredBatch]:
        """Yields every record of the tables once, as prediction or as rejected, in order; `clock` measures decoding."""
        # Both maps share the pool: while the consumer waits for one batch, other threads decode tables and predict the
        # batches after it. The numbers bound the memory: four decoded tables and two scored batches a thread.
        decoded = ordered_map(self.pool, lambda table: self._decode(table, clock), tables, 4 * self.threads, _weight)
        full = full_batches(decoded, self.recipe.batch_size)
        return ordered_map(
            self.pool, lambda batch: predict_batch(batch, self.scorer, self.recipe), full, 2 * self.threads
        )

    def _decode(self, table: pa.Table | Unreadable, clock: StageClock) -> DecodedBatch | ScoredBatch:
        """Decodes a table; one that is a whole batch goes through the network in the same thread.

        Otherwise all threads would decode, or wait for `SMALL_IMAGE_LOCK`, while batches wait for the network.
        """
        recipe = self.recipe
        if isinstance(table, Unreadable):
            return reject_unreadable(table, recipe)
        with clock.measure(DECODING):
            decoded = decode_batch(table, recipe.preprocessing, recipe.decode_seconds, recipe.limits)
        return predict_batch(decoded, self.scorer, recipe) if len(decoded) == recipe.batch_size else decoded


def _weight(table: pa.Table | Unreadable) -> int:
    """Returns how many tables' place a table takes: three if it holds more than twice the bytes of others."""
    return 1 if isinstance(table, Unreadable) or table.nbytes <= 2 * TABLE_BYTES else 3
