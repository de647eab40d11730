"""Measures how far a run's records have moved from an earlier run's, by what needs no truth."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]

OVERALL = (
    "drift_probabilities_max",
    "drift_probabilities_mean",
    "drift_label_rate_max",
    "drift_formats",
    "drift_sizes",
    "drift_rejected_fraction",
)
PER_LABEL = ("drift_probabilities", "drift_label_rate")

DIGITS = 12
"""Processors' logarithms may differ in the last bit: that must not show."""


def drift_between(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content of `drift` in `metrics.json`, of two such contents with the same labels, in any order.

    Every number is 0 where nothing moved, and never negative: a Jensen–Shannon divergence in bits, 0…1, or the size of
    a change of a share. None is undefined: a side without such records.

    Returns:
        `overall`, by the names in `OVERALL`; `most`, the labels that have the two maxima (of equal ones the first);
        `per_label`, with both sides' label rates.
    """
    earlier = {row["label"]: row for row in before["distributions"]["labels"]}
    rows = [_of_label(earlier[row["label"]], row) for row in now["distributions"]["labels"]]
    most = {f"{name}_max": _most(rows, name) for name in PER_LABEL}
    sides = before["distributions"], now["distributions"]
    divergences = [row["drift_probabilities"] for row in rows if row["drift_probabilities"] is not None]
    overall = {
        **{name: None if row is None else row[name.removesuffix("_max")] for name, row in most.items()},
        "drift_probabilities_mean": math.fsum(divergences) / len(divergences) if divergences else None,
        "drift_formats": _divergence_of_counts(*(side["formats"] for side in sides)),
        "drift_sizes": _divergence_of_counts(*(side["sizes"] for side in sides)),
        "drift_rejected_fraction": _distance(rejected_fraction(before["counts"]), rejected_fraction(now["counts"])),
    }
    return {
        "overall": {name: overall[name] for name in OVERALL},
        "most": {name: row and row["label"] for name, row in most.items()},
        "per_label": rows,
    }


def divergence(first: Sequence[int], second: Sequence[int]) -> float | None:
    """Returns the Jensen–Shannon divergence of two histograms, in bits, 0…1; None if one is empty.

    J. Lin: Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37 (1991). It is
    the square of `scipy.spatial.distance.jensenshannon` with base 2.

    >>> divergence([8, 0], [0, 2]), divergence([1, 1], [2, 2]), divergence([1, 1], [0, 0])
    (1.0, 0.0, None)
    """
    sums = sum(first), sum(second)
    if not all(sums):
        return None
    shares = [(one / sums[0], other / sums[1]) for one, other in zip(first, second, strict=True)]
    terms = [share * math.log2(2 * share / (one + other)) for one, other in shares for share in (one, other) if share]
    return min(1.0, max(0.0, round(math.fsum(terms) / 2, DIGITS)))


def rejected_fraction(counts: Mapping[str, int]) -> float:
    """Returns the share of the records read that was rejected, 0…1; 0 if none was read.

    >>> rejected_fraction({"records": 8, "rejected": 2})
    0.25
    """
    return counts["rejected"] / counts["records"] if counts["records"] else 0.0


def _of_label(before: Mapping[str, Any], now: Mapping[str, Any]) -> Row:
    return {
        "label": now["label"],
        "baseline_rate": before["label_rate"],
        "label_rate": now["label_rate"],
        "drift_label_rate": _distance(before["label_rate"], now["label_rate"]),
        "drift_probabilities": divergence(before["histogram"], now["histogram"]),
    }


def _distance(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None else round(abs(now - before), DIGITS)


def _divergence_of_counts(before: Mapping[str, int], now: Mapping[str, int]) -> float | None:
    names = sorted({*before, *now})
    return divergence([before.get(name, 0) for name in names], [now.get(name, 0) for name in names])


def _most(rows: Sequence[Row], name: str) -> Row | None:
    return max((row for row in rows if row[name] is not None), key=lambda row: row[name], default=None)
