"""Looks up the single numbers in the content of a `metrics.json` by name: of all records, and of each label."""

from collections.abc import Mapping
from typing import Any

from bulklabel.model.metrics.drift import PER_LABEL, rejected_fraction

Numbers = dict[str, float | None]


def overall_numbers(metrics: Mapping[str, Any]) -> Numbers:
    """Returns the metrics of all labels together, the counts, the rejected fraction, and the drift if there is any."""
    numbers: Numbers = {name: value for name, value in metrics["overall"].items() if not name.endswith("_bounds")}
    numbers |= metrics["counts"] | {"rejected_fraction": rejected_fraction(metrics["counts"])}
    return numbers | (metrics["drift"]["overall"] if "drift" in metrics else {})


def numbers_of_labels(metrics: Mapping[str, Any]) -> dict[str, Numbers]:
    """Returns for each label its counts and metrics, its rate, and its drift if there is any."""
    numbers = {row["label"]: label_numbers(row) for row in metrics["per_label"]}
    for row in metrics["distributions"]["labels"]:
        numbers[row["label"]]["label_rate"] = row["label_rate"]
    for row in metrics["drift"]["per_label"] if "drift" in metrics else ():
        numbers[row["label"]] |= {name: row[name] for name in PER_LABEL}
    return numbers


def label_numbers(row: Mapping[str, Any]) -> Numbers:
    """Returns the single numbers of an entry of `per_label`.

    >>> label_numbers({"label": "cat", "f1": 0.8, "roc_auc_bounds": [0.9, 0.91], "intervals": {}})
    {'f1': 0.8}
    """
    nested = ("label", "intervals", "suggested")
    return {name: value for name, value in row.items() if name not in nested and not name.endswith("_bounds")}


def number_of(metrics: Mapping[str, Any], metric: str, label: str | None) -> float | None:
    """Returns one metric, of a label or (if that is None) of all; None if it is undefined.

    Raises:
        KeyError: if there is none of this name.

    >>> counts = {"records": 4, "rejected": 1}
    >>> metrics = {"overall": {"f1_micro": 0.8}, "counts": counts}
    >>> number_of(metrics, "f1_micro", None), number_of(metrics, "rejected_fraction", None)
    (0.8, 0.25)
    """
    return overall_numbers(metrics)[metric] if label is None else numbers_of_labels(metrics)[label][metric]
