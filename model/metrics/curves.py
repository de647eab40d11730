"""Writes the whole threshold curve of every label as a table, and thins curves to what a page can draw."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bulklabel.model.metrics.threshold_goals import Curve, threshold_curves
from bulklabel.model.statistic import Statistic

MOST_ROWS = 2_000_000
"""Of the table: with more, each label's curve is thinned to its share."""


def spread(curve: Curve, points: int) -> npt.NDArray[np.int64]:
    """Returns the indices of at most so many points that lie evenly along a curve, with its ends.

    They are even along true and false positives, each as a share of its most.

    Without any known truth they lie evenly along the predicted records.

    >>> from bulklabel.model.metrics.threshold_goals import exact_curve
    >>> truth, probabilities = np.tile([1, 0], 50).astype(np.int8), np.linspace(0, 1, 100, dtype=np.float32)
    >>> spread(exact_curve(truth, probabilities), 5)
    array([ 0, 25, 50, 75, 99])
    """
    if len(curve.thresholds) <= points:
        return np.arange(len(curve.thresholds))
    known = [counts / counts[-1] for counts in (curve.true_positives, curve.false_positives) if counts[-1]]
    along = np.sum(known or [curve.predicted / curve.predicted[-1]], axis=0)
    chosen = np.searchsorted(along, np.linspace(along[0], along[-1], points))
    return np.unique(np.append(chosen.clip(max=len(along) - 1), len(along) - 1))


def curves_table(statistic: Statistic, labels: Sequence[str]) -> pa.Table:
    """Returns one row for each label and threshold: `predicted` of all records, the rest of those with known truth.

    Thresholds fall within a label; precision, recall and f1 are 0 where they are 0/0.
    """
    points = max(2, MOST_ROWS // len(labels))
    curves = threshold_curves(statistic.histograms.filled())
    return pa.concat_tables(
        [_rows(label, curve, spread(curve, points)) for label, curve in zip(labels, curves, strict=True)]
    )


def _rows(label: str, curve: Curve, chosen: npt.NDArray[np.int64]) -> pa.Table:
    true, false = curve.true_positives[chosen], curve.false_positives[chosen]
    support = curve.true_positives[-1] if len(curve.true_positives) else 0
    return pa.table(
        {
            "label": pa.array([label] * len(chosen), pa.string()),
            "threshold": curve.thresholds[chosen],
            "predicted": curve.predicted[chosen],
            "tp": true,
            "fp": false,
            "precision": true / np.maximum(true + false, 1),
            "recall": true / max(support, 1),
            "f1": 2 * true / np.maximum(support + true + false, 1),
        }
    )
