"""Prepares what the page's script is given: columns to sort by, points to draw, examples to show."""

from collections.abc import Mapping, Sequence
from typing import Any

from bulklabel.model.report.drift import drift_content, drift_points
from bulklabel.model.report.numbers import format_range
from bulklabel.model.report.per_label import flatten
from bulklabel.model.report.plots import CONFIG, plots
from bulklabel.model.report.words import AVERAGED, AVERAGES, COLUMNS, SINGLE, Column

MAX_LABELS = 1000
"""Labels that the page shows; `metrics.json` and `per_label.csv` have all."""

OTHER, MISSING, EMPTY = "other values", "no value", "empty text"


def shown_labels(metrics: Mapping[str, Any]) -> list[int]:
    """Returns the indices of the `MAX_LABELS` labels with the largest support, in the model's order."""
    rows = metrics["per_label"]
    by_support = sorted(range(len(rows)), key=lambda index: -rows[index]["support"])
    return sorted(by_support[:MAX_LABELS])


def shown_columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Returns the columns that hold anything; coverage only where the truth of something is unknown."""
    unknown = any(row.get("unknown") for row in rows)
    held = [column for column in COLUMNS if any(row.get(column.key) is not None for row in rows)]
    return [column for column in held if unknown or column.key != "coverage"]


def single_metrics(metrics: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Returns title and meaning of the overall metrics that are no averages; those without words come last."""
    averages = {f"{name}_{average}" for name in AVERAGED for average in AVERAGES}
    names = [name for name in metrics["overall"] if name not in averages and not name.endswith("_bounds")]
    titled = {name: words for name, words in SINGLE.items() if name in names}
    return titled | {name: (name.replace("_", " "), "") for name in names if name not in titled}


def slice_tables(metrics: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Returns each column's values, those with the most records first.

    A value has `value`, `named`, `counts`, `overall` and `intervals`.

    A column without any value is left out: no record was scored.
    """
    return {
        column: [
            {
                "value": OTHER if entry["other"] else MISSING if entry["value"] is None else entry["value"] or EMPTY,
                "named": bool(entry["value"]),
                "counts": entry["counts"],
                "overall": entry["overall"],
                "intervals": entry.get("intervals") or {},
            }
            for entry in sorted(entries, key=lambda entry: (entry["other"], -entry["counts"]["records"]))
        ]
        for column, entries in (metrics.get("slices") or {}).items()
        if entries
    }


def page_data(metrics: Mapping[str, Any], drawings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a JSON-able dictionary for the script; what `drawings` lacks is None or empty."""
    shown = shown_labels(metrics)
    rows = [flatten(metrics["per_label"][index]) for index in shown]
    names = [row["label"] for row in metrics["per_label"]]
    place = {index: position for position, index in enumerate(shown)}
    return {
        "labels": [row["label"] for row in rows],
        "columns": {column.key: [row.get(column.key) for row in rows] for column in COLUMNS},
        "known": [row.get("known", 0) for row in rows],
        "cuts": _of_shown(drawings.get("cuts"), shown),
        "reliability": _of_shown(drawings.get("reliability"), shown),
        "all": _all_answers(metrics, drawings),
        "pairs": _pairs(drawings.get("pairs"), names, metrics["per_label"]),
        "slices": {column: _slice_points(entries) for column, entries in slice_tables(metrics).items()},
        "f1": metrics["overall"].get("f1_micro"),
        "drift": drift_points(drift_content(metrics)),
        **_gallery(drawings, place),
        "plots": plots(),
        "config": CONFIG,
    }


def confused_labels(metrics: Mapping[str, Any], drawings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the labels predicted where another was true.

    Each has `truth`, `predicted`, `records` and their `share` of the support.
    """
    rows = metrics["per_label"]
    return [
        {
            "truth": rows[i]["label"],
            "predicted": rows[j]["label"],
            "records": records,
            "share": records / rows[i]["support"] if rows[i]["support"] else None,
        }
        for i, j, records in (drawings.get("pairs") or {}).get("top_confused", [])
    ]


def _gallery(drawings: Mapping[str, Any], place: Mapping[int, int]) -> dict[str, list[Any]]:
    """Returns the examples of labels that are shown, by their place on the page, and the thumbnails of these alone."""
    examples = [example for example in drawings.get("examples") or [] if example["label"] in place]
    used = sorted({example["thumbnail"] for example in examples} - {None})
    number = {thumbnail: index for index, thumbnail in enumerate(used)}
    return {
        "examples": [
            example | {"label": place[example["label"]], "thumbnail": number.get(example["thumbnail"])}
            for example in examples
        ],
        "thumbnails": [drawings["thumbnails"][thumbnail] for thumbnail in used],
    }


def _of_shown(values: Sequence[Any] | None, shown: Sequence[int]) -> list[Any] | None:
    return None if not values else [values[index] for index in shown]


def _all_answers(metrics: Mapping[str, Any], drawings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "cuts": drawings.get("all_cuts") or None,
        "reliability": drawings.get("all_reliability") or None,
        "support": sum(row["support"] for row in metrics["per_label"]),
        "known": sum(row.get("known", 0) for row in metrics["per_label"]),
        **{name: sum(row[name] for row in metrics["per_label"]) for name in ("tp", "fp", "fn", "tn")},
    }


def _pairs(
    pairs: Mapping[str, Any] | None, names: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Returns matrices of co-occurrence with the names of their rows, and with what each row is a share of."""
    if not pairs or not pairs["labels"]:
        return None
    wholes = {
        "truth": [pairs["truth"][i][i] for i in range(len(pairs["labels"]))],
        "predicted": [pairs["predicted"][i][i] for i in range(len(pairs["labels"]))],
        "confused": [rows[index]["support"] for index in pairs["labels"]],
    }
    kinds = {kind: {"counts": pairs[kind], "wholes": wholes[kind]} for kind in wholes}
    held = {kind: matrix for kind, matrix in kinds.items() if any(map(any, matrix["counts"]))}
    return {"names": [names[index] for index in pairs["labels"]], "kinds": held} if held else None


def _slice_points(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    points = []
    for row, entry in enumerate(entries):
        f1, interval = entry["overall"]["f1_micro"], entry["intervals"].get("f1_micro")
        low, high = interval or (f1, f1)
        point = {"row": row, "value": entry["value"], "records": entry["counts"]["records"], "f1": f1}
        points.append(point | {"low": low, "high": high, "interval": format_range(interval)})
    return points
