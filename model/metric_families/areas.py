"""Computes areas under curves from histograms of probabilities, each between rigorous bounds.

Records in one bin may be in any order. The low bound has all absent ones above the present ones in every bin, the high
bound has them below: scikit-learn's value on the probabilities themselves lies between. A bin that holds a single
float32 number is no guess: there all are equal, and scikit-learn says what that is worth.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bulklabel.model.counting.bins import lowest_of, precision_of
from bulklabel.model.counting.tally import Counts
from bulklabel.model.labels.truth import ABSENT, PRESENT
from bulklabel.model.metric_families.confusion import support
from bulklabel.model.metric_families.family import Estimate, Family, Totals
from bulklabel.model.metric_families.quotients import mean_of

Values = npt.NDArray[np.float64]
Area = tuple[Values, Values, Values]
"""Value, low and high bound, L each; NaN where undefined."""

ROUNDING = 1e-12
"""By so much bounds are wider than computed: scikit-learn's own sums are off by less."""

CHUNK_CELLS = 2**20


def single_valued(precision: int) -> npt.NDArray[np.bool_]:
    """Returns which bins hold one float32 number alone: the finest near 1, and 1 itself.

    >>> np.flatnonzero(single_valued(precision=0)).tolist()
    [46, 47]
    """
    lowest = lowest_of(precision)
    return np.append(np.nextafter(lowest[:-1], np.float32(2)) == lowest[1:], lowest[-1] == 1)


def areas(histograms: Counts) -> dict[str, Area]:
    """Returns `roc_auc` and `average_precision` of each label from its histogram, L×2×bins or L×3×bins.

    Each comes with a low and a high bound. Records of unknown truth, the third plane, are left out.

    ROC AUC is NaN where no record is present, or none absent; average precision is 0 where none is present, as in
    scikit-learn, and NaN where nothing is known.

    >>> histograms = np.zeros((1, 2, 48), np.int64)
    >>> histograms[0, PRESENT, [40, 20]] = 1
    >>> histograms[0, ABSENT, 30] = 1
    >>> {name: float(value[0].round(4)) for name, (value, low, high) in areas(histograms).items()}
    {'roc_auc': 0.5, 'average_precision': 0.8333}
    """
    labels, _, bins = histograms.shape
    step = max(1, CHUNK_CELLS // bins)
    single = single_valued(precision_of(bins))
    chunks = [_areas(histograms[first : first + step], single) for first in range(0, labels, step)]
    return {name: _joined([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _averages(
    by_label: dict[str, Area], pooled: dict[str, Area], weights: Counts
) -> dict[str, tuple[float, float, float]]:
    """Returns `roc_auc_micro`, `…_macro`, `…_weighted` and the same of average precision, with bounds.

    Macro and weighted averages leave out labels for which the metric is undefined.

    Args:
        by_label: the labels' areas.
        pooled: the areas of all answers together, as of one label.
        weights: the labels' support, L.
    """
    metrics = {}
    for name, parts in by_label.items():
        micro, low, high = (float(part[0]) for part in pooled[name])
        metrics[f"{name}_micro"] = (micro, low, high)
        macro, low, high = (mean_of(part) for part in parts)
        metrics[f"{name}_macro"] = (macro, low, high)
        weighted, low, high = (mean_of(part, weights) for part in parts)
        metrics[f"{name}_weighted"] = (weighted, low, high)
    return metrics


def _areas(histograms: Counts, single: npt.NDArray[np.bool_]) -> dict[str, Area]:
    """Returns the areas of few labels; everything runs from the highest bin down."""
    filled = np.flatnonzero(histograms[:, [ABSENT, PRESENT]].any(axis=(0, 1)))[::-1]
    present, absent, ties = histograms[:, PRESENT, filled], histograms[:, ABSENT, filled], single[filled]
    return {
        "roc_auc": _roc_auc(present, absent, ties),
        "average_precision": _average_precision(present, absent, ties),
    }


def _roc_auc(present: Counts, absent: Counts, ties: npt.NDArray[np.bool_]) -> Area:
    """Returns the share of pairs of a present and an absent record that are in order; equal ones count half."""
    positives, negatives = present.sum(axis=1), absent.sum(axis=1)
    if positives.max(initial=0) * float(negatives.max(initial=0)) > 2**62:
        present, absent = present.astype(np.float64), absent.astype(np.float64)
    below = negatives[:, None] - np.cumsum(absent, axis=1)
    unordered = present * absent
    certain = (present * below).sum(axis=1) + unordered[:, ties].sum(axis=1) / 2
    open_pairs = unordered[:, ~ties].sum(axis=1)
    pairs = positives * negatives.astype(np.float64)
    with np.errstate(invalid="ignore"):  # 0/0 is NaN: undefined
        return _bounded(certain / pairs, (certain + open_pairs) / pairs)


def _average_precision(present: Counts, absent: Counts, ties: npt.NDArray[np.bool_]) -> Area:
    """Returns the mean over present records of the precision among the records that are as probable or more.

    Take a bin with p present and n absent records, behind t present and f absent ones in higher bins. If the present
    ones come first, the i-th of them has the precision (t + i) / (t + i + f), which is largest for the last: the high
    bound. If the absent ones come first, it has (t + i) / (t + i + F) with F = f + n. Over i = 1…p that adds up to
    p - F · Σ 1 / (t + F + i), and since 1 / x falls, the sum is at most the integral from t + F to t + F + p, which is
    log(1 + p / (t + F)): the low bound, unless p times the first precision is more. In a bin where all probabilities
    are equal, each has (t + p) / (t + p + F), as in scikit-learn.
    """
    positives, negatives = present.sum(axis=1), absent.sum(axis=1)
    with_before, all_absent = np.cumsum(present, axis=1), np.cumsum(absent, axis=1)
    before, absent_before = with_before - present, all_absent - absent
    with np.errstate(invalid="ignore", divide="ignore"):
        together = present * (with_before / (with_before + all_absent))
        best = np.where(ties, together, present * (with_before / (with_before + absent_before)))
        first = present * ((before + 1) / (before + 1 + all_absent))
        integral = present - all_absent * np.log1p(present / (before + all_absent))
        worst = np.where(ties, together, np.fmax(first, integral))
        low, high = (np.where(present > 0, sums, 0).sum(axis=1) / positives for sums in (worst, best))
    nothing = np.where(negatives > 0, 0.0, np.nan)
    return _bounded(*(np.where(positives > 0, bound, nothing) for bound in (low, high)))


def _bounded(low: Values, high: Values) -> Area:
    """Widens the bounds: scikit-learn's sum of quotients may pass 1, to 1.0000000000000002 at times."""
    return (low + high) / 2, np.maximum(low - ROUNDING, 0), high + ROUNDING


def _joined(parts: Sequence[Area]) -> Area:
    value, low, high = (np.concatenate(chunks) for chunks in zip(*parts, strict=True))
    return value, low, high


def _estimate(totals: Totals) -> Estimate:
    if totals.histograms is None:
        return Estimate()
    by_label, pooled = areas(totals.histograms), areas(totals.histograms.sum(axis=0, keepdims=True))
    averaged = _averages(by_label, pooled, support(totals.sums))
    return Estimate(
        {name: value for name, (value, _, _) in averaged.items()},
        {name: value for name, (value, _, _) in by_label.items()},
        {name: (low, high) for name, (_, low, high) in averaged.items()},
        {name: (low, high) for name, (_, low, high) in by_label.items()},
    )


AREAS = Family(_estimate)
"""Of all labels and of each, from the histogram of probabilities, which is kept apart from the sums."""
