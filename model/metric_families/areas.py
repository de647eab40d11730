"""Computes areas under curves from histograms of probabilities, exactly or between rigorous bounds.

Where each bin holds one float32, or one record, all is known, and an area is what scikit-learn computes of the
probabilities themselves. In other bins records may be in any order. The low bound has all absent ones above the present
ones in every bin, the high bound has them below: scikit-learn's value lies between.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bulklabel.model.counting.bins import single_valued
from bulklabel.model.counting.filled_bins import FilledBins
from bulklabel.model.counting.tally import Counts
from bulklabel.model.labels.truth import ABSENT, PRESENT
from bulklabel.model.metric_families.confusion import support
from bulklabel.model.metric_families.family import Estimate, Family, Totals
from bulklabel.model.metric_families.quotients import mean_of

Values = npt.NDArray[np.float64]
Area = tuple[Values, Values, Values]
"""Value, low and high bound, L each; NaN where undefined."""

ROUNDING = 1e-12
"""By so much bounds that differ are wider than computed: scikit-learn's own sums are off by less."""


def areas(histograms: FilledBins) -> dict[str, Area]:
    """Returns `roc_auc` and `average_precision` of each label from its histogram; unknown truth is left out.

    Each comes with a low and a high bound, which are the value itself where that is exact.

    ROC AUC is NaN where no record is present, or none absent; average precision is 0 where none is present, as in
    scikit-learn, and NaN where nothing is known.

    >>> histograms = np.zeros((1, 2, 48), np.int64)
    >>> histograms[0, PRESENT, [40, 20]] = 1
    >>> histograms[0, ABSENT, 30] = 1
    >>> found = areas(FilledBins.of_counts(histograms))
    >>> {name: float(value[0].round(4)) for name, (value, low, high) in found.items()}
    {'roc_auc': 0.5, 'average_precision': 0.8333}
    """
    chunks = [_areas(_ranked(chunk)) for chunk in histograms.in_chunks()]
    return dict(zip(("roc_auc", "average_precision"), map(_joined, zip(*chunks, strict=True)), strict=True))


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Holds, of each bin with present records, how many are in it (`present`), and how many present ones are `above`.

    Beside these stand the absent ones in the bin (`mixed`) and in those `absent_above`. `ties` says where all records
    of the bin count as equal, `starts` where the bins of a label begin; `positives` and `negatives` are L.
    """

    present: Counts
    above: Counts
    mixed: Counts
    absent_above: Counts
    ties: npt.NDArray[np.bool_]
    starts: Counts
    positives: Counts
    negatives: Counts

    def by_label(self, values: Counts | Values) -> Values:
        """Returns the sums of what the bins hold, by label, L."""
        sums = np.zeros(len(self.positives), values.dtype)
        filled = self.starts[1:] > self.starts[:-1]
        if filled.any():
            sums[filled] = np.add.reduceat(values, self.starts[:-1][filled])
        return sums.astype(np.float64)


def _ranked(histograms: FilledBins) -> _Ranked:
    present, absent = histograms.plane(PRESENT), histograms.plane(ABSENT)
    wanted, keys = (_keys(plane.bins, plane.starts) for plane in (present, absent))
    place, behind = np.searchsorted(keys, wanted), np.searchsorted(keys, wanted, side="right")
    up_to, absent_up_to = (np.concatenate([[0], np.cumsum(plane.counts)]) for plane in (present, absent))
    label = np.repeat(np.arange(histograms.labels), np.diff(present.starts))
    mixed = absent_up_to[behind] - absent_up_to[place]
    return _Ranked(
        present.counts,
        up_to[present.starts[1:]][label] - up_to[1:],
        mixed,
        absent_up_to[absent.starts[1:]][label] - absent_up_to[behind],
        single_valued(present.bins, histograms.precision) | ((present.counts == 1) & (mixed == 0)),
        present.starts,
        np.diff(up_to[present.starts]),
        np.diff(absent_up_to[absent.starts]),
    )


def _keys(bins: npt.NDArray[np.int32], starts: Counts) -> npt.NDArray[np.int64]:
    return np.repeat(np.arange(len(starts) - 1) << 32, np.diff(starts)) | bins


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


def _roc_auc(ranked: _Ranked) -> Area:
    """Returns the share of pairs of a present and an absent record that are in order; equal ones count half."""
    present, ties = ranked.present, ranked.ties
    if ranked.positives.max(initial=0) * float(ranked.negatives.max(initial=0)) > 2**61:
        present = present.astype(np.float64)
    below = np.repeat(ranked.negatives, np.diff(ranked.starts)) - ranked.mixed - ranked.absent_above
    halves = ranked.by_label(present * (2 * below + ranked.mixed * ties))
    undecided = ranked.by_label(present * ranked.mixed * ~ties)
    pairs = ranked.positives * ranked.negatives.astype(np.float64)
    with np.errstate(invalid="ignore"):  # 0/0 is NaN: undefined
        return _bounded(halves / 2 / pairs, (halves / 2 + undecided) / pairs)


def _average_precision(ranked: _Ranked) -> Area:
    """Returns the mean over present records of the precision among the records that are as probable or more.

    Take a bin with p present and n absent records, behind t present and f absent ones in higher bins. If the present
    ones come first, the i-th of them has the precision (t + i) / (t + i + f), which is largest for the last: the high
    bound. If the absent ones come first, it has (t + i) / (t + i + F) with F = f + n. Over i = 1…p that adds up to
    p - F · Σ 1 / (t + F + i), and since 1 / x falls, the sum is at most the integral from t + F to t + F + p, which is
    log(1 + p / (t + F)): the low bound, unless p times the first precision is more. In a bin where all probabilities
    are equal, each has (t + p) / (t + p + F), as in scikit-learn.
    """
    present, before, ties, absent_before = ranked.present, ranked.above, ranked.ties, ranked.absent_above
    with_before, all_absent = before + present, absent_before + ranked.mixed
    worst = best = present * (with_before / (with_before + all_absent))
    if not ties.all():
        with np.errstate(invalid="ignore", divide="ignore"):
            first = present * ((before + 1) / (before + 1 + all_absent))
            integral = present - all_absent * np.log1p(present / (before + all_absent))
            best = np.where(ties, best, present * (with_before / (with_before + absent_before)))
            worst = np.where(ties, worst, np.fmax(first, integral))
    nothing = np.where(ranked.negatives > 0, 0.0, np.nan)
    some = ranked.positives > 0
    low, high = (
        np.divide(ranked.by_label(sums), ranked.positives, out=nothing.copy(), where=some) for sums in (worst, best)
    )
    return _bounded(low, high)


def _bounded(low: Values, high: Values) -> Area:
    """Widens bounds that differ: scikit-learn's sum of quotients may pass 1, to 1.0000000000000002 at times."""
    slack = np.where(low == high, 0, ROUNDING)
    return (low + high) / 2, np.maximum(low - slack, 0), high + slack


def _areas(ranked: _Ranked) -> tuple[Area, Area]:
    return _roc_auc(ranked), _average_precision(ranked)


def _joined(parts: Sequence[Area]) -> Area:
    value, low, high = (np.concatenate(chunks) for chunks in zip(*parts, strict=True))
    return value, low, high


def _estimate(totals: Totals) -> Estimate:
    if totals.histograms is None:
        return Estimate()
    by_label, pooled = areas(totals.histograms), areas(totals.histograms.pooled())
    averaged = _averages(by_label, pooled, support(totals.sums))
    return Estimate(
        {name: value for name, (value, _, _) in averaged.items()},
        {name: value for name, (value, _, _) in by_label.items()},
        {name: (low, high) for name, (_, low, high) in averaged.items()},
        {name: (low, high) for name, (_, low, high) in by_label.items()},
    )


AREAS = Family(_estimate)
"""Of all labels and of each, from the histogram of probabilities, which is kept apart from the sums."""
