"""The report: one self-contained HTML page made of the metrics and where they came from."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

HEADLINES = {
    "f1_micro": "F1, micro",
    "f1_macro": "F1, macro",
    "precision_micro": "Precision, micro",
    "recall_micro": "Recall, micro",
    "subset_accuracy": "Subset accuracy",
    "hamming_loss": "Hamming loss",
}

AVERAGES = ("micro", "macro", "weighted", "samples")


def render_report(metrics: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    """The page for a `metrics.json`'s content. It loads nothing; every name in it is escaped.

    Args:
        metrics: what `compute_metrics` returns.
        provenance: names and values for the page's last table.
    """
    environment = Environment(
        loader=PackageLoader("model", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = format_number
    return environment.get_template("report.html").render(
        metrics=metrics, provenance=provenance, headlines=HEADLINES, averages=AVERAGES
    )


def format_number(value: float | int | None) -> str:
    """Four decimals for a rate, thousands for a count, a dash for what is undefined."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
