"""Evaluate: one statistic of the whole run, merged from the shards'."""

from collections import Counter
from collections.abc import Iterable, Sequence

import apache_beam as beam
import pyarrow as pa

from model.predictions import probabilities_of, truth_of
from model.statistic import Statistic, merge
from transforms.scoring import ShardResult


class Evaluate(beam.PTransform):  # type: ignore[misc]
    """From the shards' results to one `Statistic`; of none it is zero."""

    def __init__(self, labels: Sequence[str], thresholds: Sequence[float]) -> None:
        super().__init__()
        self._labels = labels
        self._thresholds = thresholds

    def expand(self, results: beam.PCollection[ShardResult]) -> beam.PCollection[Statistic]:
        """Each shard is reduced to its statistic before anything is combined."""
        return (
            results
            | "Statistic" >> beam.Map(_shard_statistic, self._labels, self._thresholds)
            | "Merge" >> beam.CombineGlobally(MergeStatistics(len(self._labels)))
        )


class MergeStatistics(beam.CombineFn):  # type: ignore[misc]
    """The sum of statistics; none is ever changed in place."""

    def __init__(self, labels: int) -> None:
        self._labels = labels

    def create_accumulator(self) -> Statistic:
        """Zero."""
        return Statistic.zero(self._labels)

    def add_input(self, accumulator: Statistic, element: Statistic) -> Statistic:
        """Their sum."""
        return accumulator + element

    def merge_accumulators(self, accumulators: Iterable[Statistic]) -> Statistic:
        """Their sum."""
        return merge(list(accumulators), self._labels)

    def extract_output(self, accumulator: Statistic) -> Statistic:
        """The sum itself."""
        return accumulator


def table_statistic(
    predictions: pa.Table, rejected: pa.Table, labels: Sequence[str], thresholds: Sequence[float]
) -> Statistic:
    """The statistic of a part's predictions and of the rejected records beside them."""
    truth, unknown = truth_of(predictions, labels)
    reasons = Counter(zip(rejected.column("stage").to_pylist(), rejected.column("reason").to_pylist(), strict=True))
    return Statistic.from_batch(truth, probabilities_of(predictions, labels), thresholds, unknown, reasons)


def _shard_statistic(result: ShardResult, labels: Sequence[str], thresholds: Sequence[float]) -> Statistic:
    return table_statistic(result.predictions.table, result.rejected.table, labels, thresholds)
