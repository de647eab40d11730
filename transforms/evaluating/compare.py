"""Compare: joins the parts of two runs by the records' ids, and merges them to one comparison."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bulklabel.model.comparison.comparison import (
    NO_GROUPS,
    Comparison,
    Labelling,
    comparison_content,
    merge_comparisons,
)
from bulklabel.model.comparison.join import Joined, answers_schema, answers_table, join
from bulklabel.model.errors import UserError
from bulklabel.model.report import render_comparison
from bulklabel.model.report.comparison import FLIPPED_LABELS, flip_pictures
from bulklabel.model.report.gallery import Thumbnail
from bulklabel.model.statistic.distinct import Distinct
from bulklabel.model.statistic.hash_ids import Hashes, hash_ids
from bulklabel.transforms.answers.answers import Answers
from bulklabel.transforms.evaluating.count_distinct import CountGroups, add_distinct, partitions_of
from bulklabel.transforms.evaluating.publish import to_json
from bulklabel.transforms.evaluating.thumbnails import Wanted, choose_records
from bulklabel.transforms.run_directory.file_names import REPORT_FILE
from bulklabel.transforms.run_directory.manifest import entry_of
from bulklabel.transforms.run_directory.published_folder import PublishedFolder
from bulklabel.transforms.scoring.score_shards import ShardResult

COMPARISON_FILE = "comparison.json"

BEFORE, AFTER = "before", "after"

BUCKET_VALUES = 2**23
"""Records are joined in buckets with about so many probabilities: some hundred megabytes while one is joined."""

Sides = Mapping[str, Iterable[pa.Table]]


def shared_labels(before: Answers, after: Answers) -> Labelling:
    """Returns the labels that both runs know, in the later run's order, and their thresholds in each.

    Raises:
        UserError: if there is no such label.
    """
    known = set(before.labels)
    labels = tuple(label for label in after.labels if label in known)
    if not labels:
        raise UserError(
            f"the two runs have no label in common ({before.labels[0]!r}, … and {after.labels[0]!r}, …); "
            "give runs whose models share at least one."
        )
    by_label = [dict(zip(answers.labels, answers.thresholds, strict=True)) for answers in (before, after)]
    return Labelling(labels, *(tuple(thresholds[label] for label in labels) for thresholds in by_label))


def count_buckets(records: int, labels: int) -> int:
    """Returns how many buckets to join so many records of both runs in; only memory and speed depend on it.

    >>> count_buckets(records=1_000_000, labels=80)
    10
    """
    return 1 + records * labels // BUCKET_VALUES


def choose_grouping(runs: Mapping[str, Answers], group_by: str | None) -> str | None:
    """Returns the column whose records of one value belong together: the one that is named, else the runs' own.

    Raises:
        UserError: if the runs were grouped by two, or neither has the one that is named.
    """
    if group_by is None:
        own = {run.group_by: run for run in runs.values() if run.group_by is not None}
        if len(own) > 1:
            words = " and ".join(f"{run.path} by {column}" for column, run in own.items())
            raise UserError(f"the runs were grouped differently, {words}; say by which column with --group_by.")
        return next(iter(own), None)
    if not any(group_by in run.carried for run in runs.values()):
        raise UserError(f"--group_by {group_by}: neither run has such a column; score one with --carry {group_by}.")
    return group_by


def pictured_side(runs: Mapping[str, Answers]) -> str | None:
    """Returns the run from which pictures of records are made: the later one that has images; None if neither has."""
    return next((side for side in (AFTER, BEFORE) if runs[side].recipe is not None), None)


class JoinRuns(beam.PTransform):  # type: ignore[misc]
    """Joins the results of an earlier run and of a later one by the records' ids, in buckets."""

    def __init__(
        self,
        after: beam.PCollection[ShardResult],
        runs: Mapping[str, Answers],
        labelling: Labelling,
        group_by: str | None,
    ) -> None:
        super().__init__()
        self._after = after
        self._runs = runs
        self._labelling = labelling
        self._group_by = group_by

    def expand(self, before: beam.PCollection[ShardResult]) -> beam.PCollection[Joined]:
        """Adds the steps that split and join."""
        shared, group_by = self._labelling.labels, self._group_by
        buckets = count_buckets(sum(run.records for run in self._runs.values()), len(shared))
        # Shards of the two runs need not have the same records, so each part is split into buckets by a hash of the id:
        # the rows of one record meet in one bucket. Whole tables are moved, not records.
        answers = {
            side: results | f"Split {side}" >> beam.FlatMap(_split, self._runs[side].labels, shared, group_by, buckets)
            for side, results in ((BEFORE, before), (AFTER, self._after))
        }
        return (
            answers
            | "Group" >> beam.CoGroupByKey()
            | "Join" >> beam.Map(_join, self._labelling, group_by, pictured_side(self._runs) == BEFORE)
        )


class Compare(beam.PTransform):  # type: ignore[misc]
    """Reduces joined records to one `Comparison`, zero if there are none."""

    def __init__(self, labelling: Labelling) -> None:
        super().__init__()
        self._labelling = labelling

    def expand(self, joined: beam.PCollection[Joined]) -> beam.PCollection[Comparison]:
        """Adds the steps that compare and merge."""
        # Each bucket is reduced to a comparison, whose size depends on labels alone, before anything is merged.
        return (
            joined
            | "Compare" >> beam.Map(Comparison.from_joined, self._labelling)
            | "Merge" >> beam.CombineGlobally(merge_comparisons, len(self._labelling.labels))
        )


class CountJoinedGroups(beam.PTransform):  # type: ignore[misc]
    """Counts the groups of joined records, which may lie in several buckets."""

    def __init__(self, runs: Mapping[str, Answers]) -> None:
        super().__init__()
        self._partitions = partitions_of(max(run.records for run in runs.values()))

    def expand(self, joined: beam.PCollection[Joined]) -> beam.PCollection[Distinct]:
        """Adds the steps that cut, count and add up; what comes out is one element."""
        groups = joined | "Groups" >> beam.Map(_distinct_groups) | "Count" >> CountGroups(self._partitions)
        without = joined | "WithoutGroup" >> beam.Map(_without_group)
        return (groups, without) | beam.Flatten() | "Add" >> beam.CombineGlobally(add_distinct, grouped=True)


@dataclass(frozen=True)
class ComparisonPublication:
    """Holds where the comparison goes, and what it says of the runs and labels besides what was counted."""

    output: str
    labelling: Labelling
    runs: Mapping[str, Any]
    labels: Mapping[str, Any]
    group_by: str | None


def comparison_publication(runs: Mapping[str, Answers], output: str, group_by: str | None) -> ComparisonPublication:
    """Makes the publication from what is known before any part is read.

    Raises:
        UserError: if the runs have no label in common, or cannot be grouped.
    """
    before, after = (runs[side] for side in (BEFORE, AFTER))
    labelling = shared_labels(before, after)
    shared = set(labelling.labels)
    labels = {
        "only_before": [label for label in before.labels if label not in shared],
        "only_after": [label for label in after.labels if label not in shared],
    }
    summaries = {side: run.summary for side, run in runs.items()}
    return ComparisonPublication(output, labelling, summaries, labels, choose_grouping(runs, group_by))


def flipped_records(comparison: Comparison) -> Wanted:
    """Returns the records of the clearest flips by shard, those of the labels that flipped most first."""
    flips = comparison.changes.became_present + comparison.changes.became_absent
    shown = np.argsort(-flips, kind="stable")[:FLIPPED_LABELS].astype(np.int32)
    table = comparison.flips.table
    return choose_records(table.filter(pc.is_in(table.column("label"), pa.array(shown))), flips.tolist())


class PublishComparison(beam.PTransform):  # type: ignore[misc]
    """Publishes `comparison.json` and its page, the manifest of both, and `_SUCCESS`."""

    def __init__(
        self,
        publication: ComparisonPublication,
        thumbnails: beam.PCollection[Thumbnail],
        groups: beam.PCollection[Distinct] | None,
    ) -> None:
        super().__init__()
        self._publication = publication
        self._thumbnails = thumbnails
        self._groups = groups

    def expand(self, comparison: beam.PCollection[Comparison]) -> beam.PCollection[None]:
        """Adds the one step, with the thumbnails and the count of groups as side inputs."""
        counted = () if self._groups is None else (beam.pvalue.AsSingleton(self._groups),)
        return comparison | beam.Map(_publish, self._publication, beam.pvalue.AsList(self._thumbnails), *counted)


def _split(
    result: ShardResult, run_labels: tuple[str, ...], shared: tuple[str, ...], group_by: str | None, buckets: int
) -> Iterator[tuple[int, pa.Table]]:
    table = answers_table(result.predictions.table, run_labels, shared, result.shard.index, group_by)
    chosen = hash_ids(table.column("id").to_pylist()) % np.uint64(buckets)
    for bucket in np.unique(chosen):
        yield int(bucket), table.take(np.flatnonzero(chosen == bucket))  # a slice would be sent with all its table


def _join(bucket: tuple[int, Sides], labelling: Labelling, group_by: str | None, pictured_before: bool) -> Joined:
    _, sides = bucket
    empty = answers_schema(len(labelling.labels), group_by is not None).empty_table()
    before, after = (pa.concat_tables([empty, *sides[side]]) for side in (BEFORE, AFTER))
    return join(before, after, pictured_before)


def _distinct_groups(joined: Joined) -> Hashes:
    hashes = hash_ids([]) if joined.grouped_by is None else joined.grouped_by
    return np.unique(hashes)


def _without_group(joined: Joined) -> Distinct:
    return Distinct(without_group=joined.without_group)


def _publish(
    comparison: Comparison,
    publication: ComparisonPublication,
    thumbnails: Sequence[Thumbnail],
    groups: Distinct = NO_GROUPS,
) -> None:
    content = {"runs": publication.runs, "labels": publication.labels, "group_by": publication.group_by}
    content |= comparison_content(comparison, publication.labelling, groups)
    pages = {
        COMPARISON_FILE: to_json(content),
        REPORT_FILE: render_comparison(content, flip_pictures(comparison.flips, thumbnails)).encode(),
    }
    published = [entry_of(name, page) for name, page in pages.items()]
    manifest = {"runs": publication.runs, "accepted": True, "published": published}
    PublishedFolder(publication.output).publish(pages, to_json(manifest))
