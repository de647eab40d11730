"""A progress bar on a terminal: committed parts against the plan, whichever process commits them."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transforms.plan import Plan

SECONDS_BETWEEN_LOOKS = 1.0


@contextlib.contextmanager
def show_progress(output: str, plan: "Plan") -> Iterator[None]:
    """Show the bar on stderr while the body runs; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from tqdm import tqdm

    finished = threading.Event()
    with tqdm(total=len(plan.shards), unit="part", desc="scoring") as bar:
        watcher = threading.Thread(target=_watch, args=(bar, output, finished), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            finished.set()
            watcher.join()


def _watch(bar: "tqdm[None]", output: str, finished: threading.Event) -> None:  # type: ignore[name-defined]  # noqa: F821
    from transforms import files
    from transforms.parts import PREDICTIONS

    over = False
    while not over:
        over = finished.wait(SECONDS_BETWEEN_LOOKS)
        parts = files.list_folder(files.join(output, PREDICTIONS))
        bar.n = sum(file.path.endswith(".parquet") for file in parts)
        bar.refresh()
