"""Evaluate: computes one statistic of the whole run, merged from the shards'."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import apache_beam as beam

from bulklabel.model.labels.predictions import kinds_of, probabilities_of, truth_of, with_image_properties
from bulklabel.model.statistic import Statistic
from bulklabel.model.statistic.hash_ids import hash_groups
from bulklabel.transforms.run_directory.places import places_digest
from bulklabel.transforms.scoring.score_shards import ShardResult


@dataclass(frozen=True)
class Evaluation:
    """Holds what a statistic is computed for: L labels, their thresholds (0…1), and columns.

    The statistic is sliced by those of `slice_by`, carried ones or of `IMAGE_PROPERTIES`, and records of one value of
    `group_by`, which is carried, stay together in its groups.
    """

    labels: Sequence[str]
    thresholds: Sequence[float]
    slice_by: Sequence[str] = ()
    group_by: str | None = None

    def statistic(self, result: ShardResult) -> Statistic:
        """Computes the statistic of one shard's result."""
        predictions, rejected = result.predictions.table, result.rejected.table
        truth, unknown_labels = truth_of(predictions, self.labels)
        reasons = zip(rejected.column("stage").to_pylist(), rejected.column("reason").to_pylist(), strict=True)
        return Statistic.from_batch(
            truth,
            probabilities_of(predictions, self.labels),
            self.thresholds,
            with_image_properties(predictions, self.slice_by),
            slice_by=self.slice_by,
            grouped_by=result.id_hashes if self.group_by is None else hash_groups(predictions, self.group_by),
            shard=result.shard.index,
            unknown_labels=unknown_labels,
            rejected=Counter(reasons),
            kinds=Counter(kinds_of(predictions)),
            places=(places_digest(predictions) + places_digest(rejected)) % 2**64,
        )


class Evaluate(beam.PTransform):  # type: ignore[misc]
    """Reduces the shards' results to one `Statistic`, which is zero if there are none."""

    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__()
        self._evaluation = evaluation

    def expand(self, results: beam.PCollection[ShardResult]) -> beam.PCollection[Statistic]:
        """Adds the two steps."""
        # A shard's statistic has a size that depends on labels alone, so it is made before anything is moved. The merge
        # is exactly associative and commutative: whatever order a runner merges in, the metrics are the same bits.
        return (
            results
            | "Statistic" >> beam.Map(self._evaluation.statistic)
            | "Merge" >> beam.CombineGlobally(MergeStatistics(len(self._evaluation.labels)))
        )


class MergeStatistics(beam.CombineFn):  # type: ignore[misc]
    """Sums statistics; it changes accumulators in place, which Beam allows, and elements never."""

    def __init__(self, labels: int) -> None:
        self._labels = labels

    def create_accumulator(self) -> Statistic:
        """Returns the statistic of no record."""
        return Statistic.zero(self._labels)

    def add_input(self, accumulator: Statistic, element: Statistic) -> Statistic:
        """Adds an element to the accumulator."""
        accumulator += element
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Statistic]) -> Statistic:
        """Adds the other accumulators to the first."""
        first, *others = accumulators
        for other in others:
            first += other
        return first

    def extract_output(self, accumulator: Statistic) -> Statistic:
        """Returns the accumulator as it is."""
        return accumulator
