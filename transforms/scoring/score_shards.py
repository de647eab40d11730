"""ScoreShards: scores a shard to its predictions and its rejected records, as whole tables."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import itemgetter
from typing import Literal, TypeAlias

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from bulklabel.model.errors import SourceChangedError, StoreError, UserError
from bulklabel.model.network.scorer import Scorer
from bulklabel.model.statistic.hash_ids import Hashes, hash_ids
from bulklabel.transforms.concurrency.deadline import Deadline
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.concurrency.stage_clock import PREDICTING, READING, WRITING, StageClock
from bulklabel.transforms.reading.readers import read_shard, reject_changed
from bulklabel.transforms.reading.records import RecordTable, Shard, Unreadable
from bulklabel.transforms.reuse.earlier_parts import carried_over
from bulklabel.transforms.reuse.known_images import load_known_images
from bulklabel.transforms.reuse.skip_known_images import KnownImageFilter
from bulklabel.transforms.run_directory.part_tables import no_predictions, rejected_schema
from bulklabel.transforms.run_directory.parts import PREDICTIONS, REJECTED, Part, make_part, with_passing, with_reused
from bulklabel.transforms.run_directory.places import place_fault
from bulklabel.transforms.run_directory.plan import Recipe
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.scoring.decode_and_predict import BatchScorer, ScoringThreads
from bulklabel.transforms.truth.truth_source import with_truth
from bulklabel.transforms.truth.truth_table import TruthTable


def load_planned_truth(recipe: Recipe) -> TruthTable | None:
    """Loads the truth that a recipe names; None if it names none.

    Raises:
        UserError: if it cannot be used, or is not what it was when the plan was made.
    """
    try:
        return None if recipe.truth is None else recipe.truth.load(recipe.labels)
    except SourceChangedError as error:
        raise UserError(f"--truth: {error}.") from error


@dataclass(frozen=True)
class ShardResult:
    """Holds the two parts that a shard became, and the seconds by stage that it took.

    `milliseconds` is what the network took for each batch, and `answered` when it answered for the first and the last
    one, as `Written` has it. `committed` tells that both parts had been written before; then there is none of these.
    """

    shard: Shard
    predictions: Part
    rejected: Part
    committed: bool
    seconds: Mapping[str, float] = field(default_factory=dict)
    milliseconds: tuple[int, ...] = ()
    answered: tuple[float, ...] = ()

    @cached_property
    def id_hashes(self) -> Hashes:
        """Returns the hash of each scored record's id, which more than one step needs."""
        return hash_ids(self.predictions.table.column("id").to_pylist())


def first_tables(tables: Iterable[RecordTable | Unreadable], most: int) -> Iterator[RecordTable | Unreadable]:
    """Yields tables until they have at least so many records.

    >>> [len(table) for table in first_tables([RecordTable(pa.table({}), [None] * n) for n in (2, 3, 1)], 4)]
    [2, 3]
    """
    records = 0
    for table in tables:
        if records >= most:
            return
        yield table
        records += len(table.positions if isinstance(table, Unreadable) else table)


NOT_BEGUN = "not_begun"
"""Tags the output with the indices of shards that were not begun, since the deadline had passed."""

Output: TypeAlias = ShardResult | beam.pvalue.TaggedOutput[Literal["not_begun"], int]

SHARDS_AT_ONCE = 2
"""While a shard's last batches are in the network, or its parts are written and counted, cores would be idle."""


class ScoreShards(beam.DoFn):  # type: ignore[misc]
    """Computes `predict(decode(read(shard)))`, or reads back the parts that a shard already has."""

    def __init__(
        self,
        directory: RunDirectory,
        recipe: Recipe,
        scorer: OncePerProcess[Scorer],
        deadline: Deadline | None = None,
        stop_if_changed: bool = False,
    ) -> None:
        self._directory = directory
        self._deadline = deadline
        self._recipe = recipe
        self._scorer = scorer
        self._stop_if_changed = stop_if_changed
        self._known = OncePerProcess(load_known_images, recipe)
        self._truth = OncePerProcess(load_planned_truth, recipe)

    def setup(self) -> None:
        """Starts the threads that decode and predict, and those that each see to a shard."""
        self._threads = ScoringThreads()
        self._shards = ThreadPoolExecutor(SHARDS_AT_ONCE, thread_name_prefix="shard")

    def teardown(self) -> None:
        """Ends the threads of `setup`."""
        self._shards.shutdown(cancel_futures=True)
        self._threads.close()

    def start_bundle(self) -> None:
        """Forgets the shards of a bundle that failed."""
        self._begun: deque[tuple[Shard, Future[ShardResult | None]]] = deque()

    def process(self, shard: Shard) -> Iterator[Output]:
        """Begins a shard, and yields the result of the one before it, which later steps write while this is scored."""
        self._begun.append((shard, self._shards.submit(self.result, shard)))
        if len(self._begun) == SHARDS_AT_ONCE:
            yield self._next_output()

    def finish_bundle(self) -> Iterator[WindowedValue | beam.pvalue.TaggedOutput[Literal["not_begun"], WindowedValue]]:
        """Yields the results that are left, or the index under `NOT_BEGUN`."""
        while self._begun:
            output = self._next_output()
            if isinstance(output, beam.pvalue.TaggedOutput):
                yield beam.pvalue.TaggedOutput(output.tag, GlobalWindows.windowed_value(output.value))
            else:
                yield GlobalWindows.windowed_value(output)

    def _next_output(self) -> Output:
        """Waits for the shard that was begun first; Beam's metrics are counted here, in the thread that it knows."""
        shard, future = self._begun.popleft()
        result = future.result()
        if result is None:
            return beam.pvalue.TaggedOutput(NOT_BEGUN, shard.index)
        for milliseconds in result.milliseconds:
            Metrics.distribution("bulklabel", "batch_milliseconds").update(milliseconds)
        if result.milliseconds:
            Metrics.distribution("bulklabel", "images_at_once").update(self._scorer.get().images_at_once)
        Metrics.counter("bulklabel", "records").inc(len(result.predictions.table) + len(result.rejected.table))
        for reason in result.rejected.table.column("reason").to_pylist():
            Metrics.counter("bulklabel", f"rejected_{reason}").inc()
        return result

    def result(self, shard: Shard) -> ShardResult | None:
        """Returns what a shard became; None if it was not begun, since the deadline has passed."""
        result = self._read_back(shard)
        if result is None and self._deadline is not None and self._deadline.has_passed():
            return None
        return result or (self._carry_over(shard) if shard.reused else self.score(shard))

    def _read_back(self, shard: Shard) -> ShardResult | None:
        predictions = self._directory.read_part(PREDICTIONS, shard)
        rejected = predictions and self._directory.read_part(REJECTED, shard)
        if (
            not (predictions and rejected)
            or rejected.is_passing
            or place_fault(shard, self._recipe, predictions.table, rejected.table)
        ):
            return None
        return ShardResult(shard, predictions, rejected, committed=True)

    def _carry_over(self, shard: Shard) -> ShardResult:
        return self._make_result(shard, *carried_over(shard, self._recipe), StageClock())

    def score(self, shard: Shard, most: int | None = None) -> ShardResult:
        """Scores a shard, or no more tables of it than hold the first `most` of its records; writes nothing."""
        try:
            records = read_shard(shard, self._recipe.read_spec)
            if most is not None and (shard.records is None or shard.records > most):
                shard, records = replace(shard, records=None), first_tables(records, most)
            return self._score_records(shard, with_truth(records, self._truth.get()))
        except SourceChangedError as error:
            if self._stop_if_changed:
                raise
            # What was read until then may be a mixture of old and new content.
            return self._score_records(shard, reject_changed(shard, error))

    def _score_records(self, shard: Shard, records: Iterator[RecordTable | Unreadable]) -> ShardResult:
        recipe, scorer = self._recipe, self._scorer.get()
        known_filter = KnownImageFilter(recipe, self._known.get()) if recipe.by_content else None
        clock = StageClock()
        tables = clock.measure_each(READING, known_filter.new_records(records) if known_filter else records)
        batch_scorer = BatchScorer(recipe, scorer, self._threads)
        batches = list(batch_scorer.score(tables, clock))
        for batch in batches:
            clock.add(PREDICTING, batch.milliseconds / 1000)
        predictions = pa.concat_tables([batch.predictions for batch in batches] or [no_predictions(recipe)])
        rejected = [row for batch in batches for row in batch.rejected]
        if known_filter is not None:
            predictions, rejected, reused = known_filter.joined(predictions, rejected)
            predictions = with_reused(predictions, reused)
        rejected.sort(key=itemgetter("source", "position"))
        times = [batch.answered for batch in batches if batch.answered is not None]
        milliseconds = tuple(batch.milliseconds for batch in batches)
        result = self._make_result(shard, predictions, pa.Table.from_pylist(rejected, rejected_schema(recipe)), clock)
        return replace(result, milliseconds=milliseconds, answered=(min(times), max(times)) if times else ())

    def _make_result(self, shard: Shard, predictions: pa.Table, rejected: pa.Table, clock: StageClock) -> ShardResult:
        fault = place_fault(shard, self._recipe, predictions, rejected)
        if fault:
            raise StoreError(f"{fault}: an input changed since it was planned; run the same command again.")
        with clock.measure(WRITING):
            parts = (
                make_part(PREDICTIONS, shard, predictions.combine_chunks(), self._directory.stamp),
                make_part(REJECTED, shard, with_passing(rejected.combine_chunks()), self._directory.stamp),
            )
        return ShardResult(shard, *parts, committed=False, seconds=clock.seconds)
