"""The pages for whoever has no mouse, or does not see: axe-core finds nothing, and what scrolls can have the focus."""

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser

from bulklabel.model.report import render_comparison
from tests.browser.browsing import DESK, PHONE, Opened, scroll_through
from tests.browser.sample_comparison import sample_content
from tests.browser.sample_report import Sample, names_of

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


def page_of(kind: str) -> str:
    if kind == "comparison":
        return render_comparison(sample_content(4, 300))
    return Sample(names_of(4), 300, with_truth=kind == "report").page()


@pytest.mark.parametrize(
    ("kind", "theme", "viewport"),
    [("report", "light", DESK), ("report", "dark", PHONE), ("truthless", "dark", DESK), ("comparison", "light", PHONE)],
    ids=lambda value: str(value) if isinstance(value, str) else str(value["width"]),
)
def test_axe_finds_nothing(
    browser: Browser, tmp_path: Path, kind: str, theme: Literal["light", "dark"], viewport: dict[str, int]
) -> None:
    (tmp_path / "page.html").write_text(page_of(kind))
    with Opened(browser, tmp_path / "page.html", viewport=viewport, color_scheme=theme) as page:
        scroll_through(page)
        if kind == "report":
            page.locator("#pairs button.show").first.click()
        page.evaluate(AXE)
        found: dict[str, Any] = page.evaluate("axe.run()")
        assert len(found["passes"]) > 30
        assert [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found["violations"]] == []
