"""Finds what to look at first in a run: what other thresholds would give, and the labels that ask for attention."""

from collections.abc import Mapping, Sequence
from typing import Any

from bulklabel.model.report.numbers import format_number
from bulklabel.model.report.undefined import overall_with_undefined

MOST_NAMED = 8
"""Labels that are named of each kind."""

LEAST_GAIN = 0.005
"""Of F1: what would gain less is not worth a word."""


def findings(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the report says first about labels and thresholds.

    `suggested` holds of micro and macro F1 what they are and what the suggested thresholds would give, or is None
    where they would give no more; `gains` the labels whose F1 would gain most; `never` those that are never predicted,
    the ones with the largest support first; `others` how many of the latter are not named.
    """
    rows = metrics["per_label"]
    predicted = {row["label"]: row["predicted"] for row in metrics["distributions"]["labels"]}
    with_truth = metrics["counts"]["with_truth"] > 0
    never = [row for row in rows if not predicted[row["label"]] and (row["support"] or not with_truth)]
    never.sort(key=lambda row: -row["support"])
    return {
        "suggested": _suggested(metrics) if with_truth else None,
        "gains": _gains(rows) if with_truth else [],
        "never": [{"label": row["label"], "support": row["support"]} for row in never[:MOST_NAMED]],
        "others": max(0, len(never) - MOST_NAMED),
    }


def prediction_figures(metrics: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Returns by title what was predicted of all scored records: a number, and what it means; empty without records."""
    scored, distributions = metrics["counts"]["scored"], metrics["distributions"]
    if not scored:
        return {}
    rows, sizes = distributions["labels"], distributions["labels_per_record"]["predicted"]
    given = sum(row["predicted"] for row in rows)
    near = sum(row["near_threshold"] for row in rows)
    most = max(rows, key=lambda row: row["predicted"])
    return {
        "Labels per image": (f"{given / scored:.2f}", "Mean number of predicted labels."),
        "Without a label": (_share(sizes[0], scored), f"{format_number(sizes[0])} images with no predicted label."),
        "Near the threshold": (
            _share(near, scored * len(rows)),
            "Share of answers whose probability is within 0.1 of the label's threshold.",
        ),
        "Labels in use": (
            format_number(sum(row["predicted"] > 0 for row in rows)),
            f"Of {format_number(len(rows))}; most often {most['label']}, in {_share(most['predicted'], scored)}.",
        ),
    }


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def title_of(metrics: Mapping[str, Any], output: str) -> str:
    """Returns a run's title, which tells it from others in a browser's tabs.

    >>> counts = {"scored": 8000, "with_truth": 0}
    >>> title_of({"counts": counts, "per_label": [], "overall": {}}, "scores/ds=2026-11-27")
    'scores/ds=2026-11-27: 8,000 images without truth'
    """
    counts = metrics["counts"]
    if not counts["with_truth"]:
        return f"{output}: {format_number(counts['scored'])} images without truth"
    return f"{output}: micro F1 {format_number(overall_with_undefined(metrics)['f1_micro'])}"


def _suggested(metrics: Mapping[str, Any]) -> dict[str, dict[str, float]] | None:
    after = metrics["thresholds"].get("suggested") or {}
    rows = {}
    for name in ("f1_macro", "f1_micro"):
        before, then = metrics["overall"].get(name), after.get(name)
        if before is None or then is None:
            return None
        rows[name] = {"before": before, "after": then}
    return rows if any(row["after"] - row["before"] > LEAST_GAIN for row in rows.values()) else None


def _gains(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    gains = [
        {
            "label": row["label"],
            "before": row["f1"],
            "after": row["suggested"]["f1"],
            "threshold": row["suggested"]["threshold"],
        }
        for row in rows
        if row["suggested"] and row["f1"] is not None and row["suggested"]["f1"] - row["f1"] > LEAST_GAIN
    ]
    gains.sort(key=lambda row: row["before"] - row["after"])
    return gains[:MOST_NAMED]
