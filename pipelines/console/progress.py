"""How far a command is: committed parts against the plan, whichever process commits them, or epochs."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from bulklabel.model.errors import StoreError
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.logs import inform, is_json
from bulklabel.transforms.files import files
from bulklabel.transforms.run_directory.parts import PART_KINDS

if TYPE_CHECKING:
    from bulklabel.model.training.fit import Epoch
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


class EpochLines:
    """Prints a line for each epoch, and draws a bar below it where somebody may look."""

    def __init__(self) -> None:
        self._bar: Any = None

    def resumed(self, epochs: int) -> None:
        """Tells after which epoch a training that was stopped goes on."""
        print(f"going on after epoch {epochs}, where this training was stopped", flush=True)

    def step(self, done: int, steps: int) -> None:
        """Draws how much of an epoch is done."""
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=steps, unit="batch", leave=False)
        self._bar.update(done - self._bar.n)

    def epoch(self, epoch: "Epoch") -> None:
        """Prints what an epoch came to."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        of = f" of {epoch.epochs}" if epoch.epochs else ""
        validation = epoch.validation
        judged = f", validation loss {validation['loss']:.4f}, F1 {validation['f1_micro']:.4f}" if validation else ""
        print(f"epoch {epoch.number}{of}: loss {epoch.loss:.4f}{judged} ({epoch.seconds:.1f} s)", flush=True)
        inform("epoch", number=epoch.number, loss=epoch.loss, **{f"validation_{k}": v for k, v in validation.items()})
