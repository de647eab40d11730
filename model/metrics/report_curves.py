"""Picks what the report draws beyond the metrics: curves, reliability, and pairs of labels, small enough for a page."""

from collections.abc import Collection, Mapping, Sequence
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

Cut = tuple[float, int, int, int]

MOST_POINTS, LEAST_POINTS, ALL_POINTS = 512, 64, 2**16
"""Of a curve, at most; where labels are many, fewer, so that all of them together have about the last number."""

PAIRED, MOST_CONFUSED = 40, 50
"""Labels in the tables of pairs, and pairs in the list of what is confused."""


def drawings(
    statistic: Statistic, rows: Sequence[Mapping[str, Any]], shown: Collection[int] | None = None
) -> dict[str, Any]:
    """Returns curves (`cuts`), `reliability` and `pairs`, of each label and of all answers.

    A cut is [threshold, true positives, false positives, predicted records], thresholds falling; the last is of all
    records, the others of those whose truth is known. The thresholds in force and suggested are among a label's cuts.
    Reliability is, for each of ten equal bins of probability, [records, records where the label is present, mean
    probability or None].

    Args:
        statistic: of L labels.
        rows: the `per_label` of the metrics, L.
        shown: the indices of the labels whose curves are wanted; those of others are left empty. None is all.
    """
    wanted = frozenset(range(statistic.labels) if shown is None else shown)
    points = max(LEAST_POINTS, min(MOST_POINTS, ALL_POINTS // max(len(wanted), 1)))
    total, predicted = statistic.sums.total(), statistic.predicted.total()["labels"]
    histograms = statistic.histograms.filled()
    return {
        "cuts": [
            _cuts(curve, points, _marks(rows[label], int(predicted[label]))) if label in wanted else []
            for label, curve in enumerate(threshold_curves(histograms))
        ],
        "all_cuts": _cuts(threshold_curves(histograms.pooled())[0], MOST_POINTS, []),
        "reliability": [_reliability(total, slice(label, label + 1)) for label in range(statistic.labels)],
        "all_reliability": _reliability(total, slice(None)),
        "pairs": _pairs(statistic),
    }


def _marks(row: Mapping[str, Any], predicted: int) -> list[Cut]:
    """Returns the cuts at a label's threshold and at the suggested one."""
    suggested = row["suggested"]
    return [
        (row["threshold"], row["tp"], row["fp"], predicted),
        (suggested["threshold"], suggested["tp"], suggested["fp"], suggested["predicted"]),
    ]


def _cuts(curve: Curve, points: int, marks: Sequence[Cut]) -> list[list[float | int]]:
    counts = (curve.true_positives, curve.false_positives, curve.predicted)
    cuts: dict[float, Sequence[int]] = {
        float(str(curve.thresholds[index])): tuple(int(values[index]) for values in counts)
        for index in spread(curve, points)
    }
    if cuts:
        cuts |= {threshold: counted for threshold, *counted in marks}
    return [[threshold, *cuts[threshold]] for threshold in sorted(cuts, reverse=True)]


def _reliability(total: Sums, labels: slice) -> list[list[float | int | None]]:
    counts = [total[name] for name in RELIABILITY]
    rows = zip(*(values[labels].sum(axis=0).tolist() for values in counts), strict=True)
    return [
        [records, present, probability / FIXED_POINT / records if records else None]
        for records, present, probability in rows
    ]


def _pairs(statistic: Statistic) -> dict[str, Any] | None:
    """Returns tables of the labels with the largest support, or predicted most, and the pairs that are confused most.

    They are None for a single label, and without records.
    """
    counts, total = statistic.pairs.counts(), statistic.sums.total()
    labels = counts.shape[1]
    if not statistic.scored or labels < 2:
        return None
    predicted = statistic.predicted.total()["labels"]
    shown = np.sort(np.lexsort((-predicted[:labels], -support(total)[:labels]))[:PAIRED])
    confused, together = counts[CONFUSED].ravel(), np.triu(counts[PREDICTED], 1).ravel()
    tables = {
        name: counts[kind][np.ix_(shown, shown)].tolist()
        for name, kind in (("truth", TRUTH), ("predicted", PREDICTED), ("confused", CONFUSED))
    }
    most = {"top_confused": _most(confused, labels), "top_predicted": _most(together, labels)}
    return {"labels": shown.tolist(), **tables, **most}


def _most(cells: Counts, labels: int) -> list[list[int]]:
    """Returns the cells of a table with the largest counts as [row, column, count]."""
    most = np.argsort(-cells, kind="stable")[:MOST_CONFUSED]
    most = most[cells[most] > 0]
    pairs = zip(*(axis.tolist() for axis in np.divmod(most, labels)), cells[most].tolist(), strict=True)
    return [list(pair) for pair in pairs]
