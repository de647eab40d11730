"""Summarizes, mergeably, how a run's answers differ from an earlier run's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from bulklabel.model.comparison.join import PICTURED_FIELDS, Joined, RecordCounts
from bulklabel.model.counting.fixed import fixed
from bulklabel.model.counting.tally import Counts
from bulklabel.model.labels.thresholds import predict_labels
from bulklabel.model.labels.truth import PRESENT, UNKNOWN

MOST_CHANGED = 50
"""How many of the records that changed most are kept."""


@dataclass(frozen=True)
class ChangedRecord:
    """Describes a record by the label where its probability (0…1) changed most; `truth` is 1, 0 or (unknown) -1."""

    id: str
    label: int
    before: float
    after: float
    truth: int

    @property
    def rank(self) -> tuple[float, str, int, float, float, int]:
        """The key that sorts records in a total order: the largest change comes first, and equal ones by id."""
        return -abs(self.after - self.before), self.id, self.label, self.before, self.after, self.truth


@dataclass(frozen=True, eq=False)
class Changes:
    """Counts what changed in N records that two runs share, with L labels. Merging by `+` is exact in any order.

    All arrays are int64 and L long. An answer flips where it is predicted by one run's threshold and not by the
    other's: `became_present` or `became_absent`; where truth is known it `became_right` or `became_wrong` by that.
    `change_sum` is the sum of |probability after - before| in units of
    `model.counting.fixed`: two billion records can change from 0
    to 1 before it overflows. `most_changed` are the first fifty records by `ChangedRecord.rank`, none unchanged.
    """

    records: RecordCounts
    became_present: Counts
    became_absent: Counts
    became_right: Counts
    became_wrong: Counts
    change_sum: Counts
    most_changed: tuple[ChangedRecord, ...]

    @staticmethod
    def zero(labels: int) -> "Changes":
        """Returns the changes of no records: the identity of `+`."""
        nothing = np.zeros((0, labels))
        probabilities = nothing.astype(np.float32)
        joined = Joined(
            PICTURED_FIELDS.empty_table(), nothing.astype(np.int8), probabilities, probabilities, RecordCounts()
        )
        return Changes.from_batch(joined, [0.5] * labels, [0.5] * labels)

    @staticmethod
    def from_batch(joined: Joined, thresholds_before: Sequence[float], thresholds_after: Sequence[float]) -> "Changes":
        """Returns the changes of N records, by each run's own L thresholds, 0…1."""
        before = predict_labels(joined.before, thresholds_before)
        after = predict_labels(joined.after, thresholds_after)
        flipped, known, present = before != after, joined.truth != UNKNOWN, joined.truth == PRESENT
        changes = np.abs(joined.after.astype(np.float64) - joined.before)
        return Changes(
            records=joined.counts,
            became_present=(flipped & after).sum(axis=0),
            became_absent=(flipped & before).sum(axis=0),
            became_right=(flipped & known & (after == present)).sum(axis=0),
            became_wrong=(flipped & known & (before == present)).sum(axis=0),
            change_sum=fixed(changes).astype(np.int64).sum(axis=0),
            most_changed=_first(_changed_most(joined, changes)),
        )

    def __add__(self, other: "Changes") -> "Changes":
        """The changes of both sets of records together."""
        added = {item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(self)}
        return Changes(**added | {"most_changed": _first(added["most_changed"])})

    def __eq__(self, other: object) -> bool:
        """Whether both are the same in every count and record."""
        return isinstance(other, Changes) and all(
            np.array_equal(getattr(self, item.name), getattr(other, item.name)) for item in fields(self)
        )


def _first(records: Sequence[ChangedRecord]) -> tuple[ChangedRecord, ...]:
    return tuple(sorted(records, key=lambda record: record.rank)[:MOST_CHANGED])


def _changed_most(joined: Joined, changes: npt.NDArray[np.float64]) -> list[ChangedRecord]:
    """Returns the records whose change is among the largest, with all that are equal to the last of those."""
    largest = changes.max(axis=1)
    last = np.partition(largest, -MOST_CHANGED)[-MOST_CHANGED] if len(largest) > MOST_CHANGED else 0.0
    return list(_records(joined, changes, np.flatnonzero((largest >= last) & (largest > 0))))


def _records(joined: Joined, changes: npt.NDArray[np.float64], rows: npt.NDArray[np.intp]) -> Iterator[ChangedRecord]:
    ids = joined.records.column("id").take(rows).to_pylist()
    for row, record_id in zip(rows, ids, strict=True):
        label = int(changes[row].argmax())
        before, after = float(joined.before[row, label]), float(joined.after[row, label])
        yield ChangedRecord(record_id, label, before, after, int(joined.truth[row, label]))
