"""A progress bar on a terminal: committed parts against the plan, whichever process commits them."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from model.errors import StoreError

if TYPE_CHECKING:
    from tqdm import tqdm

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
    with tqdm(total=len(plan.shards), initial=_committed(output), unit="part", desc="scoring") as bar:
        watcher = threading.Thread(target=_watch, args=(bar, output, finished), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            finished.set()
            watcher.join()


def _watch(bar: "tqdm[None]", output: str, finished: threading.Event) -> None:
    over = False
    while not over:
        over = finished.wait(SECONDS_BETWEEN_LOOKS)
        with contextlib.suppress(StoreError):  # whatever is wrong, the run itself will say it
            bar.n = _committed(output)
        bar.refresh()


def _committed(output: str) -> int:
    from transforms import files
    from transforms.parts import PREDICTIONS

    return sum(file.path.endswith(".parquet") for file in files.list_folder(files.join(output, PREDICTIONS)))
