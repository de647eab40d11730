"""The report in headless Chromium: nothing is loaded or goes wrong, and all that can be pressed does what it says."""

import copy
import csv
import re
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from sklearn.metrics import f1_score

from bulklabel.model.report import render_report
from bulklabel.model.report.page_data import label_rows
from tests.browser.browsing import DESK, PHONE, Opened, labels_shown, scroll_through
from tests.browser.sample_report import NASTY, Sample, names_of


@pytest.fixture(scope="module")
def samples() -> dict[int, Sample]:
    return {labels: Sample(names_of(labels), records) for labels, records in ((3, 300), (10, 1000), (1000, 300))}


@pytest.fixture(scope="module")
def folder(samples: dict[int, Sample], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    for labels, sample in samples.items():
        (folder / f"{labels}.html").write_text(sample.page())
    (folder / "truthless.html").write_text(Sample(names_of(3), 300, with_truth=False).page())
    return folder


@pytest.mark.parametrize("labels", [3, 10, 1000])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_everything_is_drawn_and_nothing_is_wider_than_the_page(
    browser: Browser, folder: Path, labels: int, viewport: dict[str, int]
) -> None:
    with Opened(browser, folder / f"{labels}.html", viewport=viewport) as page:
        scroll_through(page)
        assert page.locator("figure.plot").count() == 14
        for figure in page.locator("figure.plot").all():
            assert figure.locator("svg .mark-rect path, svg .mark-line path, svg .mark-symbol path").count(), figure
        assert page.evaluate("document.scrollingElement.scrollWidth") <= viewport["width"]


def test_plots_wait_until_they_are_in_view(browser: Browser, folder: Path) -> None:
    """The time is printed alone: it says more of the machine than of the page."""
    with Opened(browser, folder / "1000.html") as page:
        assert page.locator("#label-table tbody tr").count() == 1000
        timing = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        print(f"1,000 labels: loaded after {timing:.0f} ms")
        assert page.locator("figure.plot[data-of=all] svg").count() == 0
        assert page.locator("#gallery img").count() == 0
        page.get_by_role("columnheader", name="support").get_by_role("button").click()
        page.get_by_role("searchbox").fill("label 99")
        assert len(labels_shown(page)) == 11


def test_every_column_sorts(browser: Browser, folder: Path, samples: dict[int, Sample]) -> None:
    rows = label_rows(samples[10].metrics)
    with Opened(browser, folder / "10.html") as page:
        for view in page.locator("#labels .views button").all():
            view.click()
            for header in page.locator("#label-table thead th:visible").all():
                button = header.locator("button")
                key = button.get_attribute("data-key") or ""
                if key == "label" or key.startswith("suggested_"):
                    continue
                rising = [row["label"] for row in sorted(rows, key=lambda row: row[key])]
                button.click()
                assert header.get_attribute("aria-sort") == "descending"
                values = {row["label"]: row[key] for row in rows}
                assert [values[label] for label in labels_shown(page)] == [values[label] for label in rising[::-1]]
                button.focus()
                page.keyboard.press("Enter")
                assert header.get_attribute("aria-sort") == "ascending"
                assert [values[label] for label in labels_shown(page)] == [values[label] for label in rising]
                assert page.locator("#label-table th:not([aria-sort=none])[aria-sort]").count() == 1
        page.locator("button[data-key=label]").click()
        assert labels_shown(page)[1:4] == [
            "a label with a name that is very much longer than others",
            "dress",
            "handbag",
        ]


def test_a_search_leaves_what_holds_the_words(browser: Browser, folder: Path) -> None:
    with Opened(browser, folder / "10.html") as page:
        page.get_by_role("searchbox").press_sequentially("SHOE")
        assert labels_shown(page) == ["summer shoes"]
        expect(page.locator("#found")).to_have_text("1 of 10")
        page.get_by_role("searchbox").fill("")
        assert len(labels_shown(page)) == 10


def test_the_weakest_label_is_shown_first_and_a_choice_redraws(
    browser: Browser, folder: Path, samples: dict[int, Sample]
) -> None:
    rows = samples[10].metrics["per_label"]
    weakest = min((row for row in rows if row["support"]), key=lambda row: row["f1"])
    with Opened(browser, folder / "10.html") as page:
        chosen, numbers = page.locator("#chosen"), page.locator("#numbers")
        expect(chosen.locator("option:checked")).to_have_text(weakest["label"])
        expect(numbers).to_contain_text(f"{weakest['f1']:.4f}")
        scroll_through(page)
        drawn = [figure.locator("svg").inner_html() for figure in page.locator("figure[data-of=label]").all()]
        for row in (rows[1], rows[4]):
            if row is rows[1]:
                chosen.select_option(row["label"])
            else:
                page.locator("#label-table tbody tr", has_text=row["label"]).locator("td").first.click()
            expect(chosen.locator("option:checked")).to_have_text(row["label"])
            expect(numbers).to_contain_text(f"{row['f1']:.4f}")
            expect(page.locator("#sentence")).to_contain_text(
                f"{row['tp']} were found (TP) and {row['fn']} missed (FN)"
            )
            for figure, before in zip(page.locator("figure[data-of=label]").all(), drawn, strict=True):
                figure.scroll_into_view_if_needed()
                expect(figure.locator("svg")).to_have_count(1)
                page.wait_for_function(
                    "([figure, before]) => figure.querySelector('svg').innerHTML !== before",
                    arg=[figure.element_handle(), before],
                )


def test_curves_pass_through_the_counts(browser: Browser, folder: Path, samples: dict[int, Sample]) -> None:
    """What is drawn is what numpy counts at each threshold, and the dots are where the metrics say."""
    sample = samples[10]
    truth, scores, row = sample.truth[:, 0], sample.scores[:, 0], sample.metrics["per_label"][0]
    with Opened(browser, folder / "10.html") as page:
        page.locator("#chosen").select_option(row["label"])
        drawn = {
            name: page.evaluate(f"plotOf(document.querySelector('figure[data-plot={name}]')).datasets")
            for name in ("precision_recall", "roc", "thresholds", "reliability", "histogram")
        }
    for point in [*drawn["roc"]["points"][1:-1], *drawn["roc"]["marks"]]:
        predicted = scores >= point["threshold"]
        assert point["recall"] == pytest.approx(predicted[truth].mean())
        assert point["false_positive_rate"] == pytest.approx(predicted[~truth].mean())
    assert [drawn["roc"]["points"][end]["recall"] for end in (0, -1)] == [0, 1]
    for point in [*drawn["precision_recall"]["points"], *drawn["precision_recall"]["marks"]]:
        predicted = scores >= point["threshold"]
        assert point["precision"] == pytest.approx(truth[predicted].mean())
        assert point["recall"] == pytest.approx(predicted[truth].mean())
    for point in drawn["thresholds"]["points"]:
        if point["metric"] == "F1":
            assert point["rate"] == pytest.approx(f1_score(truth, scores >= point["threshold"]))
    assert [mark["kind"] for mark in drawn["thresholds"]["marks"]] == ["current", "suggested"]
    assert [mark["threshold"] for mark in drawn["thresholds"]["marks"]] == [row["threshold"], 0.8]
    for point in drawn["reliability"]["points"]:
        inside = abs(scores - point["probability"]) < 0.1
        assert truth[inside].min() <= point["frequency"] <= truth[inside].max()
    for name, wanted in (("present", truth), ("absent", ~truth)):
        bars = [bar["records"] for bar in drawn["histogram"]["points"] if bar["truth"] == name]
        assert bars == np.histogram(scores[wanted], 10, (0, 1))[0].tolist()


def test_a_suggestion_is_on_the_curve_where_truth_is_unknown(
    browser: Browser, tmp_path: Path, samples: dict[int, Sample]
) -> None:
    """A suggested threshold is said to predict records of unknown truth too: they are no false positives."""
    sample = samples[10]
    metrics = copy.deepcopy(sample.metrics)
    metrics["per_label"][0]["suggested"]["predicted"] += 500
    (tmp_path / "page.html").write_text(render_report(metrics, sample.drawings, {}))
    with Opened(browser, tmp_path / "page.html") as page:
        page.locator("#chosen").select_option(metrics["per_label"][0]["label"])
        mark = page.evaluate("plotOf(document.querySelector('figure[data-plot=roc]')).datasets.marks[1]")
    wrong = sample.scores[~sample.truth[:, 0], 0] >= mark["threshold"]
    assert mark["false_positive_rate"] == pytest.approx(wrong.mean())


def test_names_stay_text(browser: Browser, folder: Path) -> None:
    with Opened(browser, folder / "10.html") as page:
        page.locator("#chosen").select_option(NASTY)
        scroll_through(page)
        page.locator("#gallery").scroll_into_view_if_needed()
        expect(page.locator("#gallery figcaption .id", has_text=NASTY).first).to_have_text(NASTY)
        assert NASTY in labels_shown(page)
        for place in ("#slices th", "#unknown th", "#pairs td", "#pairs svg text"):
            texts = page.locator(place).all_text_contents()
            assert any(text.endswith(NASTY) or text.startswith("<script>al") for text in texts), place
        page.locator("figure[data-plot=slices] .mark-symbol path").nth(4).hover()
        expect(page.locator("#vg-tooltip-element")).to_contain_text(NASTY)
        assert page.locator("script").count() == 3


def test_the_gallery_shows_the_mistakes_of_the_chosen_label(
    browser: Browser, folder: Path, samples: dict[int, Sample]
) -> None:
    examples, records = samples[10].drawings["examples"], samples[10].drawings["records"]
    with Opened(browser, folder / "10.html") as page:
        for label in (0, 3):
            page.locator("#chosen").select_option(samples[10].names[label])
            page.locator("#gallery").scroll_into_view_if_needed()
            expect(page.locator("#gallery figcaption .id")).to_have_text(
                [records[example["record"]]["id"] for example in examples if example["label"] == label]
            )
        shown = [records[example["record"]] for example in examples if example["label"] == 3]
        with_picture = [record for record in shown if record["thumbnail"] is not None]
        assert page.locator("#gallery img").count() == len(with_picture)
        page.wait_for_function("[...document.querySelectorAll('#gallery img')].every((image) => image.naturalWidth)")


def test_pairs_can_be_chosen(browser: Browser, folder: Path) -> None:
    with Opened(browser, folder / "10.html") as page:
        seen = set()
        for name in ("Confused", "Co-occurrence in truth", "Co-occurrence in predictions"):
            page.get_by_role("button", name=name).click()
            expect(page.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
            page.locator("figure[data-plot=pairs]").scroll_into_view_if_needed()
            page.wait_for_function("() => document.querySelector('figure[data-plot=pairs] svg')")
            seen.add(page.locator("#pairs-meaning").inner_text())
            seen.add(
                page.evaluate("JSON.stringify(plotOf(document.querySelector('figure[data-plot=pairs]')).datasets)")
            )
        assert len(seen) == 6


def test_plots_follow_the_theme_and_print_in_light(browser: Browser, folder: Path) -> None:
    colours = (
        "() => [getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('.canvas .mark-text text')).fill,"
        " getComputedStyle(document.querySelector('.canvas .mark-line path')).stroke]"
    )
    seen = {}
    with Opened(browser, folder / "10.html", color_scheme="light") as page:
        scroll_through(page)
        seen["light"] = page.evaluate(colours)
        page.emulate_media(color_scheme="dark")
        seen["dark"] = page.evaluate(colours)
        page.emulate_media(media="print", color_scheme="dark")
        seen["print"] = page.evaluate(colours)
    assert all(light != dark for light, dark in zip(seen["light"], seen["dark"], strict=True))
    assert seen["print"] == seen["light"]


def test_printing_draws_what_was_not_in_view(browser: Browser, folder: Path) -> None:
    with Opened(browser, folder / "10.html") as page:
        assert page.locator("figure.plot svg").count() < 14
        printed = page.pdf(format="A4")
        assert printed.startswith(b"%PDF")
        assert page.locator("figure.plot svg").count() == 14
        assert page.locator("#gallery img").count() > 0
        assert len(page.pdf(format="A4")) == pytest.approx(len(printed), rel=0.01)


def test_a_printed_page_is_wide_enough(browser: Browser, folder: Path) -> None:
    a4 = {"width": 718, "height": 1000}  # CSS pixels between the usual margins
    with Opened(browser, folder / "10.html", viewport=a4) as page:
        page.emulate_media(media="print")
        for view in ("q", "c", "r", "p", "d", "t"):
            page.evaluate("view => document.querySelector('#labels').dataset.view = view", view)
            assert page.evaluate("document.scrollingElement.scrollWidth") <= a4["width"]


def test_without_truth_the_uncertain_are_there(browser: Browser, folder: Path) -> None:
    with Opened(browser, folder / "truthless.html") as page:
        page.locator("#gallery").scroll_into_view_if_needed()
        expect(page.locator("#gallery h3")).to_have_text(["Most confident", "Nearest to the threshold"])
        expect(page.locator("#gallery figure")).to_have_count(8)
        scroll_through(page)
        expect(page.locator("#pairs .views button")).to_have_text(["Co-occurrence in predictions"])
        assert not re.search(r"NaN|undefined|null|None", page.locator("body").inner_text())


def test_what_is_undefined_is_no_error(browser: Browser, tmp_path: Path) -> None:
    """A label that no record is known to have or to lack, slices without truth, no confusion, no suggestion."""
    sample = Sample(names_of(2), 50)
    row, other = sample.metrics["per_label"]
    row |= dict.fromkeys(("tp", "fp", "fn", "tn", "support", "known"), 0) | {"unknown": 50, "suggested": None}
    row |= {name: None for name, value in row.items() if isinstance(value, float) and name != "threshold"}
    row |= {"roc_auc_bounds": None, "average_precision_bounds": None, "intervals": dict.fromkeys(other["intervals"])}
    sample.metrics["overall"] = dict.fromkeys(sample.metrics["overall"]) | {"support": 0}
    sample.metrics["intervals"] = dict.fromkeys(sample.metrics["intervals"])
    for entry in sample.metrics["slices"]["camera"]:
        entry["overall"] = sample.metrics["overall"]
        entry["intervals"] = {"f1_micro": None}
    sample.metrics["overall"] = sample.metrics["overall"] | {"f1_micro": 0.5}
    sample.metrics["slices"]["camera"][0]["overall"] = sample.metrics["overall"]
    bins = [[0, 0, None] for _ in range(10)]
    sample.drawings |= {
        "cuts": [[], []],
        "all_cuts": [],
        "reliability": [bins, bins],
        "all_reliability": bins,
        "examples": [],
    }
    undefined = dict.fromkeys(("baseline_rate", "label_rate", "drift_label_rate", "drift_probabilities"))
    sample.metrics["drift"] = {
        "overall": dict.fromkeys(sample.metrics["drift"]["overall"]),
        "most": dict.fromkeys(sample.metrics["drift"]["most"]),
        "per_label": [row | undefined for row in sample.metrics["drift"]["per_label"]],
    }
    sample.drawings["pairs"] |= {"top_confused": [], "confused": [[0, 0], [0, 0]]}
    sample.metrics["thresholds"]["suggested"] = dict.fromkeys(sample.metrics["thresholds"]["suggested"])
    (tmp_path / "page.html").write_text(sample.page())
    with Opened(browser, tmp_path / "page.html") as page:
        page.locator("#chosen").select_option(row["label"])
        for figure in page.locator("figure.plot").all():
            figure.scroll_into_view_if_needed()
            page.wait_for_function("figure => figure.drawn", arg=figure.element_handle())
            page.evaluate("figure => figure.job", figure.element_handle())
        assert not re.search(r"NaN|undefined|null|None|Infinity", page.locator("body").inner_text())
        expect(page.locator("#numbers")).to_contain_text("F1–precision–")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_requirements_are_told_in_words_and_colours(
    browser: Browser, folder: Path, viewport: dict[str, int], scheme: Literal["light", "dark"]
) -> None:
    with Opened(browser, folder / "truthless.html", viewport=viewport, color_scheme=scheme) as page:
        assert page.locator("section").first.get_attribute("id") == "gates"
        expect(page.locator("#gates .warning")).to_contain_text("2 of 3 requirements failed.")
        verdicts = page.locator("#gates tbody tr")
        expect(verdicts.locator("td.text")).to_have_text(
            ["failed", "failed: no value: there are no records to tell it", "passed"]
        )
        expect(verdicts.locator("th").first).to_have_text(f"recall[{NASTY}]>=baseline-0.02")
        colours = [
            page.evaluate("cell => getComputedStyle(cell).color", cell.element_handle())
            for cell in verdicts.locator("td.text b").all()
        ]
        assert colours[0] == colours[1] != colours[2]
        for cell in verdicts.locator("td.text").all():
            box = cell.bounding_box()
            assert box
            assert box["x"] + box["width"] <= viewport["width"]
        page.get_by_role("link", name="Requirements").click()
        expect(page.locator("#gates")).to_be_in_viewport()


def test_what_moved_most_comes_first(browser: Browser, folder: Path, samples: dict[int, Sample]) -> None:
    rows = samples[1000].metrics["drift"]["per_label"]
    expected = sorted(rows, key=lambda row: -row["drift_label_rate"])
    with Opened(browser, folder / "1000.html") as page:
        shown = page.locator("#drift h3 ~ .beside tbody tr")
        expect(shown).to_have_count(200)
        for line, row in zip(shown.all()[:5], expected, strict=False):
            assert line.locator("th").text_content() == row["label"]
            assert line.locator("td").first.text_content() == f"{row['baseline_rate']:.4f}"
        expect(page.locator("#drift")).to_contain_text(f"largest change of a label's rate: {expected[0]['label']}")
        page.locator("figure[data-plot=drift]").scroll_into_view_if_needed()
        expect(page.locator("figure[data-plot=drift] svg")).to_have_count(1)
        assert page.locator("figure[data-plot=drift] .mark-symbol path").count() == 40
        page.locator("figure[data-plot=drift] .mark-symbol path").last.hover()
        expect(page.locator("#vg-tooltip-element")).to_contain_text("before")


def test_no_broken_words_reach_the_page(browser: Browser, folder: Path) -> None:
    with Opened(browser, folder / "10.html") as page:
        scroll_through(page)
        for view in page.locator("#labels .views button").all():
            view.click()
            assert not re.search(r"NaN|undefined|null|None", page.locator("body").inner_text())


def test_the_slider_tells_what_each_threshold_gives(browser: Browser, folder: Path, samples: dict[int, Sample]) -> None:
    sample = samples[10]
    truth, scores, row = sample.truth[:, 1], sample.scores[:, 1], sample.metrics["per_label"][1]
    with Opened(browser, folder / "10.html") as page:
        page.locator("#chosen").select_option(sample.names[1])
        given = page.locator("#at-threshold dd")
        expect(given).to_have_text(
            [
                *(f"{row[name]:.4f}" for name in ("precision", "recall", "f1")),
                str(row["tp"]),
                str(row["fp"]),
                str(row["fn"]),
            ]
        )
        page.locator("figure[data-plot=precision_recall][data-of=label]").scroll_into_view_if_needed()
        drawn = page.locator("figure[data-plot=precision_recall][data-of=label] svg")
        expect(drawn).to_have_count(1)
        before = drawn.inner_html()
        page.locator("#threshold").focus()
        for key in ("ArrowRight", "ArrowRight", "End", "ArrowLeft"):
            page.keyboard.press(key)
            threshold = page.evaluate("sourceOf(state.label).cuts[state.cut][0]")
            predicted = scores >= threshold
            assert given.nth(3).inner_text() == str((predicted & truth).sum())
            assert given.nth(4).inner_text() == str((predicted & ~truth).sum())
            assert given.nth(2).inner_text() == f"{f1_score(truth, predicted, zero_division=0):.4f}"
        assert drawn.inner_html() != before
        page.get_by_role("button", name="suggested").click()
        assert page.locator("#threshold-value").inner_text().startswith("0.8")


def test_a_label_has_an_address_and_the_focus_goes_along(browser: Browser, folder: Path) -> None:
    with Opened(browser, folder / "10.html") as page:
        first = page.locator("#label-name").inner_text()
        page.locator("#label-table tbody a", has_text="summer shoes").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#label-name")).to_have_text("summer shoes")
        expect(page.locator("#label-title")).to_be_focused()
        expect(page.locator("#label-title")).to_be_in_viewport()
        assert page.url.endswith("#label=summer%20shoes")
        page.locator("#label-table tbody tr", has_text=NASTY).locator("td").first.click()
        expect(page.locator("#label-name")).to_have_text(NASTY)
        page.go_back()
        expect(page.locator("#label-name")).to_have_text("summer shoes")
        assert first != "summer shoes"
        page.locator("#chosen").select_option(NASTY)
        expect(page.locator("#label-name")).to_have_text(NASTY)
        page.locator("#label-table tbody tr", has_text="summer shoes").locator("td").first.click()
        expect(page.locator("#label-name")).to_have_text("summer shoes")
        page.reload()
        expect(page.locator("#label-name")).to_have_text("summer shoes")


def test_a_picture_and_a_pair_show_what_is_true_and_what_was_predicted(
    browser: Browser, folder: Path, samples: dict[int, Sample]
) -> None:
    records = samples[10].drawings["records"]
    names, truth, predicted = samples[10].names, samples[10].truth, samples[10].predicted
    places = [record["position"] for record in records]
    pictured = {
        row: [p for p in places if truth[p, one] > predicted[p, one] and predicted[p, other] > truth[p, other]]
        for row, (one, other, _) in enumerate(samples[10].drawings["pairs"]["top_confused"])
    }
    row, wanted = next((row, wanted) for row, wanted in pictured.items() if wanted)
    one, other, _ = samples[10].drawings["pairs"]["top_confused"][row]
    with Opened(browser, folder / "10.html") as page:
        page.locator("#pairs button.show").nth(row).focus()
        page.keyboard.press("Enter")
        expect(page.locator("#pair-title")).to_have_text(f"{names[one]} missed, {names[other]} predicted")
        expect(page.locator("#pair-title")).to_be_focused()
        expect(page.locator("#pair-pictures figure")).to_have_count(len(wanted))
        quoted = f"list_contains(labels, '{names[one]}') AND NOT list_contains(predicted, '{names[one]}')"
        expect(page.locator("#pair-query")).to_contain_text(quoted)
        unknown = samples[10].metrics["per_label"][other]["known"] < samples[10].metrics["counts"]["with_truth"]
        assert (f"NOT list_contains(unknown, '{names[other]}')" in page.locator("#pair-query").inner_text()) == unknown
        picture = page.locator("#pair-pictures figure").first
        expect(picture.locator(".labels").first).to_contain_text(names[one])
        picture.get_by_role("button").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.locator("tbody tr")).to_have_count(10)
        answer = dialog.locator("tbody tr", has=page.get_by_role("rowheader", name=names[other], exact=True))
        expect(answer.locator("td").nth(1)).to_have_text("yes (wrong)")
        expect(answer.locator("td").nth(2)).to_have_text("absent")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(picture.get_by_role("button")).to_be_focused()


def test_what_is_shown_can_be_saved(browser: Browser, folder: Path, samples: dict[int, Sample], tmp_path: Path) -> None:
    with Opened(browser, folder / "10.html") as page:
        page.get_by_role("searchbox").fill("a")
        with page.expect_download() as saved:
            page.locator("#labels button.save").click()
        saved.value.save_as(tmp_path / "labels.csv")
        with (tmp_path / "labels.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["label"] for row in rows] == labels_shown(page)
        expected = {row["label"]: row["f1"] for row in samples[10].metrics["per_label"]}
        assert all(float(row["f1"]) == expected[row["label"]] for row in rows)
        figure = page.locator("figure[data-plot=roc][data-of=label]")
        with page.expect_download() as drawn:
            figure.get_by_role("button", name="as SVG").click()
        drawn.value.save_as(tmp_path / "roc.svg")
        content = ElementTree.parse(tmp_path / "roc.svg")  # noqa: S314
        assert content.getroot().tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in (tmp_path / "roc.svg").read_text()
