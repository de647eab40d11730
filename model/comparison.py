"""Two runs compared: one mergeable summary of the records in both, and the content of `comparison.json` made of it."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from model.changes import ChangedRecord, Changes
from model.joining import Joined
from model.labels import PRESENT, UNKNOWN
from model.metrics import compute_metrics
from model.statistic import FIXED_POINT, Statistic, merge

NOT_METRICS = ("label", "threshold", "support", "tp", "fp", "fn", "tn", "known", "unknown", "coverage")
"""What `metrics.json` says beside metrics, overall or of a label."""

Change = dict[str, Any]
"""A metric's `before`, `after`, `change` (after - before) and `interval` (95 %) of the change; None where undefined."""


@dataclass(frozen=True)
class Labelling:
    """The L labels that both runs know, in the later run's order, and each run's thresholds for them, 0…1."""

    labels: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """What changed, and both runs' statistics of the very same records, labels and truth. `+` is exact."""

    changes: Changes
    before: Statistic
    after: Statistic

    @staticmethod
    def zero(labels: int) -> "Comparison":
        """The comparison of no records: the identity of `+`."""
        return Comparison(Changes.zero(labels), Statistic.zero(labels), Statistic.zero(labels))

    @staticmethod
    def from_joined(joined: Joined, labelling: Labelling) -> "Comparison":
        """The comparison of N records."""
        return Comparison(
            Changes.from_batch(joined, labelling.before, labelling.after),
            Statistic.from_batch(joined.truth, joined.before, labelling.before),
            Statistic.from_batch(joined.truth, joined.after, labelling.after),
        )

    def __add__(self, other: "Comparison") -> "Comparison":
        """The comparison of both sets of records together."""
        return Comparison(self.changes + other.changes, self.before + other.before, self.after + other.after)


def merge_comparisons(comparisons: Iterable[Comparison], labels: int) -> Comparison:
    """The sum of comparisons of so many labels; of none, zero."""
    every = list(comparisons)
    return Comparison(
        functools.reduce(Changes.__add__, [one.changes for one in every], Changes.zero(labels)),
        merge([one.before for one in every], labels),
        merge([one.after for one in every], labels),
    )


def metric_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Change]:
    """The change of every metric of `overall`, or of an entry of `per_label`, of two `metrics.json`."""
    names = [name for name, value in after.items() if _is_metric(name, value)]
    return {name: _change(before[name], after[name]) for name in names}


def comparison_content(comparison: Comparison, labelling: Labelling) -> dict[str, Any]:
    """`records`, `overall`, `per_label` and `changed_records` of `comparison.json`: what follows from the records.

    Rates and probabilities are in 0…1; `mean_change` is that of |probability after - before|, None without records.
    """
    changes, labels = comparison.changes, labelling.labels
    before = compute_metrics(comparison.before, labels, labelling.before)
    after = compute_metrics(comparison.after, labels, labelling.after)
    both = changes.records.both
    return {
        "records": asdict(changes.records) | {"with_truth": after["counts"]["with_truth"]},
        "overall": metric_changes(before["overall"], after["overall"]),
        "per_label": [
            {
                "label": label,
                "support": after["per_label"][i]["support"],
                "thresholds": {"before": _as_stored(labelling.before[i]), "after": _as_stored(labelling.after[i])},
                "metrics": metric_changes(before["per_label"][i], after["per_label"][i]),
                "flips": {
                    "became_present": int(changes.became_present[i]),
                    "became_absent": int(changes.became_absent[i]),
                    "became_right": int(changes.became_right[i]),
                    "became_wrong": int(changes.became_wrong[i]),
                },
                "mean_change": int(changes.change_sum[i]) / (both * FIXED_POINT) if both else None,
            }
            for i, label in enumerate(labels)
        ],
        "changed_records": [_changed_record(record, labelling) for record in changes.most_changed],
    }


def _is_metric(name: str, value: object) -> bool:
    return name not in NOT_METRICS and not name.endswith("_bounds") and not isinstance(value, Mapping)


def _change(before: float | None, after: float | None) -> Change:
    change = None if before is None or after is None else after - before
    return {"before": before, "after": after, "change": change, "interval": None}


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
    """A float32 in the fewest digits that tell it from its neighbours."""
    return float(str(np.float32(value)))
