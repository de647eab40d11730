"""Prepares what the page's script is given: columns to sort by, points to draw, examples to show."""

from collections.abc import Mapping, Sequence
from typing import Any

from bulklabel.model.report.drift import drift_content, drift_points
from bulklabel.model.report.numbers import format_range
from bulklabel.model.report.per_label import flatten
from bulklabel.model.report.plots.run_plots import CONFIG, plots
from bulklabel.model.report.undefined import with_undefined
from bulklabel.model.report.words import AVERAGED, AVERAGES, COLUMNS, SINGLE, Column

MAX_LABELS = 1000
"""Labels that the page shows; `metrics.json` and `per_label.csv` have all."""

WITHOUT_TRUTH = ("predicted", "label_rate", "near_threshold", "threshold")
"""Columns of a run of which nothing is known."""

PAIRS = {"confused": "Confused", "truth": "Co-occurrence in truth", "predicted": "Co-occurrence in predictions"}
"""Kind of a table of pairs → its title, in the order in which they are offered."""

OTHER, MISSING, EMPTY = "other values", "no value", "empty text"


def shown_labels(metrics: Mapping[str, Any]) -> list[int]:
    """Returns the indices of the `MAX_LABELS` labels with the largest support or, where equal, predicted most.

    They are in the model's order.
    """
    rows, predicted = metrics["per_label"], metrics["distributions"]["labels"]
    ranked = sorted(range(len(rows)), key=lambda index: (-rows[index]["support"], -predicted[index]["predicted"]))
    return sorted(ranked[:MAX_LABELS])


def label_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the flattened rows of the labels that are shown, with what was predicted; None for 0/0 as well."""
    predicted = metrics["distributions"]["labels"]
    rows = []
    for index in shown_labels(metrics):
        low, high = predicted[index]["label_rate_interval"] or (None, None)
        about = {name: predicted[index][name] for name in ("predicted", "label_rate", "near_threshold")}
        about |= {"label_rate_interval_low": low, "label_rate_interval_high": high}
        rows.append(with_undefined(flatten(metrics["per_label"][index])) | about)
    return rows


def shown_order(rows: Sequence[Mapping[str, Any]], with_truth: bool) -> list[int]:
    """Returns the places of rows as the table lists them at first: the worst first, or those predicted most."""
    if not with_truth:
        return sorted(range(len(rows)), key=lambda place: -rows[place]["predicted"])
    return sorted(range(len(rows)), key=lambda place: (not rows[place]["support"], rows[place]["f1"] or 0.0))


def shown_columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Returns the columns that hold anything; coverage only where some truth is unknown, and some is not."""
    unknown, known = any(row.get("unknown") for row in rows), any(row.get("known") for row in rows)
    if not known:
        return [column for column in COLUMNS if column.key in WITHOUT_TRUTH]
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
    shown, rows = shown_labels(metrics), label_rows(metrics)
    place = {index: position for position, index in enumerate(shown)}
    return {
        "labels": [row["label"] for row in rows],
        "columns": {column.key: [row.get(column.key) for row in rows] for column in COLUMNS},
        "known": [row.get("known", 0) for row in rows],
        "with_truth": metrics["counts"]["with_truth"],
        "cuts": _of_shown(drawings.get("cuts"), shown),
        "reliability": _of_shown(drawings.get("reliability"), shown),
        "all": _all_answers(metrics, drawings),
        "pairs": _pairs(drawings.get("pairs"), place, metrics),
        "histograms": [] if metrics["counts"]["with_truth"] else _histograms(metrics, shown),
        "sizes": metrics["distributions"]["labels_per_record"],
        "scored": metrics["counts"]["scored"],
        "slices": {column: _slice_points(entries) for column, entries in slice_tables(metrics).items()},
        "f1": metrics["overall"].get("f1_micro"),
        "drift": drift_points(drift_content(metrics)),
        **_gallery(drawings, place),
        "plots": plots(),
        "config": CONFIG,
    }


def top_pairs(metrics: Mapping[str, Any], drawings: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Returns the pairs of labels that occur most: confused ones, and those predicted together.

    Each has `one` and `other`, their `places` on the page (None if they are not shown), `records`, and their `share` of
    the records with the first label.
    """
    rows, predicted = metrics["per_label"], metrics["distributions"]["labels"]
    place = {index: position for position, index in enumerate(shown_labels(metrics))}
    pairs = drawings.get("pairs") or {}
    wholes = {"confused": [row["support"] for row in rows], "predicted": [row["predicted"] for row in predicted]}
    return {
        kind: [
            {
                "one": rows[i]["label"],
                "other": rows[j]["label"],
                "places": (place.get(i), place.get(j)),
                "records": records,
                "share": records / whole[i] if whole[i] else None,
            }
            for i, j, records in pairs.get(f"top_{kind}", [])
        ]
        for kind, whole in wholes.items()
    }


def _gallery(drawings: Mapping[str, Any], place: Mapping[int, int]) -> dict[str, list[Any]]:
    """Returns the examples of labels that are shown, by their place on the page, with their records and thumbnails."""
    examples = [example for example in drawings.get("examples") or [] if example["label"] in place]
    records = drawings.get("records") or []
    used = sorted({example["record"] for example in examples})
    number = {record: index for index, record in enumerate(used)}
    pictures = sorted({records[record]["thumbnail"] for record in used} - {None})
    picture = {thumbnail: index for index, thumbnail in enumerate(pictures)}
    return {
        "examples": [
            example | {"label": place[example["label"]], "record": number[example["record"]]} for example in examples
        ],
        "records": [
            records[record]
            | {
                "thumbnail": picture.get(records[record]["thumbnail"]),
                "answers": [[place[label], *rest] for label, *rest in records[record]["answers"] if label in place],
            }
            for record in used
        ],
        "thumbnails": [drawings["thumbnails"][thumbnail] for thumbnail in pictures],
    }


def _of_shown(values: Sequence[Any] | None, shown: Sequence[int]) -> list[Any] | None:
    return None if not values else [values[index] for index in shown]


def _histograms(metrics: Mapping[str, Any], shown: Sequence[int]) -> list[Any]:
    """Returns those of the labels, which are drawn where there is no truth to tell them apart by."""
    return [metrics["distributions"]["labels"][index]["histogram"] for index in shown]


def _all_answers(metrics: Mapping[str, Any], drawings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "cuts": drawings.get("all_cuts") or None,
        "reliability": drawings.get("all_reliability") or None,
        "support": sum(row["support"] for row in metrics["per_label"]),
        "known": sum(row.get("known", 0) for row in metrics["per_label"]),
        **{name: sum(row[name] for row in metrics["per_label"]) for name in ("tp", "fp")},
    }


def _pairs(
    pairs: Mapping[str, Any] | None, place: Mapping[int, int], metrics: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Returns tables of pairs with the names of their labels, their places, and what each row is a share of."""
    rows, with_truth = metrics["per_label"], metrics["counts"]["with_truth"] > 0
    if not pairs or not pairs["labels"]:
        return None
    wholes = {
        "truth": [pairs["truth"][i][i] for i in range(len(pairs["labels"]))],
        "predicted": [pairs["predicted"][i][i] for i in range(len(pairs["labels"]))],
        "confused": [rows[index]["support"] for index in pairs["labels"]],
    }
    kinds = {
        kind: {"counts": pairs[kind], "wholes": wholes[kind]} for kind in PAIRS if with_truth or kind == "predicted"
    }
    held = {kind: matrix for kind, matrix in kinds.items() if any(map(any, matrix["counts"]))}
    if not held:
        return None
    return {
        "names": [rows[index]["label"] for index in pairs["labels"]],
        "places": [place.get(index) for index in pairs["labels"]],
        "kinds": held,
    }


def _slice_points(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    points = []
    for row, entry in enumerate(entries):
        f1, interval = entry["overall"]["f1_micro"], entry["intervals"].get("f1_micro")
        low, high = interval or (f1, f1)
        point = {"row": row, "value": entry["value"], "records": entry["counts"]["records"], "f1": f1}
        points.append(point | {"low": low, "high": high, "interval": format_range(interval)})
    return points
