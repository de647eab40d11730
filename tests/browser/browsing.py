"""A page in headless Chromium, which must neither load anything nor complain."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1400, "height": 900}


class Opened:
    """A page, and whatever it asked for or complained of; both must be nothing but the file itself at the end."""

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:
        self.context = browser.new_context(offline=True, **({"viewport": DESK} | options))
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._dismiss)
        self.page.on("console", self._listen)
        self.address = path.as_uri()
        self.page.goto(self.address)

    def _dismiss(self, dialog: Dialog) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def __enter__(self) -> Page:
        return self.page

    def __exit__(self, *failure: object) -> None:
        self.context.close()
        if not any(failure):
            assert self.complaints == []
            assert {url for url in self.requests if not url.startswith("data:")} == {self.address}


def scroll_through(page: Page) -> None:
    """Bring every plot into view until it is drawn, each in the moment in which the one before it is."""
    page.wait_for_function(
        """() => {
            const waiting = [...document.querySelectorAll("figure.plot")].find(
                (figure) => figure.querySelectorAll("svg").length !== 1);
            waiting?.scrollIntoView({block: "center", behavior: "instant"});
            return !waiting;
        }"""
    )


def labels_shown(page: Page) -> list[str]:
    return page.locator("#label-table tbody tr:visible th").all_inner_texts()
