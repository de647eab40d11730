"""Decodes and predicts tables of records in threads, in order and ahead of the consumer."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from bulklabel.model.network.engine import BATCHES_AT_ONCE
from bulklabel.model.network.scorer import Scorer
from bulklabel.model.versions import processor_cores
from bulklabel.transforms.concurrency.ordered_map import ordered_map
from bulklabel.transforms.concurrency.stage_clock import DECODING, StageClock
from bulklabel.transforms.reading.records import TABLE_BYTES, Unreadable
from bulklabel.transforms.run_directory.plan import Recipe
from bulklabel.transforms.scoring.decode import DecodedBatch, decode_batch, reject_unreadable
from bulklabel.transforms.scoring.predict import ScoredBatch, predict_batches


class ScoringThreads:
    """Holds threads that decode, one a core, and others for the network, which thus never waits for a decoder."""

    def __init__(self) -> None:
        self.cores = processor_cores()
        self.decoders = ThreadPoolExecutor(self.cores, thread_name_prefix="decode")
        self.predictors = ThreadPoolExecutor(BATCHES_AT_ONCE, thread_name_prefix="predict")

    def end(self) -> None:
        """Ends the threads when what they were given is done."""
        self.decoders.shutdown()
        self.predictors.shutdown()


@dataclass(frozen=True)
class BatchScorer:
    """Computes `predict(decode(table))` in threads, which several may share."""

    recipe: Recipe
    scorer: Scorer
    threads: ScoringThreads

    def score(self, tables: Iterable[pa.Table | Unreadable], clock: StageClock) -> Iterator[ScoredBatch]:
        """Yields every record of the tables once, as prediction or as rejected, in order; `clock` measures decoding."""
        # While the consumer waits for one batch, threads decode tables and predict the batches after it. The number of
        # decoded tables, four a thread, bounds the memory.
        threads = self.threads
        decoded = ordered_map(
            threads.decoders, lambda table: self._decode(table, clock), tables, 4 * threads.cores, _weight
        )
        return predict_batches(threads.predictors, decoded, self.scorer, self.recipe)

    def _decode(self, table: pa.Table | Unreadable, clock: StageClock) -> DecodedBatch:
        recipe = self.recipe
        if isinstance(table, Unreadable):
            return reject_unreadable(table, recipe)
        with clock.measure(DECODING):
            return decode_batch(table, recipe.preprocessing, recipe.decode_seconds, recipe.limits)


def _weight(table: pa.Table | Unreadable) -> int:
    """Returns how many tables' place a table takes: three if it holds more than twice the bytes of others."""
    return 1 if isinstance(table, Unreadable) or table.nbytes <= 2 * TABLE_BYTES else 3
