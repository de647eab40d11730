"""What is published for thousands of labels: lean, read by line, and a page that does not grow with them."""

import json
from typing import Any

import numpy as np
import pytest

from bulklabel.model.metrics import drawings
from bulklabel.model.report import render_report
from bulklabel.model.report.gallery import gallery
from bulklabel.model.report.page_data import MAX_LABELS, page_data, shown_labels
from bulklabel.transforms.evaluating.publish import to_json
from tests.support.synthetic import logistic_batch, metrics_of_statistic, statistic_of

BYTES_A_LABEL = 2000
"""Of `metrics.json`, in which each label has some fifty numbers of up to 20 digits."""


def published(labels: int) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The metrics, what is drawn of them, and the page; each example has a thumbnail."""
    statistic = statistic_of(logistic_batch(np.random.default_rng(0), 60, labels))
    metrics = metrics_of_statistic(statistic)
    examples = statistic.examples.table
    places = sorted(
        set(zip(examples.column("source").to_pylist(), examples.column("position").to_pylist(), strict=True))
    )
    drawn = drawings(statistic, metrics["per_label"], shown_labels(metrics))
    drawn |= gallery(statistic.examples, [(*place, b"\x89PNG\r\n\x1a\n") for place in places])
    return metrics, drawn, render_report(metrics, drawn, {})


@pytest.fixture(scope="module")
def two_thousand() -> tuple[dict[str, Any], dict[str, Any], str]:
    return published(2 * MAX_LABELS)


def test_metrics_are_a_line_a_label_and_few_bytes(two_thousand: tuple[dict[str, Any], dict[str, Any], str]) -> None:
    metrics = two_thousand[0]
    content = to_json(metrics)
    assert json.loads(content) == metrics
    assert len(content) < BYTES_A_LABEL * len(metrics["per_label"])
    rows = [line.strip().rstrip(",") for line in content.decode().splitlines() if line.startswith('    {"label": ')]
    assert [json.loads(row) for row in rows] == [*metrics["per_label"], *metrics["distributions"]["labels"]][
        : len(rows)
    ]
    assert len(rows) >= len(metrics["per_label"])


def test_the_page_of_thousands_of_labels_is_one_of_the_most_that_it_shows(
    two_thousand: tuple[dict[str, Any], dict[str, Any], str],
) -> None:
    metrics, drawn, page = two_thousand
    assert len(page) < 1.1 * len(published(MAX_LABELS)[2])
    assert f"{MAX_LABELS:,} labels with the largest support, of {2 * MAX_LABELS:,}" in page
    shown = shown_labels(metrics)
    assert [bool(cuts) for cuts in drawn["cuts"]] == [label in shown for label in range(2 * MAX_LABELS)]


def test_pictures_of_labels_that_are_not_shown_are_left_out() -> None:
    metrics, drawn, _ = published(3)
    record = {"id": "a", "source": "s", "position": 0, "answers": [[1, 0.5, 1, 0]]}
    drawn |= {"thumbnails": ["first", "second"]}
    drawn |= {"records": [record | {"thumbnail": place} for place in (0, 1, None)]}
    drawn |= {"examples": [{"kind": "uncertain", "label": 3 - place, "record": place} for place in (1, 2)]}
    data = page_data(metrics, drawn)
    assert data["thumbnails"] == ["second"]
    assert [data["records"][example["record"]]["thumbnail"] for example in data["examples"]] == [0, None]
