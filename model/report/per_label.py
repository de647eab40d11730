"""Writes `per_label.csv`: the metrics of each label as a table that spreadsheets and data frames read."""

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

FORMULA = re.compile(r"[\s\0]*[=+\-@＝＋－＠']|[\t\r\n\0]")
"""Matches the start of text that a spreadsheet may take for a formula, or that starts with an apostrophe anyway."""


def per_label_csv(metrics: Mapping[str, Any]) -> str:
    """Returns one line a label, in the model's order, under a line of names (RFC 4180).

    Numbers are printed as in `metrics.json`, so that both are read as the same float; an empty cell is null. Labels
    are written as `text_cell` has them.

    Args:
        metrics: the content of `metrics.json`.
    """
    rows = [
        {name: text_cell(value) if isinstance(value, str) else value for name, value in flatten(row).items()}
        for row in metrics["per_label"]
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def text_cell(text: str) -> str:
    """Returns a text as a spreadsheet takes it for text: with an apostrophe before what it may take for a formula.

    Text that starts with an apostrophe gets one, too: who takes away one apostrophe, where there is one, has the text.

    >>> text_cell("cat"), text_cell("=HYPERLINK(A1)"), text_cell("'s-Hertogenbosch")
    ('cat', "'=HYPERLINK(A1)", "''s-Hertogenbosch")
    """
    return f"'{text}" if FORMULA.match(text) else text


def flatten(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an entry of `per_label` without nesting: scalars as they are, then ranges as two columns each.

    `roc_auc_bounds` becomes `roc_auc_bounds_low` and `…_high`; `intervals.f1` becomes `f1_interval_low` and `…_high`;
    `suggested.threshold` becomes `suggested_threshold`.
    """
    scalars = {name: value for name, value in row.items() if not _is_nested(name)}
    ranges: dict[str, Any] = {}
    for name in row:
        if name.endswith("_bounds"):
            ranges |= _range(name, row[name])
    for name, interval in (row.get("intervals") or {}).items():
        ranges |= _range(f"{name}_interval", interval)
    return scalars | ranges | {f"suggested_{name}": value for name, value in (row.get("suggested") or {}).items()}


def _is_nested(name: str) -> bool:
    return name in ("intervals", "suggested") or name.endswith("_bounds")


def _range(name: str, value: Any) -> dict[str, Any]:
    low, high = value or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}
