"""Runs of `score` in forked processes, which may kill themselves at a chosen moment, or all start at the same one."""

import json
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from bulklabel.transforms.scoring.model_files import save_model
from tests.conftest import answers, collage_rows, untrained_model, write_parquet
from tests.durability.faults import Fault, inject
from tests.support.networks import package
from tests.support.onnx_networks import save_onnx, small

EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.scandir")
"""What Python says of each touch of a file, just before it happens."""

SHARDS, RECORDS = 8, 40
TINY_LABELS = ("0", "1")
PATIENCE = 120


@dataclass(frozen=True)
class Death:
    """When a run kills itself: just before so many touches of files below its output, or after so much CPU time.

    `signal` may stop it instead; `file` lets only files count in whose path it is.
    """

    touches: int = 0
    seconds: float = 0.0
    file: str = ""
    signal: int = signal.SIGKILL


NEVER, NONE = Death(), Fault()


@dataclass(frozen=True)
class Run:
    """A forked run, where it writes its results and where what it says."""

    process: Any
    output: Path
    log: Path

    def end(self, seconds: float = PATIENCE) -> int:
        """Its exit code, or the signal that ended it, below zero; it must end within the seconds."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"it hangs: {self.said}"
        return int(self.process.exitcode)

    def wait_until_stopped(self) -> None:
        """Wait for the moment at which it stops itself."""
        until = time.monotonic() + PATIENCE
        while Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < until, self.said
            time.sleep(0.01)

    @property
    def counts(self) -> dict[str, float]:
        """What it did: touches of files, seconds, and file operations by name."""
        found: dict[str, float] = json.loads(self.log.with_suffix(".json").read_text())
        return found

    @property
    def said(self) -> str:
        """All that it printed, what was on stderr first."""
        return self.errors + self.log.read_text()

    @property
    def errors(self) -> str:
        """What it printed on stderr."""
        return self.log.with_suffix(".err").read_text()

    @property
    def is_alive(self) -> bool:
        """Whether its process has not ended."""
        return bool(self.process.is_alive())


def forks() -> Any:
    """Where processes come from: a server that has imported all that a run needs, and started none of it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.durability.preloaded"])
    return context


def forked(
    flags: Sequence[str],
    output: Path,
    log: Path,
    death: Death = NEVER,
    fault: Fault = NONE,
    barrier: Barrier | None = None,
    folder: Path | None = None,
) -> Run:
    """Start `score` with the flags, at once or when all are at the barrier, in a folder."""
    command = [*flags, f"--output={output}"]
    process = forks().Process(target=_score, args=(command, output, log, death, fault, barrier, folder))
    process.start()
    return Run(process, output, log)


def _score(
    command: list[str],
    output: Path,
    log: Path,
    death: Death,
    fault: Fault,
    barrier: Barrier | None,
    folder: Path | None,
) -> None:
    from bulklabel.pipelines.score import main

    os.setsid()  # so that a signal to all of its processes reaches no others
    os.chdir(folder or os.curdir)
    for stream, path in ((1, log), (2, log.with_suffix(".err"))):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    touches = 0

    def touched(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal touches
        if event in EVENTS and str(arguments[0]).startswith(str(output)) and death.file in str(arguments[0]):
            touches += 1
            if touches == death.touches:
                os.kill(os.getpid(), death.signal)

    def watch() -> None:
        while time.process_time() < death.seconds:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(touched)
    operations = inject(fault, (str(output), *(flag.partition("=")[2] for flag in command if "--input=" in flag)))
    if death.seconds:
        threading.Thread(target=watch, daemon=True).start()
    if barrier is not None:
        barrier.wait(PATIENCE)
    exit_code = main(command)
    sys.stdout.flush()
    counts = operations | {"touches": touches, "seconds": time.process_time()}
    log.with_suffix(".json").write_text(json.dumps(counts))
    os._exit(exit_code)


def outcome(output: Path) -> dict[str, Any]:
    """What must be the same however often a run was interrupted: its files, the answers, the manifest's counts."""
    manifest = json.loads((output / "manifest.json").read_bytes())
    names = sorted(str(path.relative_to(output)) for path in output.rglob("*"))
    said = {name: manifest[name] for name in ("counts", "predictions", "rejected")}
    return answers(output) | {"files": names} | said


def tiny_run(folder: Path) -> None:
    """Makes the input of a run of a second: eight shards, some records broken, and a small network of two labels."""
    tiny_input(folder)
    save_model(untrained_model(TINY_LABELS, 16), str(folder / "model"))


def tiny_onnx_run(folder: Path) -> None:
    """Makes the same for a network in ONNX, which a forked process starts in a quarter of the time."""
    tiny_input(folder)
    network = save_onnx(small(outputs=len(TINY_LABELS)), folder / "network.onnx")
    assert package(network, folder / "model", engine="onnx", labels=TINY_LABELS) == 0


def tiny_input(folder: Path) -> None:
    """Writes the records of these runs."""
    rows = [
        row | {"labels": [label for label in row["labels"] if label in TINY_LABELS]}
        for row in collage_rows(SHARDS * RECORDS, seed=5)
    ]
    for row in rows[::79]:
        row["image"] = b"no image"
    for number in range(SHARDS):
        write_parquet(folder / "in" / f"{number}.parquet", rows[number * RECORDS : (number + 1) * RECORDS])


def tiny_flags(folder: Path) -> list[str]:
    """Returns the flags of that run, without its output."""
    return [f"--input={folder / 'in'}", f"--model={folder / 'model'}"]


def undisturbed_run(flags: Sequence[str], folder: Path) -> None:
    """Runs `score` in a folder when nobody kills it and nothing fails."""
    run = forked(flags, folder / "run", folder / "log")
    assert run.end() == 0, run.said


def said_in_one_line(text: str) -> None:
    """An error, the summary of it, and nothing else but what the run begins with."""
    begins = re.compile(r"[a-z]+ing |truth: |[\d,]+ images in |[\d,]+ files? of ")
    error, summary = (line for line in text.splitlines() if not begins.match(line))
    assert error == f"bulklabel: error: {json.loads(summary)['error']}"
