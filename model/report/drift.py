"""Prepares what the report shows of drift: the labels that moved most, in a table and as points of a plot."""

from collections.abc import Mapping, Sequence
from typing import Any

MOST_ROWS, MOST_POINTS = 200, 20
"""Labels in the table, and in the plot."""

RANKED = ("drift_label_rate", "drift_probabilities")


def drift_content(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns `overall` and `most` as they are, the number of `labels`, and their `rows`; None without a baseline.

    What moved most comes first: by the change of the rate, then by the divergence of the probabilities.
    """
    drift = metrics.get("drift")
    if not drift:
        return None
    rows = sorted(drift["per_label"], key=lambda row: [-(row[name] or 0) for name in RANKED])
    return {
        "overall": drift["overall"],
        "most": drift["most"],
        "labels": len(rows),
        "rows": [row | {"change": _change(row)} for row in rows[:MOST_ROWS]],
    }


def drift_points(content: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Returns the rows of the table that both sides have records for, for the plot."""
    rows: Sequence[Mapping[str, Any]] = content["rows"] if content else []
    known = [row for row in rows if row["change"] is not None]
    return [
        {"row": place, "label": row["label"], "before": row["baseline_rate"], "now": row["label_rate"]}
        | {"change": row["change"]}
        for place, row in enumerate(known[:MOST_POINTS])
    ]


def _change(row: Mapping[str, Any]) -> float | None:
    before, now = row["baseline_rate"], row["label_rate"]
    return None if before is None or now is None else now - before
