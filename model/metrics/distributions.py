"""Describes a run's records whether or not their truth is known: what drifts when the input does."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bulklabel.model.counting.bins import bins_count, lowest_of
from bulklabel.model.counting.filled_bins import BIN_MASK
from bulklabel.model.counting.histograms import LEAST_PRECISION
from bulklabel.model.counting.sums import Sums
from bulklabel.model.counting.tally import Counts
from bulklabel.model.images.kinds import formats_of, sizes_of
from bulklabel.model.metric_families.jackknife import Values, counted_interval, degrees_of_freedom
from bulklabel.model.metric_families.quotients import interval_or_none, number_or_none
from bulklabel.model.metrics.estimates import Evidence
from bulklabel.model.statistic import Statistic

BINS = 16
"""Equal bins of probability. Their ends are sums of powers of two, which the statistic's finer bins never straddle."""


NEAR = 0.1
"""Probabilities that are no further than this from their label's threshold are near it."""


def distributions(
    statistic: Statistic, evidence: Evidence, labels: Sequence[str], thresholds: Sequence[float]
) -> dict[str, Any]:
    """Returns the content of `distributions` in `metrics.json`, of all scored records, with truth or without.

    For each label how many records were given it, as a share too with its interval (None without records), how many
    are near its threshold, and a histogram of its probabilities in 16 equal bins; how many labels the records were
    given, and are known to have; images by format, and by the lower end of their longer side in pixels, a power of
    two; the rejected records by reason, as a share of all. All counts are exact, but that what is near may be off by
    the few records of a bin once probabilities are counted in bins.
    """
    records = statistic.scored + sum(statistic.rejected.values())
    histograms = _histograms(evidence)
    predicted, near = statistic.predicted.total()["labels"], _near_threshold(evidence, thresholds)
    rates, lows, highs = _rates(statistic.predicted)
    return {
        "labels": [
            {
                "label": label,
                "predicted": int(predicted[index]),
                "label_rate": number_or_none(rates[index]),
                "label_rate_interval": interval_or_none(lows[index], highs[index]),
                "near_threshold": int(near[index]),
                "histogram": histograms[index].tolist(),
            }
            for index, label in enumerate(labels)
        ],
        "labels_per_record": _labels_per_record(statistic.predicted),
        "formats": formats_of(statistic.kinds),
        "sizes": {str(size): images for size, images in sizes_of(statistic.kinds).items()},
        "rejected": {reason: count / records for reason, count in _by_reason(statistic.rejected).items()},
    }


def _rates(predicted: Sums) -> tuple[Values, Values, Values]:
    """Returns the share of the records that each label was predicted of, and the ends of its interval, L; or NaN."""
    records, labels = predicted["records"], predicted["labels"]
    filled = np.flatnonzero(records)
    value = _share(labels.sum(axis=0), records.sum())
    without = _share(labels.sum(axis=0) - labels[filled], (records.sum() - records[filled])[:, None])
    counted = np.full(labels.shape[1], records.sum())
    return value, *counted_interval(value, without, degrees_of_freedom(records), counted)


def _share(part: Counts, whole: Counts) -> Values:
    with np.errstate(invalid="ignore"):
        return np.true_divide(part, whole)  # 0/0 is NaN


def _labels_per_record(predicted: Sums) -> dict[str, Any]:
    """Returns how many records have 0, 1, 2, … labels: predicted ones, and those with truth present ones."""
    total = predicted.total()
    sizes = {name: total[f"{name}_sizes"] for name in ("predicted", "present")}
    return {name: counts[: np.flatnonzero(counts).max(initial=-1) + 1].tolist() for name, counts in sizes.items()}


def _near_threshold(evidence: Evidence, thresholds: Sequence[float]) -> Counts:
    """Counts the records by label whose probability is near its threshold, both in float32; a bin by its lowest."""
    limits, counted = np.asarray(thresholds, np.float32), np.zeros(0, np.int64)
    for bins in evidence.histograms.in_chunks():
        lowest = lowest_of((bins.keys & BIN_MASK).astype(np.int32), bins.precision)
        near = np.abs(lowest - limits[len(counted) :][bins.label]) <= np.float32(NEAR)
        sums = np.bincount(bins.label[near], bins.counts[near], minlength=bins.labels)
        counted = np.append(counted, sums.astype(np.int64))
    return counted


def _histograms(evidence: Evidence) -> Counts:
    """Returns L×16 counts; the end of a bin belongs to the one that is nearer to one half."""
    lowest = lowest_of(np.arange(bins_count(LEAST_PRECISION), dtype=np.int32), LEAST_PRECISION)
    of_bin = np.minimum(lowest * np.float32(BINS), BINS - 1).astype(np.int64)
    last = np.searchsorted(of_bin, np.arange(BINS), side="right") - 1
    up_to = np.cumsum(evidence.histograms.whole(LEAST_PRECISION).sum(axis=1), axis=1)
    return np.diff(up_to[:, last], axis=1, prepend=0)


def _by_reason(rejected: Mapping[tuple[str, str], int]) -> dict[str, int]:
    reasons = sorted({reason for _, reason in rejected})
    return {name: sum(records for (_, reason), records in rejected.items() if reason == name) for name in reasons}
