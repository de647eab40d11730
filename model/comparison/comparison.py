"""Compares two runs: a mergeable summary of the records in both becomes the content of `comparison.json`."""

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bulklabel.model.comparison.changes import ChangedRecord, Changes
from bulklabel.model.comparison.flips import FLIP_KINDS, Flips
from bulklabel.model.comparison.join import Joined
from bulklabel.model.counting.fixed import FIXED_POINT
from bulklabel.model.labels.truth import PRESENT, UNKNOWN
from bulklabel.model.metric_families.confusion import support
from bulklabel.model.metrics import Change, Evidence, paired_changes
from bulklabel.model.statistic import Statistic, merge
from bulklabel.model.statistic.distinct import Distinct
from bulklabel.model.statistic.examples import examples_kept

NO_GROUPS = Distinct()


@dataclass(frozen=True)
class Labelling:
    """Names the L labels that both runs know, in the later run's order, with each run's thresholds for them, 0…1."""

    labels: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """Holds what changed, and both runs' statistics of the very same records, labels and truth. `+` is exact."""

    changes: Changes
    flips: Flips
    before: Statistic
    after: Statistic

    @staticmethod
    def zero(labels: int) -> "Comparison":
        """Returns the comparison of no records: the identity of `+`."""
        return Comparison(Changes.zero(labels), Flips.none(), Statistic.zero(labels), Statistic.zero(labels))

    @staticmethod
    def from_joined(joined: Joined, labelling: Labelling) -> "Comparison":
        """Returns the comparison of N joined records."""
        return Comparison(
            Changes.from_batch(joined, labelling.before, labelling.after),
            Flips.from_batch(joined, labelling.before, labelling.after, examples_kept(len(labelling.labels))),
            *(
                Statistic.from_batch(joined.truth, side, thresholds, joined.records, grouped_by=joined.grouped_by)
                for side, thresholds in ((joined.before, labelling.before), (joined.after, labelling.after))
            ),
        )

    def __add__(self, other: "Comparison") -> "Comparison":
        """The comparison of both sets of records together."""
        return Comparison(
            self.changes + other.changes,
            self.flips + other.flips,
            self.before + other.before,
            self.after + other.after,
        )


def merge_comparisons(comparisons: Iterable[Comparison], labels: int) -> Comparison:
    """Returns the sum of comparisons of so many labels: zero if there are none."""
    parts = list(comparisons)
    return Comparison(
        functools.reduce(Changes.__add__, [part.changes for part in parts], Changes.zero(labels)),
        Flips.merge([part.flips for part in parts]),
        merge([part.before for part in parts], labels),
        merge([part.after for part in parts], labels),
    )


def comparison_content(comparison: Comparison, labelling: Labelling, distinct: Distinct = NO_GROUPS) -> dict[str, Any]:
    """Returns what follows from the records in `comparison.json`.

    That is `records`, `overall`, `per_label`, `flipped_records` and `changed_records`; `distinct` says how many groups
    the records are of.

    Rates and probabilities are in 0…1; `mean_change` is that of |probability after - before|, None without records.
    """
    evidence = Evidence.of(comparison.after)
    supports = support(evidence.total)
    overall, per_label = paired_changes(Evidence.of(comparison.before), evidence)
    return {
        "records": asdict(comparison.changes.records)
        | {"with_truth": int(evidence.total["with_truth"])}
        | distinct.group_counts(),
        "overall": _published(overall),
        "per_label": [
            {
                "label": label,
                "support": int(supports[i]),
                "thresholds": {"before": _as_stored(labelling.before[i]), "after": _as_stored(labelling.after[i])},
                "metrics": _published(per_label, i),
                **_flips(comparison.changes, i),
            }
            for i, label in enumerate(labelling.labels)
        ],
        "flipped_records": _flipped_records(comparison.flips, labelling),
        "changed_records": [_changed_record(record, labelling) for record in comparison.changes.most_changed],
    }


def _published(changes: Mapping[str, Change], label: int | None = None) -> dict[str, dict[str, Any]]:
    """Returns by metric `before`, `after`, `change` and `interval`, overall or of a label; None is undefined."""
    rows = {}
    for name, change in changes.items():
        numbers = (change.before, change.after, change.change, change.low, change.high)
        values = [float(value if label is None else value[label]) for value in numbers]
        before, after, difference, low, high = (None if math.isnan(value) else value for value in values)
        interval = None if low is None or high is None else [low, high]
        rows[name] = {"before": before, "after": after, "change": difference, "interval": interval}
    return rows


def _flips(changes: Changes, label: int) -> dict[str, Any]:
    names = ("became_present", "became_absent", "became_right", "became_wrong")
    both = changes.records.both
    return {
        "flips": {name: int(getattr(changes, name)[label]) for name in names},
        "mean_change": int(changes.change_sum[label]) / (both * FIXED_POINT) if both else None,
    }


def _flipped_records(flips: Flips, labelling: Labelling) -> list[dict[str, Any]]:
    """Returns the flips of each label, the clearest of a kind first."""
    return [
        {
            "label": labelling.labels[row["label"]],
            "kind": FLIP_KINDS[row["kind"]],
            "id": row["id"],
            "before": _as_stored(row["before"]),
            "after": _as_stored(row["after"]),
        }
        for row in flips.table.select(["label", "kind", "id", "before", "after"]).to_pylist()
    ]


def _changed_record(record: ChangedRecord, labelling: Labelling) -> dict[str, Any]:
    return {
        "id": record.id,
        "label": labelling.labels[record.label],
        "before": _as_stored(record.before),
        "after": _as_stored(record.after),
        "predicted_before": bool(record.before >= np.float32(labelling.before[record.label])),
        "predicted_after": bool(record.after >= np.float32(labelling.after[record.label])),
        "truth": None if record.truth == UNKNOWN else record.truth == PRESENT,
    }


def _as_stored(value: float) -> float:
    """Returns a float32 in the fewest digits that tell it from its neighbours."""
    return float(str(np.float32(value)))
