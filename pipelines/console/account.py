"""What a command reports at its end, however it ends: one JSON line on stdout, and a textfile for Prometheus."""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bulklabel.model.errors import first_line
from bulklabel.pipelines.console.exit_codes import DONE, PUBLISHED, STATES, WITHOUT_AN_END
from bulklabel.pipelines.console.logs import log
from bulklabel.pipelines.flags.parser import JSON, TEXT
from bulklabel.transforms.files.text import json_line

HEADLINES = ("f1_micro", "f1_macro", "subset_accuracy", "hamming_loss")


class Account:
    """Collects what is known of a command from its start on, and reports its end once."""

    def __init__(self, command: str, log_format: str, textfile: str | None = None) -> None:
        self._command = command
        self._textfile = textfile
        self._stdout = sys.stdout
        self._prints_summary = log_format == JSON or not (sys.stdout and sys.stdout.isatty())
        self._started = time.monotonic()
        self.started = datetime.now(UTC)
        """When the command started, before it imported anything large."""
        self._exit_code: int | None = None
        self._closing = threading.Lock()
        self.progress: Callable[[], tuple[int, int]] | None = None
        """Finished shards and all of them, once a run goes on."""
        self.output: str | None = None
        self.plan: str | None = None
        self.counts: dict[str, int] | None = None
        self.metrics: dict[str, float | None] | None = None
        self.rejected: dict[str, int] = {}
        self.report: str | None = None
        self.state: str | None = None
        self.forecast: dict[str, Any] | None = None
        """What a run would take, of the command that says it."""

    @property
    def seconds(self) -> float:
        """Returns how long ago the command started, or of what it does the part that counts."""
        return (datetime.now(UTC) - self.started).total_seconds()

    def close(self, exit_code: int, error: str | None = None, state: str | None = None) -> int:
        """Reports the end, unless that was done: the error on stderr, the summary on stdout; returns the exit code."""
        with self._closing:
            if self._exit_code is None:
                self._exit_code = exit_code
                if error is not None:
                    log.error(error)
                self._report(state or (self.state if exit_code == DONE else None) or STATES[exit_code], error)
            return self._exit_code

    def _report(self, state: str, error: str | None) -> None:
        seconds = time.monotonic() - self._started
        published = self._exit_code in PUBLISHED and state not in WITHOUT_AN_END
        if published and self.report is not None:
            self._read_metrics()
        summary = {
            "command": self._command,
            "state": state,
            "exit_code": self._exit_code,
            "output": self.output,
            "plan": self.plan,
            "counts": self.counts,
            "metrics": self.metrics,
            "report": self.report if published else None,
            "seconds": round(seconds, 3),
            "error": error,
            **({} if self.forecast is None else {"forecast": self.forecast}),
        }
        if self._textfile is not None:
            from bulklabel.pipelines.console.prometheus import write_textfile

            try:
                write_textfile(self._textfile, summary, self.rejected)
            except (OSError, ValueError) as failure:
                reason = getattr(failure, "strerror", None) or first_line(failure)
                log.warning("%s cannot be written (%s)", self._textfile, reason)
        if self._prints_summary:
            print(json_line(summary), file=self._stdout, flush=True)

    def _read_metrics(self) -> None:
        """Reads counts and headline metrics from where the run put them; a comparison has none."""
        from bulklabel.transforms.files import files
        from bulklabel.transforms.run_directory.file_names import METRICS_FILE

        with contextlib.suppress(Exception):  # the run has ended, whatever is wrong with the store now
            metrics = json.loads(files.read(files.join(files.absolute(self.output or ""), METRICS_FILE)))
            self.counts = metrics["counts"]
            self.metrics = {name: metrics["overall"][name] for name in HEADLINES}
            for row in metrics["rejected"]:
                self.rejected[row["reason"]] = self.rejected.get(row["reason"], 0) + row["records"]


_accounts = [Account("", TEXT)]
"""Holds the current one; a list, since signals come to another thread than the command's."""


def open_account(command: str, log_format: str, textfile: str | None) -> Account:
    """Opens the account of a command that starts, which is the current one from now on."""
    _accounts[:] = [Account(command, log_format, textfile)]
    return current()


def current() -> Account:
    """Returns the account of the command that runs in this process."""
    return _accounts[0]
