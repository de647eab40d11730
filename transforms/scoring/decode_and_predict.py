"""Decodes and predicts tables of records in threads, in order and ahead of the consumer."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bulklabel.model.network.engine import BATCHES_AT_ONCE
from bulklabel.model.network.scorer import Scorer
from bulklabel.model.versions import processor_cores
from bulklabel.transforms.concurrency.ordered_map import Pending, ordered_map
from bulklabel.transforms.concurrency.stage_clock import StageClock
from bulklabel.transforms.concurrency.timeout import TimedThreads
from bulklabel.transforms.reading.records import TABLE_BYTES, RecordTable, Unreadable
from bulklabel.transforms.run_directory.plan import Recipe
from bulklabel.transforms.scoring.decode import DecodedBatch, Decoding, reject_unreadable
from bulklabel.transforms.scoring.predict import ScoredBatch, predict_batches
from bulklabel.transforms.scoring.slots import Slots, with_slots


class ScoringThreads:
    """Holds threads that decode, one a core, and others for the network, which thus never waits for a decoder."""

    def __init__(self) -> None:
        self.cores = processor_cores()
        self.decoders = TimedThreads(self.cores, "decode")
        self.predictors = ThreadPoolExecutor(BATCHES_AT_ONCE, thread_name_prefix="predict")

    def close(self) -> None:
        """Ends the threads when what they were given is done."""
        self.decoders.close()
        self.predictors.shutdown()


@dataclass(frozen=True)
class BatchScorer:
    """Computes `predict(decode(table))` in threads, which several may share."""

    recipe: Recipe
    scorer: Scorer
    threads: ScoringThreads

    def score(self, tables: Iterable[RecordTable | Unreadable], clock: StageClock) -> Iterator[ScoredBatch]:
        """Yields every record of the tables once, as prediction or as rejected, in order; `clock` measures decoding."""
        # While the consumer waits for one batch, threads decode tables and predict the batches after it. The number of
        # decoded tables, four a thread, bounds the memory.
        threads, recipe = self.threads, self.recipe
        decoded = ordered_map(
            lambda item: self._decode(*item, clock),
            with_slots(tables, recipe.batch_size, recipe.preprocessing),
            4 * threads.cores,
            lambda item: _weight(item[0]),
        )
        return predict_batches(threads.predictors, decoded, self.scorer, recipe)

    def _decode(self, table: RecordTable | Unreadable, slots: Slots, clock: StageClock) -> Pending[DecodedBatch]:
        recipe = self.recipe
        if isinstance(table, Unreadable):
            return self.threads.predictors.submit(reject_unreadable, table, recipe, slots)
        return Decoding(
            table, slots, recipe.preprocessing, recipe.limits, recipe.decode_seconds, self.threads.decoders, clock
        )


def _weight(table: RecordTable | Unreadable) -> int:
    """Returns how many tables' place a table takes: three if it holds more than twice the bytes of others."""
    return 1 if isinstance(table, Unreadable) or table.nbytes <= 2 * TABLE_BYTES else 3
