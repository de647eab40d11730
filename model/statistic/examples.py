"""Keeps the records that show best what a label's answers are like: its worst mistakes, and the least sure."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bulklabel.model.labels.thresholds import predict_labels
from bulklabel.model.labels.truth import ABSENT, PRESENT, UNKNOWN, Truth

EXAMPLE_KINDS = ("false_positive", "false_negative", "certain", "uncertain")
"""The column `kind` of a table of examples holds an index into these."""

MOST_KEPT, MOST_OF_A_KIND = 6, 2000
"""Examples a label and kind, and examples of a kind where there are many labels."""

MOST_ANSWERS = 20
"""Labels of a record that are kept with it: those that are predicted or present first, then the most probable ones."""

ANSWER = pa.struct(
    [
        pa.field("label", pa.int32()),
        pa.field("probability", pa.float32()),
        pa.field("predicted", pa.bool_()),
        pa.field("truth", pa.int8()),
    ]
)

EXAMPLES_SCHEMA = pa.schema(
    [
        pa.field("label", pa.int32()),
        pa.field("kind", pa.int8()),
        pa.field("order", pa.float32()),
        pa.field("probability", pa.float32()),
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("position", pa.int64()),
        pa.field("shard", pa.int32()),
        pa.field("truth", pa.int8()),
        pa.field("answers", pa.list_(ANSWER)),
    ]
)
"""`label` is an index into the label set; `order` says which of a label and kind comes first, the smallest does: it is
-probability for false positives and certain records, the probability for false negatives, and for uncertain records its
distance from the threshold, all in float32. `shard` is the record's in the plan, `truth` as in `truth.Truth`, `answers`
are up to `MOST_ANSWERS` of the record's labels, the most probable first."""

BLOCKS = 8
"""Records are dealt into so many blocks for each one that is kept, where there are too many to sort them all."""

Numbers = npt.NDArray[np.int64]
Order = npt.NDArray[np.float32]


def examples_kept(labels: int) -> int:
    """Returns how many examples a run with so many labels keeps of each label and kind: 1 to 6, 6 up to 333 labels."""
    return max(1, min(MOST_KEPT, MOST_OF_A_KIND // labels))


@dataclass(frozen=True, eq=False)
class Examples:
    """Holds for each label and kind the first `keep` records. Merging is exactly associative and commutative.

    A false positive is predicted and known to be absent, a false negative is present and not predicted, a certain one
    is predicted and nobody knows; uncertain are records whose probability is next to the threshold, whatever is known
    of them. Of records that are equal in that
    the first by source and position counts, so neither shards nor the order of arrival matter. All that are merged
    must have been made with one `keep`, and no record may be in two of them.

    `table` is of the schema `EXAMPLES_SCHEMA`, sorted by label, kind, order, source and position.
    """

    table: pa.Table = field(repr=False)
    keep: int

    @staticmethod
    @functools.cache
    def none() -> "Examples":
        """Returns no examples: the identity of `+`."""
        return Examples(EXAMPLES_SCHEMA.empty_table(), 0)

    @staticmethod
    def from_batch(
        truth: Truth,
        probabilities: npt.NDArray[np.float32],
        thresholds: Sequence[float],
        records: pa.Table,
        shard: int,
        keep: int,
    ) -> "Examples":
        """Returns the examples of N scored records of one shard.

        Args:
            truth: N×L.
            probabilities: N×L, 0…1.
            thresholds: L numbers, 0…1.
            records: N rows with `id`, `source` and `position`; other columns are left alone.
            shard: the index of the shard in the plan.
            keep: examples of each label and kind, at least 1.
        """
        if not len(truth):
            return Examples.none()
        probabilities = np.ascontiguousarray(probabilities)  # so that one flat index is right for all that follows
        predicted = predict_labels(probabilities, thresholds)
        distance = probabilities - np.asarray(thresholds, np.float32)
        np.abs(distance, out=distance)
        unsure = np.flatnonzero(distance <= _bounds(distance, keep))
        unsure_order, scratch, flat = distance.ravel()[unsure], distance, probabilities.ravel()
        wrong = np.flatnonzero(predicted & (truth == ABSENT))
        wrong, wrong_order = _nearest(wrong, -flat[wrong], keep, scratch)
        missed = np.flatnonzero(~predicted & (truth == PRESENT))
        missed, missed_order = _nearest(missed, flat[missed], keep, scratch)
        sure = np.flatnonzero(predicted & (truth == UNKNOWN))
        sure, sure_order = _nearest(sure, -flat[sure], keep, scratch)
        rows, labels = np.divmod(np.concatenate([wrong, missed, sure, unsure]), truth.shape[1])
        order = np.concatenate([wrong_order, missed_order, sure_order, unsure_order])
        kinds = np.repeat(np.arange(len(EXAMPLE_KINDS)), [len(wrong), len(missed), len(sure), len(unsure)])
        groups = labels * len(EXAMPLE_KINDS) + kinds
        first = np.lexsort((_places(records)[rows], order, groups))
        first = first[_ranks(groups[first]) < keep]
        rows, labels = rows[first], labels[first]
        columns = {
            "label": labels.astype(np.int32),
            "kind": kinds[first].astype(np.int8),
            "order": order[first],
            "probability": probabilities[rows, labels],
            **{name: records.column(name).take(pa.array(rows)) for name in ("id", "source", "position")},
            "shard": np.full(len(rows), shard, np.int32),
            "truth": truth[rows, labels],
            "answers": _answers(truth, probabilities, predicted, rows),
        }
        return Examples(pa.table(columns, EXAMPLES_SCHEMA), keep)

    @staticmethod
    def merge(several: Sequence["Examples"]) -> "Examples":
        """Returns the examples of all records together; cheaper than `+` one by one."""
        keep = max((examples.keep for examples in several), default=0)
        table = pa.concat_tables([EXAMPLES_SCHEMA.empty_table(), *(examples.table for examples in several)])
        return Examples(first_of_each(table.combine_chunks(), keep, len(EXAMPLE_KINDS), ("source", "position")), keep)

    def __add__(self, other: "Examples") -> "Examples":
        """The examples of both sets of records together."""
        return Examples.merge([self, other]) if len(other.table) else self

    def __eq__(self, other: object) -> bool:
        """Whether both are the same records, for the same reasons."""
        return isinstance(other, Examples) and bool(self.table.equals(other.table))


def _answers(truth: Truth, probabilities: Order, predicted: npt.NDArray[np.bool_], rows: Numbers) -> pa.Array:
    """Returns for each of K rows of N×L its answers, of equal probabilities the first in the model's order first."""
    records, place = np.unique(rows, return_inverse=True)
    truth, probabilities, predicted = truth[records], probabilities[records], predicted[records]
    kept = min(MOST_ANSWERS, truth.shape[1])
    wanted = predicted | (truth == PRESENT)
    # As integers floats above 0 keep their order; with the label behind them no two are equal: nothing need be stable.
    rank = np.ascontiguousarray(probabilities + np.float32(2) * wanted, np.float32).view(np.int32)
    keys = (-rank.astype(np.int64) << 32) + np.arange(truth.shape[1])
    labels = np.argpartition(keys, kept - 1, axis=1)[:, :kept]
    by_probability = np.lexsort((labels, -np.take_along_axis(probabilities, labels, axis=1)), axis=1)
    labels = np.take_along_axis(labels, by_probability, axis=1)
    columns = [labels, *(np.take_along_axis(values, labels, axis=1) for values in (probabilities, predicted, truth))]
    fields = [pa.array(values[place].ravel(), field.type) for values, field in zip(columns, ANSWER, strict=True)]
    ends = np.arange(0, len(rows) * kept + 1, kept, dtype=np.int32)
    return pa.ListArray.from_arrays(ends, pa.StructArray.from_arrays(fields, fields=list(ANSWER)))


def _bounds(order: Order, keep: int) -> Order:
    """Returns for each label a value that its first `keep` of N×L are not behind, and hardly any others.

    The records are dealt into blocks, and at least `keep` are no worse than the first of the block that comes
    `keep`th: that takes one pass, where sorting would take many.
    """
    records, labels = order.shape
    blocks = BLOCKS * keep
    whole = records // blocks * blocks
    if not whole:
        return np.full(labels, np.inf, np.float32)
    least = order[:whole].reshape(-1, blocks, labels).min(axis=0)
    bounds: Order = np.partition(least, keep - 1, axis=0)[keep - 1]
    return bounds


def _nearest(places: Numbers, order: Order, keep: int, scratch: Order) -> tuple[Numbers, Order]:
    """Returns places in N×L with their order; of many, without most that are not a label's first `keep`.

    What the N×L of `scratch` held is lost: one that is used again saves the time that fresh memory costs.
    """
    labels = scratch.shape[1]
    if len(places) > BLOCKS * keep * labels:
        scratch.fill(np.inf)
        scratch.reshape(-1)[places] = order
        near = order <= _bounds(scratch, keep)[places % labels]
        return places[near], order[near]
    return places, order


def _places(records: pa.Table) -> Numbers:
    """Returns each record's place in the order of source and position."""
    places = np.empty(len(records), np.int64)
    places[pc.sort_indices(records, [("source", "ascending"), ("position", "ascending")])] = np.arange(len(records))
    return places


def first_of_each(table: pa.Table, keep: int, kinds: int, ties: Sequence[str]) -> pa.Table:
    """Returns the first `keep` rows of each label and kind by `order`, sorted.

    Args:
        table: with `label`, `kind` and `order`.
        keep: rows of a label and kind.
        kinds: how many there are.
        ties: the columns that decide between rows that are equal in order.
    """
    label, kind, order = (table.column(name).to_numpy() for name in ("label", "kind", "order"))
    groups = label.astype(np.int64) * kinds + kind
    rows = np.lexsort((order, groups))
    groups, equals = groups[rows], _run_starts(groups[rows], order[rows])
    near = equals - _run_starts(groups) < keep
    rows, groups, equals = rows[near], groups[near], equals[near]
    table = table.take(pa.array(rows))
    keys = [(name, "ascending") for name in ("equals", *ties)]
    final = pc.sort_indices(table.append_column("equals", pa.array(equals)), keys).to_numpy()
    return table.take(pa.array(final[_ranks(groups) < keep]))


def _ranks(groups: Numbers) -> Numbers:
    """Returns each one's place in its group, from 0; the groups are sorted."""
    return np.arange(len(groups)) - _run_starts(groups)


def _run_starts(*columns: npt.NDArray[np.generic]) -> Numbers:
    """Returns for each row the first one of the run of rows that are equal in all columns."""
    starts = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        changes = np.flatnonzero(column[1:] != column[:-1]) + 1
        starts[changes] = changes
    return np.maximum.accumulate(starts)
