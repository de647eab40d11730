"""Summarizes truth against predictions in one mergeable statistic, of which every metric is a function."""

import copy
import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bulklabel.model.counting.block import Block, Probabilities, row_blocks
from bulklabel.model.counting.histograms import Histograms
from bulklabel.model.counting.sums import Sums
from bulklabel.model.counting.tally import Tally
from bulklabel.model.images.kinds import Kind, Kinds
from bulklabel.model.labels.truth import Truth
from bulklabel.model.metric_families.families import no_sums, sums_of
from bulklabel.model.statistic.examples import Examples, examples_kept
from bulklabel.model.statistic.hash_ids import Hashes, hash_ids
from bulklabel.model.statistic.histograms import histograms_of, no_histograms
from bulklabel.model.statistic.pairs import no_pairs, pairs_of
from bulklabel.model.statistic.predicted import nothing_predicted, predicted_sums
from bulklabel.model.statistic.slices import Slice, add_slices, slices_of

GROUPS = 20
"""Records are in so many groups by a hash, of their id or of what they belong to, such as a patient.

What a metric does without one of them tells its uncertainty.
"""

Key = TypeVar("Key", bound=str | tuple[str, str] | Kind)

MAX_NAMES = 1000
"""How many unknown labels are kept by name: the first in alphabetical order, which makes the merge exact."""


@dataclass(eq=False)
class Statistic:
    """Holds what is known of N records, with L labels. Merging is exactly associative and commutative.

    `scored`, `rejected` (by stage and reason), `kinds` (scored images by kind), `unknown_labels` (records by label
    name), `predicted` (as `predicted_sums` has them), `histograms`, `examples` and the pairs of predicted labels are of
    all records, the rest only of those with truth. `histograms` are by truth (absent, present, unknown) and as fine as
    can be, `histograms_by_group` is G×L×2×bins, with coarse bins; `slices` are by column and value. `places` is a sum
    modulo 2⁶⁴ that tells whose records these are, those rejected among them.
    """

    scored: int
    rejected: dict[tuple[str, str], int]
    kinds: dict[Kind, int]
    unknown_labels: dict[str, int]
    predicted: Sums
    sums: Sums
    histograms: Histograms
    histograms_by_group: Tally
    pairs: Tally
    examples: Examples
    slices: dict[str, dict[str | None, Slice]]
    places: int = 0

    @staticmethod
    def zero(labels: int) -> "Statistic":
        """Returns the statistic of no records: the identity of `+`."""
        histograms, by_group = no_histograms(labels, GROUPS)
        sums, predicted = no_sums(labels, GROUPS), nothing_predicted(labels, GROUPS)
        return Statistic(0, {}, {}, {}, predicted, sums, histograms, by_group, no_pairs(labels), Examples.none(), {})

    @staticmethod
    def from_batch(
        truth: Truth,
        probabilities: Probabilities,
        thresholds: Sequence[float],
        records: pa.Table,
        *,
        slice_by: Sequence[str] = (),
        grouped_by: Hashes | None = None,
        shard: int = 0,
        unknown_labels: Mapping[str, int] | None = None,
        rejected: Mapping[tuple[str, str], int] | None = None,
        kinds: Kinds | None = None,
        places: int = 0,
    ) -> "Statistic":
        """Returns the statistic of N scored records and of any rejected beside them.

        Args:
            truth: N×L; a record has truth if at least one of its labels is known.
            probabilities: N×L, 0…1.
            thresholds: L numbers, 0…1.
            records: N rows with `id`, `source`, `position`, and the columns of `slice_by`, which are text.
            slice_by: the columns by whose values records are counted apart as well.
            grouped_by: N numbers, which records that belong together share; the hashes of the ids if they are None.
            shard: where the records can be found again: its number in the plan.
            unknown_labels: records by the name of a label in the truth that the model does not know.
            rejected: records by stage and reason.
            kinds: the N images by format and size.
            places: a digest of all records, 0…2⁶⁴ - 1, which adds up to that of several batches.
        """
        hashes = hash_ids(records.column("id").to_pylist()) if grouped_by is None else grouped_by
        groups = (hashes % np.uint64(GROUPS)).astype(np.int64)
        values = {column: np.array(records.column(column).to_pylist(), object) for column in slice_by}

        in_order = np.argsort(groups, kind="stable")  # sorted by group a block's records need not be sorted again

        def of_rows(rows: slice) -> Statistic:
            chosen = in_order[rows]
            block = Block.of(truth[chosen], probabilities[chosen], thresholds)
            return _of_block(block, groups[chosen], {column: texts[chosen] for column, texts in values.items()})

        statistic = functools.reduce(operator.iadd, map(of_rows, row_blocks(*truth.shape)))
        statistic.scored, statistic.places = len(truth), places
        statistic.rejected, statistic.kinds = dict(rejected or {}), dict(kinds or {})
        statistic.unknown_labels = _first_names(unknown_labels or {})
        statistic.examples = Examples.from_batch(
            truth, probabilities, thresholds, records, shard, examples_kept(truth.shape[1])
        )
        return statistic

    @property
    def labels(self) -> int:
        """The number of labels, L."""
        return int(self.predicted["labels"].shape[1])

    def __iadd__(self, other: "Statistic") -> "Statistic":
        """Add the other's records to these, in place; the other stays as it is."""
        self.scored += other.scored
        self.places = (self.places + other.places) % 2**64
        self.rejected = _merged(self.rejected, other.rejected)
        self.kinds = _merged(self.kinds, other.kinds)
        self.unknown_labels = _first_names(_merged(self.unknown_labels, other.unknown_labels))
        self.predicted += other.predicted
        self.sums += other.sums
        self.histograms += other.histograms
        self.histograms_by_group += other.histograms_by_group
        self.pairs += other.pairs
        self.examples = self.examples + other.examples
        for column, others in other.slices.items():
            self.slices[column] = add_slices(self.slices.get(column, {}), others, self.labels)
        return self

    def __add__(self, other: "Statistic") -> "Statistic":
        """The statistic of both sets of records together."""
        total = copy.deepcopy(self)
        total += other
        return total

    def __eq__(self, other: object) -> bool:
        """Whether both are the same in every count."""
        return isinstance(other, Statistic) and all(
            value == getattr(other, name) for name, value in self.__dict__.items()
        )


def merge(statistics: Sequence[Statistic], labels: int) -> Statistic:
    """Returns the sum of many statistics of `labels` labels: zero if there are none."""
    return functools.reduce(operator.iadd, statistics, Statistic.zero(labels))


def _of_block(block: Block, groups: npt.NDArray[np.int64], values: Mapping[str, npt.NDArray[np.object_]]) -> Statistic:
    """Returns the statistic of a block's records."""
    slices = {column: slices_of(block, texts.tolist(), groups, GROUPS) for column, texts in values.items()}
    histograms, by_group = histograms_of(block, groups, GROUPS)
    predicted, pairs = predicted_sums(block, groups, GROUPS), pairs_of(block)
    if not block.with_truth.all():
        block, groups = block.take(block.with_truth), groups[block.with_truth]
    sums = sums_of(block, groups, GROUPS)
    return Statistic(0, {}, {}, {}, predicted, sums, histograms, by_group, pairs, Examples.none(), slices)


def _merged(first: Mapping[Key, int], second: Mapping[Key, int]) -> dict[Key, int]:
    return {key: first.get(key, 0) + second.get(key, 0) for key in sorted({*first, *second})}


def _first_names(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts)[:MAX_NAMES]}
