"""Specifies the plots of a comparison in Vega-Lite, without data: the page's script fills in `points`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bulklabel.model.report.plots.run_plots import Spec, layered, named_axis, tooltip

VERDICTS: Spec = {
    "field": "verdict",
    "type": "nominal",
    "legend": None,
    "scale": {
        "domain": ["better", "worse", "no clear change"],
        "range": ["var(--better)", "var(--worse)", "var(--soft)"],
    },
}
TOOLTIP = tooltip("label", "change", "interval", "before", "after", "records", "verdict")


def change_plots(points: Sequence[Mapping[str, Any]]) -> dict[str, Spec]:
    """Returns each plot's specification by name; `points` have `before` and `after`, 0…1."""
    values = [point[side] for point in points for side in ("before", "after")]
    low = min(0.9, math.floor(10 * min(values, default=0)) / 10)
    high = min(1.0, max(low + 0.1, math.ceil(10 * max(values, default=1)) / 10))
    return {"changes": _changes(), "sides": _sides([low, high])}


def _changes() -> Spec:
    """Specifies a dot a label with the interval of its change as a whisker, and a line at no change."""
    axis = {"labelExpr": "datum.value ? format(datum.value, '+~g') : '0'", "tickCount": 6}
    x: Spec = {"type": "quantitative", "title": "change of F1", "axis": axis}
    y = named_axis("row", "", 150)
    return layered(
        [
            {
                "data": {"values": [{"change": 0}]},
                "mark": {"type": "rule", "stroke": "var(--soft)", "strokeWidth": 1},
                "encoding": {"x": {**x, "field": "change"}},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y, "stroke": VERDICTS},
            },
            {
                "mark": {"type": "point", "filled": True, "opacity": 1, "size": 60},
                "encoding": {"x": {**x, "field": "change"}, "y": y, "fill": VERDICTS, "tooltip": TOOLTIP},
            },
        ]
    )


def _sides(domain: list[float]) -> Spec:
    """Specifies a dot a label: above the diagonal it got better."""
    axis: Spec = {"type": "quantitative", "scale": {"domain": domain, "nice": False}, "axis": {"tickCount": 5}}
    x, y = ({**axis, "field": side, "title": f"F1 {side}"} for side in ("before", "after"))
    return layered(
        [
            {
                "data": {"values": [{"before": end, "after": end} for end in domain]},
                "mark": {"type": "line", "stroke": "var(--soft)", "strokeDash": [3, 3], "strokeWidth": 1},
                "encoding": {"x": x, "y": y},
            },
            {
                "mark": {"type": "point", "filled": True, "opacity": 0.8, "size": 60},
                "encoding": {"x": x, "y": y, "fill": VERDICTS, "tooltip": TOOLTIP},
            },
        ],
        height=380,
    )
