"""The report of a real run over image files with hostile names, in headless Chromium."""

import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser

from bulklabel.pipelines.evaluate import main
from tests.browser.browsing import DESK, PHONE, Opened, scroll_through
from tests.conftest import collage_rows, metrics_of, score

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def run(model_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over collages in files, each below a folder whose name is half a script, sliced by a hostile column."""
    photos = tmp_path_factory.mktemp("photos")
    rows = collage_rows(60, seed=5)
    lines = []
    for index, row in enumerate(rows):
        name = f"{HOSTILE}{index:02d}.png"
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(row["image"] if index else b"no image")
        lines.append(json.dumps({"file_name": name, "labels": row["labels"], "camera": f"{HOSTILE}{index % 2}"}))
    (photos / "metadata.jsonl").write_text("\n".join(lines))
    output = photos.parent / "hostile"
    assert score(photos, model_directory, output, "--slice_by=camera") == 0
    return output


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_names_stay_text(browser: Browser, run: Path, viewport: dict[str, int], theme: str) -> None:
    with Opened(browser, run / "report.html", viewport=viewport, color_scheme=theme) as page:
        scroll_through(page)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= viewport["width"]
        page.locator("#gallery").scroll_into_view_if_needed()
        page.wait_for_selector("#gallery img")
        pictures = page.locator("#gallery img")
        pictures.evaluate_all("images => Promise.all(images.map(image => image.decode()))")
        assert set(pictures.evaluate_all("images => images.map(image => image.naturalWidth)")) == {32}
        assert HOSTILE in page.locator("#gallery").inner_text()
        text = page.locator("body").inner_text()
        for entry in metrics_of(run)["slices"]["camera"]:
            assert entry["value"] in text
        assert f"{metrics_of(run)['overall']['f1_micro']:.4f}" in text
        assert "not_an_image" in text


def test_a_pairs_query_finds_the_records_that_are_counted(
    browser: Browser, model_directory: Path, tmp_path: Path
) -> None:
    """A label of unknown truth is no confusion; a page without predictions of its own has no query."""
    rows = collage_rows(300, seed=6)
    for index, row in enumerate(rows):
        row["maybe"] = [name for name in map(str, range(10)) if name not in row["labels"] and index % 2]
    records = tmp_path / "records.parquet"
    pq.write_table(pa.Table.from_pylist(rows), records)
    run, stricter = tmp_path / "run", tmp_path / "stricter"
    assert score(records, model_directory, run, "--unknown_column=maybe", "--threshold=0.2") == 0
    assert main([f"--input={run}", f"--output={stricter}", "--threshold=0.3"]) == 0
    with Opened(browser, run / "report.html") as page:
        shown = page.locator("#pairs button.show").first
        counted = int(shown.locator("xpath=ancestor::tr").locator("td").nth(1).inner_text())
        shown.click()
        query = page.locator("#pair-query").inner_text()
    found = duckdb.execute(query.replace("'predictions/", f"'{run}/predictions/")).fetchall()
    assert len(found) == counted > 0
    with Opened(browser, stricter / "report.html") as page:
        page.locator("#pairs button.show").first.click()
        assert page.locator("#pair-note").inner_text().endswith("of the examples on this page.")
        assert page.locator("#pair-query").count() == 0
