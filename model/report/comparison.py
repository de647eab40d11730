"""Makes the page of two runs side by side: what changed in every metric, in the labels and in the records."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bulklabel.model.comparison.flips import Flips
from bulklabel.model.report.gallery import Thumbnail, data_url
from bulklabel.model.report.numbers import format_change_range
from bulklabel.model.report.page import render_page
from bulklabel.model.report.page_data import MAX_LABELS
from bulklabel.model.report.plots.change_plots import change_plots
from bulklabel.model.report.plots.run_plots import CONFIG
from bulklabel.model.report.words import AVERAGED, AVERAGES, HEADLINES, LOWER_IS_BETTER, SINGLE, Column

SCRIPTS = ("tables.js", "drawing.js", "changes.js")

MOST_DRAWN = 40
"""Labels whose change is drawn: those that changed most."""

FLIPPED_LABELS = 12
"""Labels whose flips are shown: those that flipped most."""

FLIP_WORDS = {"became_wrong": "became wrong", "became_right": "became right", "flipped": "flipped, truth unknown"}

NO_PICTURES: Mapping[str, str] = {}

VIEWS = {"q": "Quality", "c": "Flips", "p": "Probabilities", "t": "Thresholds"}

COLUMNS = (
    Column("support", "records", "all", "records that have the label"),
    Column("flips", "flips", "all", "records predicted to have the label in one run only"),
    Column("f1_before", "F1 before", "q", "precision and recall as one number, in the earlier run"),
    Column("f1_after", "F1 after", "q", "the same in the later run"),
    Column("f1", "change", "q", "change of F1"),
    Column("f1_interval", "95 % interval", "q", "of the change of F1"),
    Column("precision", "Δ precision", "q", "change of precision"),
    Column("recall", "Δ recall", "q", "change of recall"),
    Column("became_present", "newly predicted", "c", "records predicted to have the label after, but not before"),
    Column("became_absent", "no longer predicted", "c", "records predicted to have the label before, but not after"),
    Column("became_right", "became right", "c", "flips from a wrong answer to the right one"),
    Column("became_wrong", "became wrong", "c", "flips from the right answer to a wrong one"),
    Column("mean_change", "mean change", "c", "mean absolute change of the probability"),
    Column("average_precision", "Δ avg. precision", "p", "change of average precision"),
    Column("roc_auc", "Δ ROC AUC", "p", "change of ROC AUC"),
    Column("log_loss", "Δ log loss", "p", "change of the log loss; lower is better"),
    Column("brier", "Δ Brier", "p", "change of the Brier score; lower is better"),
    Column("ece", "Δ calibration error", "p", "change of the expected calibration error; lower is better"),
    Column("threshold_before", "threshold before", "t", "predicted at this probability or more, in the earlier run"),
    Column("threshold_after", "threshold after", "t", "predicted at this probability or more, in the later run"),
)


def render_comparison(content: Mapping[str, Any], pictures: Mapping[str, str] = NO_PICTURES) -> str:
    """Returns the page for a `comparison.json`'s content. It loads nothing; every name in it is escaped.

    Args:
        content: of `comparison.json`.
        pictures: the addresses of records' pictures by their ids, as `flip_pictures` has them.
    """
    rows = [_flat(row) for row in most_flipped(content["per_label"])[:MAX_LABELS]]
    points = [_point(row) for row in rows if row["f1"] is not None]
    changed = sorted(points, key=lambda point: -abs(point["change"]))[:MOST_DRAWN]
    drawn = sorted((point for point in changed if point["change"]), key=lambda point: -point["change"])
    data = {
        "labels": [row["label"] for row in rows],
        "columns": {column.key: [row.get(column.key) for row in rows] for column in COLUMNS},
        "points": {"changes": [point | {"row": row} for row, point in enumerate(drawn)], "sides": points},
        "plots": change_plots(points),
        "config": CONFIG,
    }
    return render_page(
        "comparison.html",
        SCRIPTS,
        data,
        bool(points),
        **content,
        rows=rows,
        columns=[column for column in COLUMNS if any(row.get(column.key) is not None for row in rows)],
        views=VIEWS,
        flips=sum(map(_flips_of, content["per_label"])),
        headlines=headlines(content["overall"]),
        titles=_titles(content["overall"]),
        verdict=verdict,
        origins=_origins(content["runs"]),
        flipped=_flipped(content),
        pictures=pictures,
        verdicts={"became_wrong": "worse", "became_right": "better", "flipped": ""},
    )


def flip_pictures(flips: Flips, thumbnails: Iterable[Thumbnail]) -> dict[str, str]:
    """Returns by the ids of flipped records the addresses of their pictures, as far as there are thumbnails."""
    made = {(source, position): content for source, position, content in thumbnails}
    rows = flips.table.select(["id", "source", "position"]).to_pylist()
    places = {row["id"]: (row["source"], row["position"]) for row in rows}
    return {record_id: data_url(made[place]) for record_id, place in places.items() if place in made}


def _flipped(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the labels that flipped most, each with its clearest flips by kind."""
    shown = []
    for row in most_flipped(content["per_label"])[:FLIPPED_LABELS]:
        flips = [flip for flip in content["flipped_records"] if flip["label"] == row["label"]]
        kinds = [
            {"words": words, "kind": kind, "flips": [flip for flip in flips if flip["kind"] == kind]}
            for kind, words in FLIP_WORDS.items()
        ]
        kinds = [kind for kind in kinds if kind["flips"]]
        if kinds:
            shown.append({**row, "count": _flips_of(row), "kinds": kinds})
    return shown


def verdict(change: Mapping[str, Any], metric: str) -> str:
    """Says whether a metric got `better` or `worse`; empty where its change's interval includes 0, or there is none."""
    if change["interval"] is None or change["interval"][0] <= 0 <= change["interval"][1]:
        return ""
    return "better" if (change["change"] < 0) == (metric in LOWER_IS_BETTER) else "worse"


def headlines(overall: Mapping[str, Any]) -> dict[str, str]:
    """Returns the titles of the metrics that matter most, of those that there are."""
    return {name: title for name, (title, _) in HEADLINES.items() if name in overall}


def most_flipped(per_label: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the labels by flips, most first; equal ones in the order they come in."""
    return sorted(per_label, key=_flips_of, reverse=True)


def _flips_of(row: Mapping[str, Any]) -> int:
    return int(row["flips"]["became_present"] + row["flips"]["became_absent"])


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an entry of `per_label` with a number for each column, and `metrics` for what else is shown."""
    f1, thresholds = row["metrics"]["f1"], row["thresholds"]
    return {
        **{name: row[name] for name in ("label", "support", "mean_change", "metrics")},
        **{name: change["change"] for name, change in row["metrics"].items()},
        **row["flips"],
        "flips": _flips_of(row),
        "f1_before": f1["before"],
        "f1_after": f1["after"],
        "f1_interval": f1["interval"] and f1["interval"][0],
        "threshold_before": thresholds["before"],
        "threshold_after": thresholds["after"],
    }


def _point(row: Mapping[str, Any]) -> dict[str, Any]:
    f1 = row["metrics"]["f1"]
    low, high = f1["interval"] or (f1["change"], f1["change"])
    return {
        **{name: f1[name] for name in ("before", "after", "change")},
        "label": row["label"],
        "records": row["support"],
        "low": low,
        "high": high,
        "interval": format_change_range(f1["interval"]),
        "verdict": verdict(f1, "f1") or "no clear change",
    }


def _origins(runs: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Any, Any]]:
    """Returns what is known of where either run came from, by name; "–" where the other has no such thing."""
    before, after = runs["before"], runs["after"]
    return [(name, before.get(name, "–"), after.get(name, "–")) for name in dict.fromkeys([*before, *after])]


def _titles(overall: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Returns by table the metrics in it with their titles: averages over labels, and all others."""
    averaged = {f"{name}_{average}": f"{title}, {average}" for name, title in AVERAGED.items() for average in AVERAGES}
    single = {name: SINGLE[name][0] if name in SINGLE else name.replace("_", " ") for name in overall}
    return {
        "averages": {name: title for name, title in averaged.items() if name in overall},
        "singles": {name: title for name, title in single.items() if name not in averaged},
    }
