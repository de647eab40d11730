"""Makes a page: template, style, scripts, Vega-Lite and the data in one file that loads nothing."""

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bulklabel.model.errors import UserError
from bulklabel.model.report import page_data as content
from bulklabel.model.report import words
from bulklabel.model.report.drift import drift_content
from bulklabel.model.report.findings import findings, prediction_figures, title_of
from bulklabel.model.report.numbers import FILTERS, short_place
from bulklabel.model.report.undefined import overall_with_undefined
from bulklabel.model.report.verdicts import value_beside

SCRIPTS = ("tables.js", "points.js", "drawing.js", "saving.js", "figures.js", "records.js", "detail.js", "pairs.js")


def render_report(
    metrics: Mapping[str, Any],
    drawings: Mapping[str, Any],
    provenance: Mapping[str, Any],
    verdicts: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Returns the page for a `metrics.json`'s content.

    Args:
        metrics: what `compute_metrics` returns.
        drawings: curves, histograms, pairs of labels and examples; without them there are no plots and no gallery.
        provenance: names and values for the page's last table.
        verdicts: what became of the requirements, as the manifest has it.
    """
    rows = content.label_rows(metrics)
    with_truth = metrics["counts"]["with_truth"] > 0
    overall = overall_with_undefined(metrics)
    return render_page(
        "page.html",
        SCRIPTS,
        content.page_data(metrics, drawings),
        bool(drawings),
        metrics={**metrics, "overall": overall},
        title=title_of(metrics, short_place(str(provenance.get("output", "A run")))),
        findings=findings(metrics),
        with_truth=with_truth,
        intervals=metrics.get("intervals") or {},
        rows=rows,
        order=content.shown_order(rows, with_truth),
        columns=content.shown_columns(rows),
        singles=content.single_metrics(metrics),
        slices=content.slice_tables(metrics),
        verdicts=verdicts,
        drift=drift_content(metrics),
        pairs=content.top_pairs(metrics, drawings),
        pair_titles=content.PAIRS,
        predictions=prediction_figures(metrics),
        drawings=drawings,
        provenance=provenance,
    )


def render_page(
    template: str, script_names: Sequence[str], data: Mapping[str, Any], with_plots: bool, **shown: Any
) -> str:
    """Returns a page that loads nothing, and in which every name is escaped.

    A policy in the page lets the browser run its own scripts alone, known by their hash, and reach no other place.

    Args:
        template: one that extends `base.html`; it is given `data` and `words`.
        script_names: the files that are the page's script, in order.
        data: what the script is given, JSON-able.
        with_plots: whether the page holds the library that draws plots.
        **shown: what the template is given besides.
    """
    scripts = [plotting_library()] if with_plots else []
    scripts.append("\n".join(_read(name) for name in script_names))
    compiled = _environment().get_template(template)
    return compiled.render(
        shown,
        data=data,
        words=words,
        style=_read("style.css"),
        scripts=scripts,
        script_hashes=[_hash(script) for script in scripts],
    )


@functools.cache
def _environment() -> Environment:
    """Returns what compiles the templates, and keeps them: a process that publishes again need not do so again."""
    environment = Environment(
        loader=PackageLoader("bulklabel.model.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS | {"beside": value_beside}
    return environment


@functools.cache
def plotting_library() -> str:
    """Returns Vega, Vega-Lite and vega-embed as one script that can stand inside of a page; `setup.py` makes it.

    Commands that publish a page call it first, so that a package without it is refused before any work.

    Raises:
        UserError: if the package was not built.
    """
    try:
        return _read("vega.js")
    except FileNotFoundError as error:
        raise UserError(
            "the script that draws the report's plots (model/report/vega.js) is missing; it is made when bulklabel is "
            "installed: pip install -e . in a checkout."
        ) from error


def _read(name: str) -> str:
    return files("bulklabel.model.report").joinpath(name).read_text("utf-8")


def _hash(script: str) -> str:
    """Returns a script's name in a Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
