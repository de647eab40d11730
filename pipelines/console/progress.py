"""How far a run is: committed parts against the plan, whichever process commits them."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bulklabel.model.errors import StoreError
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.logs import inform, is_json
from bulklabel.transforms.files import files
from bulklabel.transforms.run_directory.parts import PART_KINDS

if TYPE_CHECKING:
    from bulklabel.transforms.run_directory.plan import Plan

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_LINES = 30.0
LOOKS_APART = 20
"""A look lists all parts. Where that takes long, the next one waits this many times as long."""


@contextlib.contextmanager
def show_progress(output: str, plan: "Plan") -> Iterator[None]:
    """Shows a bar on a terminal while the body runs, or in JSON a line now and then."""
    current().progress = lambda: (_committed(output), len(plan.shards))
    with contextlib.ExitStack() as shown:
        if is_json():
            shown.enter_context(_lines(output, plan))
        elif sys.stderr.isatty():
            shown.enter_context(_bar(output, plan))
        yield


@contextlib.contextmanager
def _lines(output: str, plan: "Plan") -> Iterator[None]:
    """Logs a line when the body starts, when it ends, and at most every half a minute in between."""
    started, shards = time.monotonic(), len(plan.shards)

    def line(message: str, done: int) -> None:
        inform(message, shards=shards, done=done, seconds=round(time.monotonic() - started, 1))

    line("started", _committed(output))
    with _repeated(lambda: line("progress", _committed(output)), SECONDS_BETWEEN_LINES):
        yield
    line("published", shards)


@contextlib.contextmanager
def _bar(output: str, plan: "Plan") -> Iterator[None]:
    from tqdm import tqdm

    with tqdm(total=len(plan.shards), initial=_committed(output), unit="part", desc="scoring") as bar:

        def draw() -> None:
            bar.n = _committed(output)
            bar.refresh()

        try:
            with _repeated(draw, SECONDS_BETWEEN_LOOKS):
                yield
        finally:
            with contextlib.suppress(StoreError):
                draw()


@contextlib.contextmanager
def _repeated(show: Callable[[], None], seconds: float) -> Iterator[None]:
    """Calls `show` at intervals while the body runs; longer ones if it takes long."""
    finished = threading.Event()

    def watch() -> None:
        pause = seconds
        while not finished.wait(pause):
            started = time.monotonic()
            with contextlib.suppress(StoreError):  # the run itself will report it
                show()
            pause = max(seconds, LOOKS_APART * (time.monotonic() - started))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()


def _committed(output: str) -> int:
    """Counts the shards whose parts of both kinds are there."""
    listings = [files.list_folder(files.join(output, kind)) for kind in PART_KINDS]
    return min(sum(file.path.endswith(".parquet") for file in listing) for listing in listings)
