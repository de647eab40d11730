"""The page of a comparison: one self-contained HTML file made of the content of `comparison.json`."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from model.report import format_number

HEADLINES = ("f1_micro", "f1_macro", "precision_micro", "recall_micro", "subset_accuracy", "hamming_loss")

LOSSES = ("hamming_loss", "log_loss", "binary_crossentropy", "label_ranking_loss")
LOWER_IS_BETTER = frozenset((*LOSSES, "brier", "ece", "coverage_error", "one_error"))

LABEL_METRICS = ("f1", "precision", "recall", "accuracy")
"""Those of a label's metrics that the page's table shows; `comparison.json` has all."""


def render_comparison(content: Mapping[str, Any]) -> str:
    """The page for a `comparison.json`'s content. It loads nothing; every name in it is escaped."""
    environment = Environment(
        loader=PackageLoader("model", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"number": format_number, "change": format_change, "verdict": verdict}
    return environment.get_template("comparison.html").render(
        content, headlines=HEADLINES, label_metrics=LABEL_METRICS, most_flipped=most_flipped(content["per_label"])
    )


def format_change(value: float | int | None) -> str:
    """A change with its sign, 0 for none, and a dash for what is undefined."""
    if not value:
        return "–" if value is None else "0"
    return f"{value:+,}" if isinstance(value, int) else f"{value:+.4f}"


def verdict(change: float | None, metric: str) -> str:
    """Whether a metric's change is `better` or `worse`; empty where there is none."""
    if not change:
        return ""
    return "better" if (change < 0) == (metric in LOWER_IS_BETTER) else "worse"


def flips_of(row: Mapping[str, Any]) -> int:
    """How many records' answers flipped, of an entry of `per_label`."""
    return int(row["flips"]["became_present"] + row["flips"]["became_absent"])


def most_flipped(per_label: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The labels by flips, most first; equal ones in the order they come in."""
    return sorted(per_label, key=flips_of, reverse=True)
