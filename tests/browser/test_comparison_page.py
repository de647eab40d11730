"""The page of a comparison: its words, and in headless Chromium its plots, its table, and that nothing goes wrong."""

import copy
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from bulklabel.model.report import format_change, format_change_range, render_comparison
from bulklabel.model.report.comparison import verdict
from bulklabel.pipelines.console.tables import comparison_summary
from tests.browser.browsing import DESK, PHONE, Opened, labels_shown, scroll_through
from tests.browser.sample_comparison import sample_content
from tests.browser.sample_report import NASTY


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return sample_content(10, 1000)


@pytest.fixture(scope="module")
def folder(content: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparisons")
    (folder / "10.html").write_text(render_comparison(content))
    (folder / "1.html").write_text(render_comparison(sample_content(1, 100)))
    (folder / "1000.html").write_text(render_comparison(sample_content(1000, 200)))
    return folder


def body_of(page: str) -> str:
    return re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)


def test_every_metric_has_a_line_with_its_interval(content: dict[str, Any]) -> None:
    body = body_of(render_comparison(content))
    lines = re.findall(r"<tr><th scope=\"row\">.*?</tr>", body, re.DOTALL)
    for name, row in content["overall"].items():
        cells = [f"<td>{row[side]:.4f}</td>" for side in ("before", "after")]
        cells += [f">{format_change(row['change'])}</span>", f">{format_change_range(row['interval'])}</td>"]
        assert any(all(cell in line for cell in cells) for line in lines), name
    for row in content["per_label"]:
        f1 = row["metrics"]["f1"]
        assert f"{f1['before']:.4f} → {f1['after']:.4f}, interval {format_change_range(f1['interval'])}" in body


def test_what_is_printed_is_what_the_page_says(content: dict[str, Any]) -> None:
    printed, page = comparison_summary(content), render_comparison(content)
    for name in ("f1_micro", "subset_accuracy", "ece"):
        row = content["overall"][name]
        for text in (format_change(row["change"]), format_change_range(row["interval"]), f"{row['after']:.4f}"):
            assert text in printed
            assert text in page
    assert "Only in the earlier run: hat" in page
    assert "5 records have another truth" in page


@pytest.mark.parametrize(
    ("metric", "change", "interval", "expected"),
    [
        ("f1_micro", 0.1, [0.01, 0.2], "better"),
        ("f1_micro", -0.1, [-0.2, -0.01], "worse"),
        ("f1_micro", 0.1, [-0.01, 0.2], ""),
        ("f1_micro", 0.1, [0.0, 0.2], ""),
        ("f1_micro", 0.1, None, ""),
        ("f1_micro", 0.0, [0.0, 0.0], ""),
        ("f1_micro", None, None, ""),
        ("log_loss", 0.1, [0.01, 0.2], "worse"),
        ("ece", -0.1, [-0.2, -0.01], "better"),
    ],
)
def test_only_a_change_whose_interval_excludes_0_is_marked(
    metric: str, change: float | None, interval: list[float] | None, expected: str
) -> None:
    assert verdict({"change": change, "interval": interval}, metric) == expected


def test_changes_are_written_with_their_sign() -> None:
    assert [format_change(value) for value in (None, 0, 0.0, 0.12345, -0.12345)] == [
        "–",
        "0",
        "0",
        "+0.1235",
        "−0.1235",
    ]
    assert [format_change(value) for value in (0.00005, 0.00002, -0.00002)] == ["+0.0001", "+0.000020", "−0.000020"]
    assert format_change_range([-0.1, 0.0]) == "−0.1000 … 0"
    assert format_change_range(None) == format_change_range([None, 0.1]) == ""


def test_names_are_escaped_and_nothing_is_loaded(content: dict[str, Any]) -> None:
    page = render_comparison(content | {"labels": {"only_before": [NASTY], "only_after": [NASTY]}})
    assert NASTY not in page
    assert unescape(body_of(page)).count(NASTY) > 5
    assert set(re.findall(r"(?:src|href)=\"([^\"#]+)", body_of(page))) == {"data:,"}
    assert not re.search(r"url\(|@import|://", body_of(page))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert policy.count("'sha256-") == 2


def test_the_table_holds_the_labels_that_flipped_most(content: dict[str, Any]) -> None:
    row = content["per_label"][0]
    rows = [row | {"label": f"n{place}", "flips": dict.fromkeys(row["flips"], place)} for place in range(1003)]
    page = render_comparison(content | {"per_label": rows})
    assert page.count("<tr data-row") == 1000
    assert page.index('title="n1002"') < page.index('title="n3"')
    assert 'title="n2"' not in page
    assert "The 1,000 labels that flipped most, of 1,003" in page
    assert f"<b>{2 * sum(range(1003)):,}</b> answers flipped" in page


@pytest.mark.parametrize("name", ["1", "10", "1000"])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_everything_is_drawn_and_nothing_is_wider_than_the_page(
    browser: Browser, folder: Path, name: str, viewport: dict[str, int]
) -> None:
    with Opened(browser, folder / f"{name}.html", viewport=viewport) as page:
        scroll_through(page)
        assert page.locator("figure.plot").count() == 2
        assert page.locator("figure[data-plot=changes] .mark-symbol path").count() == min(int(name), 40)
        assert page.locator("figure[data-plot=sides] .mark-symbol path").count() == int(name)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= viewport["width"]
        for view in page.locator("#labels .views button").all():
            view.click()
            assert not re.search(r"NaN|undefined|null|None", page.locator("body").inner_text())


def test_dots_are_where_the_changes_are(browser: Browser, folder: Path, content: dict[str, Any]) -> None:
    rows = {row["label"]: row["metrics"]["f1"] for row in content["per_label"]}
    with Opened(browser, folder / "10.html") as page:
        drawn = {
            name: page.evaluate(f"plotOf(document.querySelector('figure[data-plot={name}]'))")
            for name in ("changes", "sides")
        }
        scroll_through(page)
        whiskers = page.locator("figure[data-plot=changes] .mark-rule").last.locator("line").all()
        lengths = [abs(float(line.get_attribute("x2") or "nan")) for line in whiskers]
        dots = page.locator("figure[data-plot=changes] .mark-symbol path").all()
        places = [float(re.findall(r"[\d.-]+", dot.get_attribute("transform") or "")[0]) for dot in dots]
    for plot in drawn.values():
        for point in plot["datasets"]["points"]:
            row = rows[point["label"]]
            assert [point[name] for name in ("before", "after", "change")] == [
                row["before"],
                row["after"],
                row["change"],
            ]
            assert [point["low"], point["high"]] == row["interval"]
    shown = [point["change"] for point in drawn["changes"]["datasets"]["points"]]
    assert shown == sorted((row["change"] for row in rows.values()), reverse=True)
    widths = [point["high"] - point["low"] for point in drawn["changes"]["datasets"]["points"]]
    pixels = (places[0] - places[-1]) / (shown[0] - shown[-1])
    assert lengths == pytest.approx(np.multiply(widths, pixels), rel=1e-3)
    assert np.diff(places) == pytest.approx(np.diff(shown) * pixels, rel=1e-3)
    names = next(param for param in drawn["changes"]["params"] if param["name"] == "names")["value"]
    assert [rows[name]["change"] for name in names] == shown


def test_every_column_sorts_and_a_search_finds(browser: Browser, folder: Path, content: dict[str, Any]) -> None:
    rows = {row["label"]: row for row in content["per_label"]}
    values = {
        "support": lambda row: row["support"],
        "flips": lambda row: row["flips"]["became_present"] + row["flips"]["became_absent"],
        "f1_before": lambda row: row["metrics"]["f1"]["before"],
        "f1_interval": lambda row: row["metrics"]["f1"]["interval"][0],
        "became_wrong": lambda row: row["flips"]["became_wrong"],
    } | {
        name: lambda row, name=name: row["metrics"][name]["change"] for name in ("f1", "recall", "log_loss", "roc_auc")
    }
    with Opened(browser, folder / "10.html") as page:
        assert [values["flips"](rows[label]) for label in labels_shown(page)] == sorted(
            map(values["flips"], rows.values()), reverse=True
        )
        seen = set()
        for view in page.locator("#labels .views button").all():
            view.click()
            for button in page.locator("#label-table thead th:visible button").all():
                key = button.get_attribute("data-key") or ""
                if key not in values:
                    continue
                seen.add(key)
                if button.locator("xpath=..").get_attribute("aria-sort") == "none":
                    button.click()
                found = [values[key](rows[label]) for label in labels_shown(page)]
                assert found == sorted(found, reverse=True)
                button.click()
                assert [values[key](rows[label]) for label in labels_shown(page)] == sorted(found)
        assert seen == values.keys()
        page.get_by_role("searchbox").fill("SHOE")
        assert labels_shown(page) == ["summer shoes"]
        expect(page.get_by_role("status")).to_have_text("1 of 10")


def test_names_stay_text(browser: Browser, folder: Path) -> None:
    with Opened(browser, folder / "10.html") as page:
        scroll_through(page)
        for place in ("#label-table th", "#records th", "#compared p", "figure[data-plot=changes] svg text"):
            assert any(NASTY in text for text in page.locator(place).all_text_contents()), place
        names = page.evaluate("plotOf(document.querySelector('figure[data-plot=changes]')).params[0].value")
        page.locator("figure[data-plot=changes] .mark-symbol path").nth(names.index(NASTY)).hover()
        expect(page.locator("#vg-tooltip-element")).to_contain_text(NASTY)
        assert page.locator("script").count() == 3


def test_themes_and_print(browser: Browser, folder: Path) -> None:
    colours = (
        "() => [getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('.canvas .mark-symbol path')).fill,"
        " getComputedStyle(document.querySelector('.change.worse')).color]"
    )
    with Opened(browser, folder / "10.html", color_scheme="light") as page:
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        expect(page.locator("figure.plot svg")).to_have_count(2)
        page.emulate_media(media="screen")
        light = page.evaluate(colours)
        page.emulate_media(color_scheme="dark")
        dark = page.evaluate(colours)
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate(colours) == light
        assert all(one != other for one, other in zip(light, dark, strict=True))
        page.set_viewport_size({"width": 718, "height": 1000})  # A4 between the usual margins, in CSS pixels
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 718


def test_without_truth_there_are_flips_alone(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(render_comparison(sample_content(3, 100, with_truth=False)))
    with Opened(browser, tmp_path / "page.html") as page:
        expect(page.locator("header .note")).to_contain_text("No record in both runs has truth")
        assert page.locator("figure.plot").count() == 0
        expect(page.locator("#labels .views button")).to_have_text(["Flips", "Thresholds"])
        assert page.locator("#label-table .c:visible").count() > 0
        assert page.locator("#records tbody tr").count() == 50
        assert not re.search(r"NaN|undefined|null|None", page.locator("body").inner_text())


def test_equal_runs_have_nothing_to_draw_but_the_diagonal(
    browser: Browser, content: dict[str, Any], tmp_path: Path
) -> None:
    same = copy.deepcopy(content) | {"changed_records": [], "flipped_records": []}
    for row in [same["overall"], *(row["metrics"] for row in same["per_label"])]:
        for change in row.values():
            change |= {"after": change["before"], "change": 0.0, "interval": [0.0, 0.0]}
    (tmp_path / "page.html").write_text(render_comparison(same))
    with Opened(browser, tmp_path / "page.html") as page:
        scroll_through(page)
        assert page.locator("figure.plot").count() == 1
        assert page.locator(".change.better, .change.worse").count() == 0
        assert page.locator("#records").count() == 0
        assert np.isfinite(page.evaluate("document.scrollingElement.scrollHeight"))
