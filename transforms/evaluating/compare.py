"""Compare: the parts of two runs joined by the records' ids, and merged to one comparison."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from bulklabel.model.comparison.comparison import (
    Comparison,
    Labelling,
    comparison_content,
    merge_comparisons,
)
from bulklabel.model.comparison.join import answers_schema, answers_table, join
from bulklabel.model.errors import UserError
from bulklabel.model.report import render_comparison
from bulklabel.model.statistic.hash_ids import hash_ids
from bulklabel.transforms.evaluating.judge import provenance_of
from bulklabel.transforms.evaluating.publish import to_json
from bulklabel.transforms.files import files
from bulklabel.transforms.run_directory.file_names import REPORT_FILE
from bulklabel.transforms.run_directory.finished_run import FinishedRun
from bulklabel.transforms.run_directory.plan import Recipe
from bulklabel.transforms.scoring.score_shards import ShardResult

COMPARISON_FILE = "comparison.json"

BEFORE, AFTER = "before", "after"

BUCKET_VALUES = 2**23
"""Records are joined in buckets with about so many probabilities: some hundred megabytes while one is joined."""

Sides = Mapping[str, Iterable[pa.Table]]


def shared_labels(before: Recipe, after: Recipe) -> Labelling:
    """The labels that both runs know, and their thresholds.

    Raises:
        UserError: if there are none.
    """
    known = set(before.labels)
    labels = tuple(label for label in after.labels if label in known)
    if not labels:
        raise UserError(
            f"the two runs have no label in common ({before.labels[0]!r}, … and {after.labels[0]!r}, …); "
            "give runs whose models share at least one."
        )
    places = [dict(zip(recipe.labels, recipe.thresholds, strict=True)) for recipe in (before, after)]
    return Labelling(labels, *(tuple(thresholds[label] for label in labels) for thresholds in places))


def bucket_count(records: int, labels: int) -> int:
    """How many buckets to join so many records of both runs in; nothing but memory and speed depend on it."""
    return 1 + records * labels // BUCKET_VALUES


class Compare(beam.PTransform):  # type: ignore[misc]
    """From the results of the earlier run, with those of the later beside them, to one `Comparison`; of none, zero.

    Each part becomes a table a bucket, by a hash of the id, so that a record meets itself whatever the shards are.
    """

    def __init__(
        self, after: beam.PCollection[ShardResult], runs: Mapping[str, FinishedRun], labelling: Labelling
    ) -> None:
        super().__init__()
        self._after = after
        self._runs = runs
        self._labelling = labelling

    def expand(self, before: beam.PCollection[ShardResult]) -> beam.PCollection[Comparison]:
        """Each bucket is reduced to its comparison before anything is combined."""
        shared = self._labelling.labels
        buckets = bucket_count(sum(run.scored for run in self._runs.values()), len(shared))
        answers = {
            side: results
            | f"Split {side}" >> beam.FlatMap(_split, self._runs[side].plan.recipe.labels, shared, buckets)
            for side, results in ((BEFORE, before), (AFTER, self._after))
        }
        return (
            answers
            | "Join" >> beam.CoGroupByKey()
            | "Compare" >> beam.Map(_compare, self._labelling)
            | "Merge" >> beam.CombineGlobally(merge_comparisons, len(shared))
        )


@dataclass(frozen=True)
class ComparisonPublication:
    """Where the comparison goes, and what it says of the runs and labels besides what was counted."""

    output: str
    labelling: Labelling
    runs: Mapping[str, Any]
    labels: Mapping[str, Any]


def publication_of(runs: Mapping[str, FinishedRun], output: str) -> ComparisonPublication:
    """What is known before any part is read.

    Raises:
        UserError: if the runs have no label in common.
    """
    before, after = (runs[side].plan.recipe for side in (BEFORE, AFTER))
    labelling = shared_labels(before, after)
    shared = set(labelling.labels)
    labels = {
        "only_before": [label for label in before.labels if label not in shared],
        "only_after": [label for label in after.labels if label not in shared],
    }
    return ComparisonPublication(output, labelling, {side: _about(run) for side, run in runs.items()}, labels)


class PublishComparison(beam.PTransform):  # type: ignore[misc]
    """Publishes `comparison.json` and its page."""

    def __init__(self, publication: ComparisonPublication) -> None:
        super().__init__()
        self._publication = publication

    def expand(self, comparison: beam.PCollection[Comparison]) -> beam.PCollection[None]:
        """One comparison in."""
        return comparison | beam.Map(_publish, self._publication)


def _about(run: FinishedRun) -> dict[str, Any]:
    manifest = run.manifest
    return {"path": run.path, "counts": manifest["counts"]} | provenance_of(run.plan, manifest["model"])


def _split(
    result: ShardResult, run_labels: tuple[str, ...], shared: tuple[str, ...], buckets: int
) -> Iterator[tuple[int, pa.Table]]:
    table = answers_table(result.predictions.table, run_labels, shared)
    chosen = hash_ids(table.column("id").to_pylist()) % np.uint64(buckets)
    for bucket in np.unique(chosen):
        yield int(bucket), table.take(np.flatnonzero(chosen == bucket))  # a slice would be sent with all its table


def _compare(bucket: tuple[int, Sides], labelling: Labelling) -> Comparison:
    _, sides = bucket
    nothing = answers_schema(len(labelling.labels)).empty_table()
    before, after = (pa.concat_tables([nothing, *sides[side]]) for side in (BEFORE, AFTER))
    return Comparison.from_joined(join(before, after), labelling)


def _publish(comparison: Comparison, publication: ComparisonPublication) -> None:
    content = {"runs": publication.runs, "labels": publication.labels}
    content |= comparison_content(comparison, publication.labelling)
    files.write(files.join(publication.output, COMPARISON_FILE), to_json(content))
    files.write(files.join(publication.output, REPORT_FILE), render_comparison(content).encode())
