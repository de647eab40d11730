"""Makes the page of a training: what each epoch came to, and how true the probabilities are."""

from collections.abc import Mapping, Sequence
from typing import Any

from bulklabel.model.report.page import render_page
from bulklabel.model.report.plots.run_plots import CONFIG, DIAGONAL, INVISIBLE, Spec, layered, share, tooltip

SCRIPTS = ("tables.js", "drawing.js", "changes.js")

COLOURS = ("var(--blue)", "var(--orange)")


def render_training(content: Mapping[str, Any]) -> str:
    """Returns the page of a training. It loads nothing; every name in it is escaped.

    Args:
        content: `epochs` (of each `epoch`, `loss`, and of validation samples `validation_loss`, `f1_micro` and
            `label_accuracy`), `best`, `reliability` (points by `before` and `after`, or empty), `errors` (of
            calibration, by the same), and `origin`, names and values.
    """
    epochs: Sequence[Mapping[str, Any]] = content["epochs"]
    sides = content["reliability"]
    points = {
        "losses": _series(epochs, {"loss": "training", "validation_loss": "validation"}),
        "metrics": _series(epochs, {"f1_micro": "F1, micro", "label_accuracy": "label accuracy"}),
        "reliability": [{"kind": side, **point} for side, rows in sides.items() for point in rows],
    }
    data = {
        "points": points,
        "plots": {
            "losses": _curves("loss", ["training", "validation"], False),
            "metrics": _curves("at a threshold of 0.5", ["F1, micro", "label accuracy"], True),
            "reliability": _reliability(),
        },
        "config": CONFIG,
    }
    return render_page("training.html", SCRIPTS, data, True, **content)


def _series(epochs: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"epoch": epoch["epoch"], "kind": title, "value": epoch[name]}
        for name, title in names.items()
        for epoch in epochs
        if name in epoch
    ]


def _kinds(names: Sequence[str]) -> Spec:
    return {"field": "kind", "type": "nominal", "scale": {"domain": list(names), "range": list(COLOURS)}}


def _curves(title: str, names: Sequence[str], shares: bool) -> Spec:
    """Specifies a line for each name over the epochs."""
    y: Spec = share("value", title) if shares else {"field": "value", "type": "quantitative", "title": title}
    x = {"field": "epoch", "type": "quantitative", "axis": {"format": "d", "tickMinStep": 1}, "scale": {"nice": False}}
    encoding = {"x": x, "y": y}
    shown = [{"field": "kind", "type": "nominal", "title": "of"}, {"field": "epoch", "type": "quantitative"}]
    shown.append({"field": "value", "type": "quantitative", "format": ".4f"})
    return layered(
        [
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": encoding | {"stroke": _kinds(names)}},
            {"mark": INVISIBLE, "encoding": encoding | {"tooltip": shown}},
        ]
    )


def _reliability() -> Spec:
    encoding = {"x": share("probability", "mean predicted probability"), "y": share("frequency", "observed frequency")}
    colour = _kinds(["before", "after"])
    shown = tooltip("kind", "probability", "frequency", "records")
    return layered(
        [
            DIAGONAL,
            {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": encoding | {"stroke": colour}},
            {
                "mark": {"type": "point", "filled": True, "opacity": 0.9, "size": 60},
                "encoding": encoding | {"fill": colour | {"legend": None}, "tooltip": shown},
            },
        ]
    )
