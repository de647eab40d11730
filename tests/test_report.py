"""The report: whatever labels are called, it says the same as `metrics.json` and loads nothing."""

import re
from html import unescape
from pathlib import Path

import numpy as np

from model.metrics import compute_metrics
from model.report import render_report
from model.statistic import Statistic
from pipelines.summary import summary
from tests.conftest import metrics_of

NASTY = "<script>alert(1)</script>\"'&, ü|/"


def test_the_report_shows_the_metrics(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    found = metrics_of(finished)
    for name in ("f1_micro", "jaccard_samples", "hamming_loss"):
        assert f"{found['overall'][name]:.4f}" in page
    for row in found["per_label"]:
        assert f"<td>{row['label']}</td><td>{row['support']:,}</td><td>{row['threshold']:.4f}</td>" in page
    assert "zebra" in page
    assert "missing_image" in page
    assert not re.search(r"(src|href)=|url\(|@import", page)


def test_names_stay_text() -> None:
    statistic = Statistic.from_batch(
        np.array([[1]], np.int8), np.array([[0.9]], np.float32), [0.5], {NASTY: 1}, {("decode", NASTY): 1}
    )
    metrics = compute_metrics(statistic, [NASTY], [0.5])
    page = render_report(metrics, {"model": NASTY, "versions": {"a": NASTY}})
    assert "<script" not in page
    assert unescape(page).count(NASTY) == 5
    assert NASTY[:12] in summary(metrics)
