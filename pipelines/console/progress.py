"""How far a command is: the images of committed parts against the plan, whichever process commits them, or epochs."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bulklabel.model.errors import StoreError
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.logs import inform, is_json
from bulklabel.pipelines.console.tables import format_time, rate_words
from bulklabel.transforms.run_directory.run_directory import RunDirectory

if TYPE_CHECKING:
    from bulklabel.model.training.fit import Epoch
    from bulklabel.transforms.run_directory.plan import Plan

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_LINES = 30.0
LOOKS_APART = 20
"""A look lists all parts. Where that takes long, the next one waits this many times as long."""

BAR = "{percentage:3.0f}%|{bar}| {desc}"


@dataclass(frozen=True)
class Look:
    """Counts what was committed at a moment: shards, and what is in them in the unit that progress is told in."""

    moment: float
    shards: int
    done: int


class Progress:
    """Follows a run by its parts: in images where the plan knows how many there are, else in shards."""

    def __init__(self, output: str, plan: "Plan") -> None:
        """Knows the sizes of the shards, and has not looked yet."""
        self._directory = RunDirectory(output, plan.stamp)
        records = [shard.records for shard in plan.shards]
        known = [count for count in records if count is not None]
        self._sizes = known if len(known) == len(records) else [1] * len(records)
        self._unit = "images" if len(known) == len(records) else "shards"
        self.shards, self.total = len(records), sum(self._sizes)
        self._looks: list[Look] = []
        """The first look, the first that had more, since nobody knows how long the start took, and the last."""

    def look(self) -> Look:
        """Counts what is committed now.

        Raises:
            StoreError: if the store fails.
        """
        left = self._directory.shards_left()
        done = self.total - sum(self._sizes[index] for index in left)
        return Look(time.monotonic(), self.shards - len(left), done)

    def update(self) -> str:
        """Looks again; returns how much is done, how fast, and how long the rest will take.

        Raises:
            StoreError: if the store fails.
        """
        look = self.look()
        kept = self._looks[:2] if len({each.done for each in self._looks[:2]}) == 2 else self._looks[:1]
        self._looks = [*kept, look]
        text = f"{look.done:,} of {self.total:,} {self._unit}"
        rate = self._rate()
        if rate is not None:
            text += f", {rate_words(rate)}"
            if look.done < self.total:
                text += f", {format_time((self.total - look.done) / rate)} left"
        return text

    def _rate(self) -> float | None:
        """Returns what is done a second; None before anything was."""
        first, last = self._looks[0], self._looks[-1]
        more = next((look for look in self._looks if first.done < look.done < last.done), first)
        done, seconds = last.done - more.done, last.moment - more.moment
        return done / seconds if done and seconds else None

    @property
    def done(self) -> int:
        """Returns what was done at the last look."""
        return self._looks[-1].done

    @property
    def fields(self) -> dict[str, Any]:
        """Returns what a line of the log has besides its message, as of the last look."""
        first, last = self._looks[0], self._looks[-1]
        images = {"images": self.total, "images_done": last.done} if self._unit == "images" else {}
        return {"shards": self.shards, "done": last.shards, **images, "seconds": round(last.moment - first.moment, 1)}


@contextlib.contextmanager
def show_progress(output: str, plan: "Plan") -> Iterator[None]:
    """Shows a bar on a terminal while the body runs, and elsewhere a line now and then."""
    progress = Progress(output, plan)
    current().progress = lambda: (progress.look().shards, progress.shards)
    if is_json():
        shown = _logged(progress)
    elif sys.stderr.isatty():
        shown = _bar(progress)
    else:
        shown = _repeated(lambda: _print(progress), SECONDS_BETWEEN_LINES)
    with shown:
        yield


@contextlib.contextmanager
def _logged(progress: Progress) -> Iterator[None]:
    """Logs a line when the body starts, when it ends, and at most every half a minute in between."""

    def line(message: str) -> None:
        progress.update()
        inform(message, **progress.fields)

    line("started")
    with _repeated(lambda: line("progress"), SECONDS_BETWEEN_LINES):
        yield
    with contextlib.suppress(StoreError):  # all is published, and a store that fails now undoes nothing
        progress.update()
    inform("published", **progress.fields)


def _print(progress: Progress) -> None:
    print(progress.update(), flush=True)


@contextlib.contextmanager
def _bar(progress: Progress) -> Iterator[None]:
    from tqdm import tqdm

    with tqdm(total=progress.total, desc="", bar_format=BAR) as bar:

        def draw() -> None:
            bar.desc = progress.update()
            bar.n = progress.done
            bar.refresh()

        draw()
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


class EpochLines:
    """Prints a line for each epoch, and draws a bar below it where somebody may look."""

    def __init__(self) -> None:
        self._bar: Any = None

    def resumed(self, epochs: int) -> None:
        """Tells after which epoch a training that was stopped goes on."""
        print(f"continuing after epoch {epochs}, where this training was stopped", flush=True)

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
