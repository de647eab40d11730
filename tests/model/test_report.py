"""The report: whatever labels are called, it says the same as `metrics.json` and `per_label.csv`, and loads nothing."""

import copy
import csv
import io
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulklabel.model.metrics import Goal, compute_metrics
from bulklabel.model.report import per_label_csv, render_report, words
from bulklabel.model.report.page_data import slice_tables
from bulklabel.model.statistic import Statistic
from bulklabel.pipelines.console.tables import summary
from tests.browser.sample_report import PROVENANCE, Sample, names_of
from tests.conftest import ROOT, metrics_of

NASTY = "<script>alert(1)</script>\"'&, ü|/"


@pytest.fixture(scope="module")
def sample() -> Sample:
    return Sample(names_of(3), 200)


def test_the_report_shows_the_metrics(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    found = metrics_of(finished)
    for name in ("f1_micro", "jaccard_samples", "hamming_loss"):
        assert f"{found['overall'][name]:.4f}" in page
    for row in found["per_label"]:
        (line,) = re.findall(
            rf'<tr data-row[^\n]*<a href="#label={row["label"]}" title="{row["label"]}".*?</tr>', page, re.DOTALL
        )
        assert all(f">{row[name]:,}</td>" in line for name in ("support", "tp", "fp", "fn", "tn"))
        assert all(f"{row[name]:.4f}</td>" in line for name in ("f1", "precision", "recall", "threshold"))
    assert "zebra" in page
    assert "missing_image" in page


def test_intervals_and_bounds_stand_beside_their_values(sample: Sample) -> None:
    page = sample.page()
    for name, (low, high) in sample.metrics["intervals"].items():
        assert f"{low:.4f} – {high:.4f}" in page, name
    low, high = sample.metrics["overall"]["roc_auc_micro_bounds"]
    assert f"bound {low:.6f} – {high:.6f}" in page
    exact = sample.metrics["overall"] | {"roc_auc_micro_bounds": [low, low]}
    without = render_report(sample.metrics | {"overall": exact}, {}, PROVENANCE)
    assert without.count(">bound ") == render_report(sample.metrics, {}, PROVENANCE).count(">bound ") - 1
    low, high = sample.metrics["per_label"][0]["average_precision_bounds"]
    assert f"bound {low:.6f} – {high:.6f}" in page


def test_every_overall_metric_has_a_place(sample: Sample) -> None:
    metrics = copy.deepcopy(sample.metrics)
    names = (
        "label_ranking_average_precision coverage_error label_ranking_loss one_error precision_at_1 recall_at_5 brier"
    )
    metrics["overall"] |= {name: 0.123 + place / 1e4 for place, name in enumerate(names.split())}
    metrics["overall"]["invented_tomorrow"] = 0.7771
    page = render_report(metrics, {}, PROVENANCE)
    for name, value in metrics["overall"].items():
        assert name.endswith(("_bounds", "support")) or f"{value:.4f}" in page, name


def test_names_stay_text() -> None:
    statistic = Statistic.from_batch(
        np.array([[1]], np.int8),
        np.array([[0.9]], np.float32),
        [0.5],
        pa.table({"id": [NASTY], "source": [NASTY], "position": [0]}),
        unknown_labels={NASTY: 1},
        rejected={("decode", NASTY): 1},
    )
    metrics = compute_metrics(statistic, [NASTY], [0.5], Goal())
    page = render_report(metrics, {}, {"model": NASTY, "versions": {"a": NASTY}})
    assert NASTY not in page
    assert page.count("<script") == 2
    assert unescape(page).count(NASTY) == 7
    assert NASTY[:12] in summary(metrics)


def test_names_stay_on_their_line_of_the_summary() -> None:
    nothing = pa.table({"id": ["a"], "source": ["a"], "position": [0]})
    strange = {f"strange\n{number:02d}": 1 + number for number in range(20)}
    statistic = Statistic.from_batch(
        np.array([[1]], np.int8), np.array([[0.9]], np.float32), [0.5], nothing, unknown_labels=strange
    )
    lines = summary(compute_metrics(statistic, ["new\n\x1b[2J"], [0.5], Goal())).split("\n")
    assert any(line.startswith("  new\\n\\x1b[2J") for line in lines)
    (unknown,) = (line for line in lines if "does not know" in line)
    assert "strange\\n19 (20), strange\\n18 (19)" in unknown
    assert unknown.endswith("strange\\n10 (11), …")


def test_nothing_is_loaded(sample: Sample) -> None:
    """Neither by the page nor, whatever the library of plots could do, past the policy in its head."""
    page = render_report(sample.metrics, {}, PROVENANCE)
    beside = {"metrics.json", "per_label.csv", "thresholds.json", "threshold_curves.parquet", "manifest.json"}
    assert set(re.findall(r"(?:src|href)=\"([^\"#]+)", page)) == {"data:,", *beside}
    assert not re.search(r"url\(|@import|://", page)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', sample.page())
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe-eval" not in policy
    assert policy.count("'sha256-") == 2


def test_without_drawings_there_are_no_plots(sample: Sample) -> None:
    page = render_report(sample.metrics, {}, PROVENANCE)
    assert 'class="plot"' not in page
    assert "gallery" not in re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.DOTALL)
    assert len(page) < 2**17


def test_without_truth_the_report_is_of_what_was_predicted() -> None:
    sample = Sample(names_of(3), 200, with_truth=False)
    page = sample.page()
    assert page.count("No record has truth") == 1
    assert re.findall(r'data-key="(\w+)"', page) == ["label", "predicted", "label_rate", "near_threshold", "threshold"]
    for row in sample.metrics["distributions"]["labels"]:
        low, high = row["label_rate_interval"]
        assert f'>{row["label_rate"]:.4f} <span class="soft">{low:.4f} – {high:.4f}</span></td>' in page
    mean = sample.predicted.sum(axis=1).mean()
    assert f'<dt>Labels per image</dt><dd class="value">{mean:.2f}</dd>' in page
    assert "<title>shop/monday: 200 images without truth – bulklabel</title>" in page
    assert 'id="gallery"' in page
    assert 'data-plot="roc"' not in page


def test_where_all_were_rejected_nothing_is_said_of_predictions_or_truth() -> None:
    nothing = Statistic.zero(1)
    nothing.rejected, nothing.slices = {("decode", "not_an_image"): 3}, {"camera": {}}
    metrics = compute_metrics(nothing, ["cat"], [0.5], Goal())
    page = render_report(metrics, {}, PROVENANCE)
    assert "No record was scored, so there are no metrics." in page
    assert "has truth" not in page
    assert 'id="slices"' not in page
    assert "no record was scored" in summary(metrics)


def test_the_table_holds_the_labels_with_the_largest_support(sample: Sample) -> None:
    metrics = copy.deepcopy(sample.metrics)
    row = metrics["per_label"][0]
    metrics["per_label"] = [row | {"label": f"n{index}", "support": index} for index in range(1003)]
    predicted = metrics["distributions"]["labels"][0]
    metrics["distributions"]["labels"] = [predicted | {"label": f"n{index}"} for index in range(1003)]
    page = render_report(metrics, {}, PROVENANCE)
    assert page.count("<tr data-row") == 1000
    assert 'title="n3"' in page
    assert 'title="n2"' not in page
    assert "The 1,000 labels with the largest support, of 1,003" in page


def test_every_value_of_a_slice_can_be_read() -> None:
    entry = {"other": False, "counts": {"records": 1}, "overall": {}}
    entries = [entry | {"value": value} for value in ("", None, "a")] + [entry | {"value": None, "other": True}]
    shown = slice_tables({"slices": {"camera": entries}})["camera"]
    expected = [("empty text", False), ("no value", False), ("a", True), ("other values", False)]
    assert [(row["value"], row["named"]) for row in shown] == expected


def test_coverage_is_shown_where_something_is_unknown(sample: Sample) -> None:
    assert 'data-key="coverage"' in render_report(sample.metrics, {}, PROVENANCE)
    metrics = copy.deepcopy(sample.metrics)
    for row in metrics["per_label"]:
        row["unknown"] = 0
    assert 'data-key="coverage"' not in render_report(metrics, {}, PROVENANCE)


@pytest.mark.parametrize(
    ("goal", "target", "words"),
    [
        ("f1", None, "give the best F1"),
        ("precision", 0.95, "precision at 0.95"),
        ("recall", 0.9, "recall at 0.9"),
        ("budget", 1500, "at most 1,500 records"),
    ],
)
def test_the_goal_of_suggested_thresholds_is_said(sample: Sample, goal: str, target: float | None, words: str) -> None:
    page = render_report(sample.metrics | {"thresholds": {"goal": goal, "target": target}}, {}, PROVENANCE)
    assert words in page


NUMBERS = st.none() | st.integers(0, 10**15) | st.floats(allow_nan=False, allow_infinity=False)
FORMULA_STARTS = tuple("=+-@＝＋－＠")
"""What spreadsheets take for the start of a formula."""

PAIRS = st.none() | st.tuples(NUMBERS, NUMBERS).map(list)
LABELS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.sampled_from(
    [
        '=HYPERLINK("http://x","y")',
        "=cmd|' /C calc'!A0",
        "@SUM(A1)",
        "-2+3",
        "+1",
        "\t=1",
        " =1",
        "＝1",
        "'=1",
        "''",
        "-",
    ]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"label": LABELS, "threshold": NUMBERS}
        | {"roc_auc": NUMBERS, "roc_auc_bounds": PAIRS, "intervals": st.fixed_dictionaries({"f1": PAIRS})}
        | {"suggested": st.none() | st.fixed_dictionaries({"threshold": NUMBERS, "predicted": NUMBERS})}
    ),
    min_size=1,
)


@given(ROWS)
def test_the_table_of_labels_reads_as_the_metrics_do(rows: list[dict[str, Any]]) -> None:
    lines = list(csv.DictReader(io.StringIO(per_label_csv({"per_label": rows}), newline="")))
    assert len(lines) == len(rows)
    for line, row in zip(lines, json.loads(json.dumps(rows)), strict=True):
        assert line["label"].removeprefix("'") == row["label"]
        assert not line["label"].lstrip().startswith(FORMULA_STARTS)
        assert not line["label"].startswith(("\t", "\r", "\n"))
        expected = {name: row[name] for name in ("threshold", "roc_auc")}
        for name, pair in (("roc_auc_bounds", row["roc_auc_bounds"]), ("f1_interval", row["intervals"]["f1"])):
            low, high = pair or (None, None)
            expected |= {f"{name}_low": low, f"{name}_high": high}
        expected |= {f"suggested_{name}": value for name, value in (row["suggested"] or {}).items()}
        assert {name: line[name] for name in expected} == {
            name: "" if value is None else json.dumps(value) for name, value in expected.items()
        }
        assert all(cell == "" for name, cell in line.items() if name not in expected and name != "label")


def test_a_long_label_is_cut_only_where_the_terminal_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    label = "atelectasis of the left lower lobe"
    records = pa.table({"id": ["a"], "source": ["a"], "position": [0]})
    statistic = Statistic.from_batch(np.array([[1]], np.int8), np.array([[0.9]], np.float32), [0.5], records)
    metrics = compute_metrics(statistic, [label], [0.5], Goal())
    for columns, shown in ((200, label), (80, label[: 80 - 51]), (40, label[:12])):
        monkeypatch.setenv("COLUMNS", str(columns))
        (row,) = (line for line in summary(metrics).split("\n") if line.startswith(f"  {label[:12]}"))
        assert row.startswith(f"  {shown} ")


def test_without_truth_the_terminal_names_the_most_frequent_labels() -> None:
    random = np.random.default_rng(4)
    probabilities = (random.random((500, 12)) < np.linspace(0.05, 0.6, 12)).astype(np.float32)
    records = pa.table({"id": [f"r{row}" for row in range(500)], "source": ["a"] * 500, "position": range(500)})
    names = [f"label {index}" for index in range(12)]
    statistic = Statistic.from_batch(np.full((500, 12), -1, np.int8), probabilities, [0.5] * 12, records)
    metrics = compute_metrics(statistic, names, [0.5] * 12, Goal())
    text = summary(metrics)
    rows = re.findall(r"^  (label \d+) +(\d+) +(\d\.\d{4}) +(\S+) – (\S+)$", text, re.MULTILINE)
    counts = probabilities.sum(axis=0).astype(int)
    assert [row[0] for row in rows] == [names[index] for index in np.argsort(-counts, kind="stable")[:10]]
    assert [int(row[1]) for row in rows] == sorted(counts.tolist(), reverse=True)[:10]
    assert all(float(low) < float(rate) < float(high) for *_, rate, low, high in rows)
    assert "and 2 more that were predicted" in text
    assert f"{counts.sum() / 500:.2f} labels per image" in text


def test_the_table_of_terms_has_every_name_that_is_shown() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \|", (ROOT / "docs" / "terms.md").read_text(), re.MULTILINE)
    shown = " ".join(title for title, _ in rows).lower()
    keys = " ".join(key for _, key in rows)
    for title, _ in words.HEADLINES.values():
        assert title.lower() in shown, title
    for column in words.COLUMNS:
        assert column.title.lower() in shown, column
        assert column.key.removeprefix("suggested_") in keys, column
    for key in (*words.HEADLINES, *words.SINGLE, *words.AVERAGED):
        assert re.search(rf"`{key.removesuffix('_3').removesuffix('_5')}", keys), key


def test_what_is_0_by_0_is_a_dash() -> None:
    """Of a label that is neither present nor predicted, on the page and on the terminal; in metrics.json it is 0."""
    records = pa.table({"id": ["a", "b"], "source": ["a"] * 2, "position": [0, 1]})
    truth, probabilities = np.array([[1, 0], [1, 0]], np.int8), np.array([[0.9, 0.1], [0.8, 0.1]], np.float32)
    statistic = Statistic.from_batch(truth, probabilities, [0.5, 0.5], records)
    metrics = compute_metrics(statistic, ["cat", "dog"], [0.5, 0.5], Goal())
    assert metrics["per_label"][1]["recall"] == 0
    assert metrics["overall"]["recall_macro"] == 0.5
    assert re.search(r"^  dog +0 +– +– +– +–$", summary(metrics), re.MULTILINE)
    page = render_report(metrics, {}, PROVENANCE)
    (line,) = re.findall(r'<tr data-row[^\n]*title="dog".*?</tr>', page, re.DOTALL)
    assert re.findall(r"(?:</i>|>)([–0-9.]+)</td>", line)[:6] == ["0", "–", "–", "–", "–", "0"]
