"""Computes how the metrics of the same records change from one set of answers to another, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bulklabel.model.metric_families.jackknife import change_interval
from bulklabel.model.metrics.estimates import Evidence

Values = npt.NDArray[np.float64]
Metrics = Mapping[str, Values] | Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Change:
    """Holds a metric `before` and `after`, its `change` (after - before), and the ends of the change's 95 % interval.

    Each is one number, or L of a metric of the labels; NaN is undefined.
    """

    before: Values
    after: Values
    change: Values
    low: Values
    high: Values


def paired_changes(before: Evidence, after: Evidence) -> tuple[dict[str, Change], dict[str, Change]]:
    """Returns the changes of all overall metrics, and of all metrics of the labels, by name.

    Each group of records is left out on both sides at once. What makes a group hard moves both metrics alike, and only
    the rest counts as error: such an interval is mostly narrower than two that are made of each side by itself.

    Args:
        before: of some records and their truth.
        after: of the very same records and truth, with other probabilities or other thresholds.
    """
    first, second = before.estimate(), after.estimate()
    without = list(zip(before.without_groups(), after.without_groups(), strict=True))
    overall = [(one.overall, other.overall) for one, other in without]
    per_label = [(one.per_label, other.per_label) for one, other in without]
    return (
        _changes(first.overall, second.overall, overall, after.freedom),
        _changes(first.per_label, second.per_label, per_label, after.label_freedom),
    )


def _changes(
    before: Metrics, after: Metrics, without: Sequence[tuple[Metrics, Metrics]], freedom: Values
) -> dict[str, Change]:
    changes = {}
    for name in before:
        first, second = np.asarray(before[name]), np.asarray(after[name])
        moved = np.array([other[name] - one[name] for one, other in without]).reshape(-1, *first.shape)
        changes[name] = Change(first, second, second - first, *change_interval(second - first, moved, freedom))
    return changes
