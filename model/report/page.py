"""Makes the page: templates, style, scripts, Vega-Lite and the data in one file that loads nothing."""

import base64
import functools
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from model.report import content, words
from model.report.numbers import format_number, format_range
from model.report.per_label import flatten

SCRIPTS = ("tables.js", "points.js", "drawing.js", "detail.js")


def render_report(metrics: Mapping[str, Any], drawings: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    """The page for a `metrics.json`'s content. It loads nothing; every name in it is escaped.

    A policy in the page lets the browser run its own scripts alone, known by their hash, and reach no other place.

    Args:
        metrics: what `compute_metrics` returns.
        drawings: curves, histograms, pairs of labels and examples; without them there are no plots and no gallery.
        provenance: names and values for the page's last table.
    """
    environment = Environment(
        loader=PackageLoader("model.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": format_number, "range": format_range}
    rows = [flatten(metrics["per_label"][index]) for index in content.shown_labels(metrics)]
    scripts = [_plotting_library()] if drawings else []
    scripts.append("\n".join(_read(name) for name in SCRIPTS))
    return environment.get_template("page.html").render(
        metrics=metrics,
        intervals=metrics.get("intervals") or {},
        rows=rows,
        columns=content.shown_columns(rows),
        singles=content.single_metrics(metrics),
        slices=content.slice_tables(metrics),
        confused=content.confused_labels(metrics, drawings),
        data=content.page_data(metrics, drawings),
        drawings=drawings,
        provenance=provenance,
        words=words,
        style=_read("style.css"),
        scripts=scripts,
        script_hashes=[_hash(script) for script in scripts],
    )


@functools.cache
def _plotting_library() -> str:
    """Vega, Vega-Lite and vega-embed, as one script that can stand inside of a page."""
    from vl_convert import javascript_bundle

    return (
        javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", r"<\/script").replace("<!--", r"<\!--")
    )


def _read(name: str) -> str:
    return files("model.report").joinpath(name).read_text("utf-8")


def _hash(script: str) -> str:
    """A script's name in a Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
