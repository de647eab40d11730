"""Keeps the records whose answers flipped most clearly from one run to another, for each label."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from bulklabel.model.comparison.join import PICTURED_FIELDS, Joined
from bulklabel.model.labels.thresholds import predict_labels
from bulklabel.model.labels.truth import PRESENT, UNKNOWN
from bulklabel.model.statistic.examples import first_of_each

FLIP_KINDS = ("became_wrong", "became_right", "flipped")
"""The column `kind` of a table of flips holds an index into these: the last are those whose truth is unknown."""

FLIPS_SCHEMA = pa.schema(
    [
        pa.field("label", pa.int32()),
        pa.field("kind", pa.int8()),
        pa.field("order", pa.float32()),
        pa.field("before", pa.float32()),
        pa.field("after", pa.float32()),
        *PICTURED_FIELDS,
    ]
)
"""`label` is an index into the shared labels; `order` says which of a label and kind comes first, the smallest does.
`source`, `position` and `shard` are where the record's picture is, if there is any."""


@dataclass(frozen=True, eq=False)
class Flips:
    """Holds for each label and kind the first `keep` flips. Merging is exactly associative and commutative.

    An answer flips the more clearly, the farther both probabilities are from the threshold of their run: the smaller of
    the two distances counts. Of equal ones the first by id counts, so neither shards nor the order of arrival matter.

    `table` is of the schema `FLIPS_SCHEMA`, sorted by label, kind, order and id.
    """

    table: pa.Table = field(repr=False)
    keep: int

    @staticmethod
    @functools.cache
    def none() -> "Flips":
        """Returns no flips: the identity of `+`."""
        return Flips(FLIPS_SCHEMA.empty_table(), 0)

    @staticmethod
    def from_batch(joined: Joined, before: Sequence[float], after: Sequence[float], keep: int) -> "Flips":
        """Returns the flips of N joined records, by the L thresholds of each run."""
        given = predict_labels(joined.after, after)
        flipped = predict_labels(joined.before, before) != given
        rows, labels = np.nonzero(flipped)
        truth, given = joined.truth[rows, labels], given[rows, labels]
        kinds = np.where(truth == UNKNOWN, 2, np.where(given == (truth == PRESENT), 1, 0))
        probabilities = joined.before[rows, labels], joined.after[rows, labels]
        distances = [
            np.abs(side - np.asarray(thresholds, np.float32)[labels])
            for side, thresholds in zip(probabilities, (before, after), strict=True)
        ]
        columns = {
            "label": labels.astype(np.int32),
            "kind": kinds.astype(np.int8),
            "order": -np.minimum(*distances),
            "before": probabilities[0],
            "after": probabilities[1],
            **{name: joined.records.column(name).take(pa.array(rows)) for name in PICTURED_FIELDS.names},
        }
        return Flips.merge([Flips(pa.table(columns, FLIPS_SCHEMA), keep)])

    @staticmethod
    def merge(several: Sequence["Flips"]) -> "Flips":
        """Returns the flips of all records together."""
        keep = max((flips.keep for flips in several), default=0)
        table = pa.concat_tables([FLIPS_SCHEMA.empty_table(), *(flips.table for flips in several)])
        return Flips(first_of_each(table.combine_chunks(), keep, len(FLIP_KINDS), ("id",)), keep)

    def __add__(self, other: "Flips") -> "Flips":
        """The flips of both sets of records together."""
        return Flips.merge([self, other])

    def __eq__(self, other: object) -> bool:
        """Whether both are the same flips of the same records."""
        return isinstance(other, Flips) and bool(self.table.equals(other.table))
