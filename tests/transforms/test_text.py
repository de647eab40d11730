"""Labels and ids of any characters survive the way from every input to Parquet, JSON and the report."""

import csv
import html
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bulklabel.transforms.demo_formats import LAYOUTS
from bulklabel.transforms.scoring.model_files import load_model, save_model
from tests.conftest import collage_rows, metrics_of, predictions_of, rejected_of, score, untrained_model

NASTY = (
    "a,b",
    'say "cheese"',
    "it's",
    "left/right",
    "back\\slash",
    "..",
    "<script>alert(1)</script>",
    "</td><img src=x onerror=alert(1)>",
    "&amp;",
    "{{ 7*7 }}",
    "naïve ☃ 猫 \U0001f408",
    "e\u0301",
    "\u202eright to left",
    " spaces ",
    "tab\there",
    "line\nbreak",
    "=1+1",
    "null",
    "prob_prob_",
    "%s %d",
    "#",
    "a" * 300,
)


class Texts(HTMLParser):
    """What a browser would show of a page, and the tags it would make."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def rows() -> list[dict[str, Any]]:
    return [
        row | {"id": f"{label[:40]}|{index}", "labels": [label]}
        for index, (row, label) in enumerate(zip(collage_rows(len(NASTY)), NASTY, strict=True))
    ]


@pytest.mark.parametrize("layout", ["wide", "list"])
@pytest.mark.parametrize("input_format", ["parquet", "tfrecord"])
def test_text_survives(input_format: str, layout: str, tmp_path: Path) -> None:
    save_model(untrained_model(NASTY), str(tmp_path / "model"))
    assert load_model(str(tmp_path / "model")).labels == NASTY
    records = rows()
    records[3]["image"] = b"broken"
    LAYOUTS[input_format](str(tmp_path / "in"), records)
    flags = (f"--layout={layout}", f"--input_format={input_format}")
    (path,) = tmp_path.glob("in.*")
    assert score(path, tmp_path / "model", tmp_path / "out", *flags) == 0
    predictions = predictions_of(tmp_path / "out")
    good = [row for row in records if row["image"] != b"broken"]
    assert predictions.column("id").to_pylist() == [row["id"] for row in good]
    assert predictions.column("labels").to_pylist() == [row["labels"] for row in good]
    assert [row["id"] for row in rejected_of(tmp_path / "out")] == [records[3]["id"]]
    if layout == "wide":
        assert predictions.column_names[5:] == [f"prob_{label}" for label in NASTY]
    metadata = pq.read_schema(next((tmp_path / "out/predictions").iterdir())).metadata
    assert json.loads(metadata[b"bulklabel.labels"]) == list(NASTY)
    assert [row["label"] for row in metrics_of(tmp_path / "out")["per_label"]] == list(NASTY)
    page = Texts()
    page.feed((tmp_path / "out/report.html").read_text())
    shown = {text.strip() for text in page.texts}
    assert {label.strip() for label in NASTY} <= shown
    assert "img" not in page.tags
    assert not any("alert(1)" in text for text in page.texts if "function" in text)
    assert html.escape(NASTY[6]) in (tmp_path / "out/report.html").read_text()


def test_text_survives_csv(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "id", "labels"])
        for index, row in enumerate(rows()):
            (folder / f"{index:03d}.png").write_bytes(row["image"])
            writer.writerow([f"{index:03d}.png", row["id"], f"{row['labels'][0]}|{NASTY[0]}"])
    save_model(untrained_model(NASTY), str(tmp_path / "model"))
    assert score(folder, tmp_path / "model", tmp_path / "out") == 0
    predictions = predictions_of(tmp_path / "out")
    assert predictions.column("id").to_pylist() == [row["id"] for row in rows()]
    assert predictions.column("labels").to_pylist() == [
        list(dict.fromkeys([row["labels"][0], NASTY[0]])) for row in rows()
    ]
