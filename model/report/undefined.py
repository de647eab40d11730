"""Tells which rates are 0/0: they count 0 in averages, as in scikit-learn, and are shown as undefined."""

from collections.abc import Mapping
from typing import Any

DENOMINATORS = {
    "precision": ("tp", "fp"),
    "recall": ("tp", "fn"),
    "average_precision": ("tp", "fn"),
    "f1": ("tp", "fp", "fn"),
    "jaccard": ("tp", "fp", "fn"),
    "specificity": ("tn", "fp"),
    "npv": ("tn", "fn"),
}
"""Rate → the counts that it is a share of, together."""

MARGINS = ("precision", "recall", "specificity", "npv")
"""Of a correlation each of their denominators is a factor."""

Row = dict[str, Any]


def with_undefined(row: Mapping[str, Any]) -> Row:
    """Returns an entry of `per_label`, flat or not, with None for each rate that is 0/0.

    >>> with_undefined({"tp": 0, "fp": 0, "fn": 3, "tn": 9, "precision": 0.0, "recall": 0.0, "mcc": 0.0})
    {'tp': 0, 'fp': 0, 'fn': 3, 'tn': 9, 'precision': None, 'recall': 0.0, 'mcc': None}
    """
    undefined = {name for name, counts in DENOMINATORS.items() if not sum(row.get(count) or 0 for count in counts)}
    if undefined & {*MARGINS}:
        undefined.add("mcc")
    return {name: None if name in undefined else value for name, value in row.items()}


def overall_with_undefined(metrics: Mapping[str, Any]) -> Row:
    """Returns the metrics of all labels with None for each micro average that is 0/0."""
    totals = {name: sum(row[name] for row in metrics["per_label"]) for name in ("tp", "fp", "fn", "tn")}
    micro = with_undefined(totals | dict.fromkeys(DENOMINATORS, 0.0))
    undefined = {f"{name}_micro" for name in DENOMINATORS if micro[name] is None}
    return {name: None if name in undefined else value for name, value in metrics["overall"].items()}
