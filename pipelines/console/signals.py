"""SIGTERM and SIGINT end a command at once, whatever it is doing, and its worker processes with it."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

SIGNALS = (signal.SIGTERM, signal.SIGINT)

SECONDS_TO_STOP = 8.0
"""The process is gone after this, even if reporting takes longer, such as counting shards on a store that stalls."""

FAILED = 1


@contextlib.contextmanager
def stoppable(stop: Callable[[str], int]) -> Iterator[None]:
    """Ends the process on a signal while the body runs: calls `stop` with its name, and exits with what it returns.

    The signals are blocked in all threads but one that waits for them. A handler of Python's would run in the main
    thread alone, which may be importing TensorFlow for seconds; an exception would be caught, or would wait for
    threads that nobody can stop. Worker processes inherit what is blocked, so Ctrl-C on a terminal is left to us.
    """
    awaited = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    if not awaited or threading.current_thread() is not threading.main_thread():
        yield  # whoever runs a command in a thread of theirs has signals of their own
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    over = threading.Event()

    def wait() -> None:
        name = signal.Signals(signal.sigwait(awaited)).name
        if not over.is_set():
            threading.Timer(SECONDS_TO_STOP, _leave, [FAILED]).start()
            _leave(stop(name))

    watcher = threading.Thread(target=wait, name="signals", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        signal.pthread_kill(watcher.ident or 0, awaited[0])
        watcher.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave(exit_code: int) -> None:
    """Ends this process and all that it started, without waiting for threads or printing more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    while children := _descendants(os.getpid()):
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    os._exit(exit_code)


def _descendants(ancestor: int) -> set[int]:
    """Returns the numbers of all processes that descend from one and have not ended, as Linux knows them."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, *_ = status.read_text().rpartition(")")[2].split()
            if state != "Z":
                parents[int(status.parent.name)] = int(parent)
    family = {ancestor}
    while children := {child for child, parent in parents.items() if parent in family} - family:
        family |= children
    return family - {ancestor}
