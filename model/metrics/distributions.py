"""Describes a run's records whether or not their truth is known: what drifts when the input does."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bulklabel.model.counting.bins import bins_count, lowest_of
from bulklabel.model.counting.histograms import LEAST_PRECISION
from bulklabel.model.counting.tally import Counts
from bulklabel.model.images.kinds import formats_of, sizes_of
from bulklabel.model.metrics.estimates import Evidence
from bulklabel.model.statistic import Statistic

BINS = 16
"""Equal bins of probability. Their ends are sums of powers of two, which the statistic's finer bins never straddle."""


def distributions(statistic: Statistic, evidence: Evidence, labels: Sequence[str]) -> dict[str, Any]:
    """Returns the content of `distributions` in `metrics.json`, of all scored records, with truth or without.

    For each label how many records were given it, as a share too (None without records), and a histogram of its
    probabilities in 16 equal bins; images by format, and by the lower end of their longer side in pixels, a power of
    two; the rejected records by reason, as a share of all. All counts are exact.
    """
    records = statistic.scored + sum(statistic.rejected.values())
    histograms = _histograms(evidence)
    return {
        "labels": [
            {
                "label": label,
                "predicted": int(statistic.predicted[index]),
                "label_rate": int(statistic.predicted[index]) / statistic.scored if statistic.scored else None,
                "histogram": histograms[index].tolist(),
            }
            for index, label in enumerate(labels)
        ],
        "formats": formats_of(statistic.kinds),
        "sizes": {str(size): images for size, images in sizes_of(statistic.kinds).items()},
        "rejected": {reason: count / records for reason, count in _by_reason(statistic.rejected).items()},
    }


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
