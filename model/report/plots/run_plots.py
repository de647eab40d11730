"""Specifies the plots in Vega-Lite, without data: the page's script fills in `points` and `marks`.

Colours are the style sheet's variables, which the browser resolves: so plots follow the theme, and print in light.
"""

from typing import Any

Spec = dict[str, Any]

CONFIG: Spec = {
    "background": None,
    "font": "system-ui, sans-serif",
    "padding": 2,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--soft)",
        "titleColor": "var(--soft)",
        "titleFontWeight": "normal",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 11,
        "titleFontSize": 12,
    },
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": "var(--ink)",
        "labelFontSize": 12,
        "symbolStrokeWidth": 2.5,
        "symbolOpacity": 1,
    },
}

MOST_NUMBERED = 14
"""Labels in a heat map whose cells have numbers."""

UNIT: Spec = {"domain": [0, 1]}
TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1]
INVISIBLE: Spec = {"type": "point", "filled": True, "size": 90, "opacity": 0}
DIAGONAL: Spec = {
    "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
    "mark": {"type": "line", "stroke": "var(--soft)", "strokeDash": [3, 3], "strokeWidth": 1},
    "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
}


def plots() -> dict[str, Spec]:
    """Returns each plot's specification by name."""
    return {
        "precision_recall": _curve("recall", "precision", "step-before", []),
        "roc": _curve("false_positive_rate", "recall", "linear", [DIAGONAL]),
        "thresholds": _thresholds(),
        "reliability": _reliability(),
        "histogram": _histogram(),
        "predicted": _predicted(),
        "probabilities": _probabilities(),
        "sizes": _sizes(),
        "pairs": _pairs(),
        "slices": _slices(),
        "drift": _drift(),
    }


def layered(layers: list[Spec], height: int = 230) -> Spec:
    """Returns a specification whose layers show `points`; height in pixels."""
    return {"width": "container", "height": height, "data": {"name": "points"}, "layer": layers}


def share(field: str, title: str | None = None) -> Spec:
    """Returns an axis from 0 to 1."""
    title = title or field.replace("_", " ")
    return {"field": field, "type": "quantitative", "scale": UNIT, "title": title, "axis": {"values": TICKS}}


def tooltip(*fields: str) -> list[Spec]:
    """Returns the fields that are shown of a mark under the pointer."""
    names = ("label", "value", "kind", "metric", "truth", "bin", "other", "interval", "verdict")
    formats = {"records": ",", "labels": "d", "change": "+.4f"}
    return [
        {"field": field, "title": field.replace("_", " ")}
        | ({"type": "nominal"} if field in names else {"type": "quantitative", "format": formats.get(field, ".4f")})
        for field in fields
    ]


def _curve(x: str, y: str, interpolate: str, below: list[Spec]) -> Spec:
    """Specifies a curve over all thresholds, a dot at the current threshold and a diamond at the suggested one."""
    encoding = {"x": share(x), "y": share(y)}
    shown = {"tooltip": tooltip("threshold", x, y)}
    line = {"type": "line", "interpolate": interpolate, "stroke": "var(--blue)", "strokeWidth": 2}
    shape = {"field": "kind", "type": "nominal", "scale": MARK_KINDS, "legend": None}
    return layered(
        [
            *below,
            {"mark": line, "encoding": encoding | {"order": {"field": "order", "type": "quantitative"}}},
            {"mark": INVISIBLE | {"fill": "var(--blue)"}, "encoding": encoding | shown},
            {
                "data": {"name": "marks"},
                "mark": {"type": "point", "filled": True, "size": 110, "fill": "var(--orange)", "opacity": 1}
                | {"stroke": "var(--paper)", "strokeWidth": 1.5},
                "encoding": encoding | {"shape": shape, "tooltip": tooltip("kind", "threshold", x, y)},
            },
        ]
    )


MARK_KINDS: Spec = {"domain": ["current", "suggested", "chosen"], "range": ["circle", "diamond", "triangle-up"]}
DASHES: Spec = {"domain": MARK_KINDS["domain"], "range": [[1, 0], [4, 4], [1, 3]]}


def _rules(x: Spec) -> Spec:
    """Specifies a line at each marked threshold."""
    dash = {"field": "kind", "type": "nominal", "legend": None, "scale": DASHES}
    return {
        "data": {"name": "marks"},
        "mark": {"type": "rule", "stroke": "var(--ink)", "strokeWidth": 1.5},
        "encoding": {"x": x, "strokeDash": dash, "tooltip": tooltip("kind", "threshold")},
    }


def _predicted() -> Spec:
    """Specifies the share of the records that a threshold would predict, without truth."""
    encoding = {"x": share("threshold"), "y": share("predicted", "share of images")}
    return layered(
        [
            _rules(encoding["x"]),
            {
                "mark": {"type": "line", "interpolate": "step-before", "stroke": "var(--blue)", "strokeWidth": 2},
                "encoding": encoding,
            },
            {
                "mark": INVISIBLE | {"fill": "var(--blue)"},
                "encoding": encoding | {"tooltip": tooltip("threshold", "predicted")},
            },
        ]
    )


def _probabilities() -> Spec:
    """Specifies a histogram of a label's probabilities."""
    x: Spec = {"field": "bin", "type": "ordinal", "title": "probability", "sort": None}
    x |= {"scale": {"paddingInner": 0.1}, "axis": {"labelAngle": 0, "labelOverlap": "greedy"}}
    return layered(
        [
            {
                "mark": {"type": "bar", "clip": True, "fill": "var(--blue)"},
                "encoding": {
                    "x": x,
                    "y": {"field": "records", "type": "quantitative", "title": "images"},
                    "tooltip": tooltip("bin", "records"),
                },
            }
        ]
    )


def _sizes() -> Spec:
    """Specifies how many images have so many labels, predicted and present."""
    colour = {"domain": ["predicted", "present"], "range": ["var(--blue)", "var(--orange)"]}
    x = {"field": "labels", "type": "ordinal", "title": "labels per image", "axis": {"labelAngle": 0}}
    return layered(
        [
            {
                "mark": {"type": "bar"},
                "encoding": {
                    "x": x,
                    "xOffset": {"field": "kind", "sort": colour["domain"]},
                    "y": {"field": "records", "type": "quantitative", "title": "images"},
                    "fill": {"field": "kind", "type": "nominal", "scale": colour},
                    "tooltip": tooltip("labels", "kind", "records"),
                },
            }
        ]
    )


def _thresholds() -> Spec:
    names = ["precision", "recall", "F1"]
    colour = {"domain": names, "range": ["var(--blue)", "var(--orange)", "var(--green)"]}
    dash = {"domain": names, "range": [[1, 0], [6, 3], [1, 0]]}
    encoding = {"x": share("threshold"), "y": share("rate", "")}
    series = {
        "stroke": {"field": "metric", "type": "nominal", "scale": colour},
        "strokeDash": {"field": "metric", "type": "nominal", "scale": dash, "legend": None},
    }
    return layered(
        [
            _rules(encoding["x"]),
            {"mark": {"type": "line", "interpolate": "step-before", "strokeWidth": 2}, "encoding": encoding | series},
            {
                "mark": INVISIBLE,
                "encoding": encoding | {"tooltip": tooltip("metric", "threshold", "rate")},
            },
        ]
    ) | {"resolve": {"scale": {"strokeDash": "independent"}}}


def _reliability() -> Spec:
    encoding = {"x": share("probability", "mean predicted probability"), "y": share("frequency", "observed frequency")}
    size = {"field": "records", "type": "quantitative", "legend": None, "scale": {"range": [25, 260]}}
    dots = {"type": "point", "filled": True, "fill": "var(--blue)", "opacity": 0.9}
    return layered(
        [
            DIAGONAL,
            {"mark": {"type": "line", "stroke": "var(--blue)", "strokeWidth": 1.5}, "encoding": encoding},
            {
                "mark": dots,
                "encoding": encoding | {"size": size, "tooltip": tooltip("probability", "frequency", "records")},
            },
        ]
    )


def _histogram() -> Spec:
    truth = {"domain": ["present", "absent"], "range": ["var(--blue)", "var(--orange)"]}
    return layered(
        [
            {
                "mark": {"type": "bar", "clip": True},
                "encoding": {
                    "x": {"field": "bin", "type": "ordinal", "title": "probability", "sort": None}
                    | {"scale": {"paddingInner": 0.15}, "axis": {"labelAngle": 0, "labelOverlap": "greedy"}},
                    "xOffset": {"field": "truth", "sort": truth["domain"]},
                    "y": {"field": "records", "type": "quantitative", "title": "records"},
                    "fill": {"field": "truth", "type": "nominal", "scale": truth},
                    "tooltip": tooltip("truth", "bin", "records"),
                },
            }
        ]
    )


def named_axis(field: str, title: str, limit: int) -> Spec:
    """Returns an axis of names: the data hold their numbers, since two names may read the same."""
    axis = {"labelExpr": "names[datum.value]", "labelLimit": limit, "labelOverlap": "greedy", "grid": False}
    return {"field": field, "type": "ordinal", "title": title, "sort": "ascending", "axis": axis}


def _pairs() -> Spec:
    """Specifies a heat map, whose cells have numbers where there is room for them (`numbers`)."""
    x = named_axis("column", "", 110)
    x["axis"] |= {"labelAngle": -90}
    y = named_axis("row", "", 110)
    opacity = {"field": "share", "type": "quantitative", "legend": None, "scale": {"zero": True, "range": [0.03, 1]}}
    ink = {"condition": {"test": "datum.strong", "value": "var(--paper)"}, "value": "var(--ink)"}
    text = {"field": "records", "type": "quantitative", "format": "~s"}
    shown = {"tooltip": tooltip("label", "other", "records", "share")}
    return layered(
        [
            {
                "mark": {"type": "rect", "fill": "var(--blue)", "cursor": "pointer"},
                "encoding": {"x": x, "y": y, "fillOpacity": opacity} | shown,
            },
            {
                "transform": [{"filter": f"length(names) <= {MOST_NUMBERED}"}],
                "mark": {"type": "text", "fontSize": 11, "cursor": "pointer"},
                "encoding": {"x": x, "y": y, "text": text, "fill": ink} | shown,
            },
        ]
    )


def _slices() -> Spec:
    y = named_axis("row", "", 130)
    x = {"type": "quantitative", "title": "F1", "scale": {"zero": False, "nice": True}}
    return layered(
        [
            {
                "data": {"name": "marks"},
                "mark": {"type": "rule", "stroke": "var(--orange)", "strokeWidth": 1.5, "strokeDash": [4, 3]},
                "encoding": {"x": {**x, "field": "f1"}, "tooltip": tooltip("kind", "f1")},
            },
            {
                "mark": {"type": "rule", "stroke": "var(--blue)", "strokeWidth": 2},
                "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y},
            },
            {
                "mark": {"type": "point", "filled": True, "fill": "var(--blue)", "opacity": 1, "size": 70},
                "encoding": {"x": {**x, "field": "f1"}, "y": y}
                | {"tooltip": tooltip("value", "f1", "interval", "records")},
            },
        ]
    )


def _drift() -> Spec:
    """Specifies a ring and a dot a label, and a line from one to the other."""
    y = named_axis("row", "", 130)
    x = {
        "type": "quantitative",
        "title": "share of records predicted to have the label",
        "scale": {"zero": False, "nice": True},
    }
    shown = {"tooltip": tooltip("label", "before", "now", "change")}
    point = {"type": "point", "opacity": 1, "size": 70, "stroke": "var(--blue)", "strokeWidth": 1.5}
    return layered(
        [
            {
                "mark": {"type": "rule", "stroke": "var(--blue)", "strokeWidth": 2},
                "encoding": {"x": {**x, "field": "before"}, "x2": {"field": "now"}, "y": y},
            },
            {
                "mark": point | {"filled": True, "fill": "var(--paper)"},
                "encoding": {"x": {**x, "field": "before"}, "y": y} | shown,
            },
            {
                "mark": point | {"filled": True, "fill": "var(--blue)"},
                "encoding": {"x": {**x, "field": "now"}, "y": y} | shown,
            },
        ]
    )
