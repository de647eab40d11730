"""Picks what the report draws beyond the metrics: curves, reliability, and pairs of labels, small enough for a page."""

from collections.abc import Collection
from typing import Any

import numpy as np

from bulklabel.model.counting.fixed import FIXED_POINT
from bulklabel.model.counting.sums import Sums
from bulklabel.model.counting.tally import Counts
from bulklabel.model.metric_families.calibration import RELIABILITY
from bulklabel.model.metric_families.confusion import support
from bulklabel.model.metrics.curves import spread
from bulklabel.model.metrics.threshold_goals import Curve, threshold_curves
from bulklabel.model.statistic import Statistic
from bulklabel.model.statistic.pairs import CONFUSED, PREDICTED, TRUTH

POINTS = 64
"""Of a curve, at most."""

PAIRED, MOST_CONFUSED = 40, 50
"""Labels in the tables of pairs, and pairs in the list of what is confused."""


def drawings(statistic: Statistic, shown: Collection[int] | None = None) -> dict[str, Any]:
    """Returns curves (`cuts`), `reliability` and `pairs`, of each label and of all answers.

    A cut is [threshold, true positives, false positives], thresholds falling. Reliability is, for each of ten equal
    bins of probability, [records, records where the label is present, mean probability or None].

    Curves of labels whose index is not in `shown` are left empty; without it, none are.
    """
    shown = None if shown is None else frozenset(shown)
    total = statistic.sums.total()
    histograms = statistic.histograms.filled()
    return {
        "cuts": [
            _cuts(curve) if shown is None or label in shown else []
            for label, curve in enumerate(threshold_curves(histograms))
        ],
        "all_cuts": _cuts(threshold_curves(histograms.pooled())[0]),
        "reliability": [_reliability(total, slice(label, label + 1)) for label in range(statistic.labels)],
        "all_reliability": _reliability(total, slice(None)),
        "pairs": _pairs(statistic.pairs.counts(), total),
    }


def _cuts(curve: Curve) -> list[list[float | int]]:
    counts = (curve.true_positives, curve.false_positives)
    return [
        [float(str(curve.thresholds[index])), *(int(values[index]) for values in counts)]
        for index in spread(curve, POINTS)
    ]


def _reliability(total: Sums, labels: slice) -> list[list[float | int | None]]:
    counts = [total[name] for name in RELIABILITY]
    rows = zip(*(values[labels].sum(axis=0).tolist() for values in counts), strict=True)
    return [
        [records, present, probability / FIXED_POINT / records if records else None]
        for records, present, probability in rows
    ]


def _pairs(counts: Counts, total: Sums) -> dict[str, Any] | None:
    """Returns tables of the labels with the largest support, and the pairs that are confused most."""
    labels = counts.shape[1]
    shown = np.sort(np.argsort(-support(total)[:labels], kind="stable")[:PAIRED])
    if not total["with_truth"] or labels < 2:
        return None
    confused = counts[CONFUSED].ravel()
    most = np.argsort(-confused, kind="stable")[:MOST_CONFUSED]
    most = most[confused[most] > 0]
    tables = {
        name: counts[kind][np.ix_(shown, shown)].tolist()
        for name, kind in (("truth", TRUTH), ("predicted", PREDICTED), ("confused", CONFUSED))
    }
    pairs = zip(*(axis.tolist() for axis in np.divmod(most, labels)), confused[most].tolist(), strict=True)
    return {"labels": shown.tolist(), **tables, "top_confused": [list(pair) for pair in pairs]}
