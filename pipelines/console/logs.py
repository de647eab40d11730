"""What a command logs to stderr while it runs: lines for people, or with `--log_format json` one object a line."""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

from bulklabel.pipelines.flags.parser import JSON
from bulklabel.transforms.files.text import json_line

log = logging.getLogger("bulklabel")
"""Ours: its warnings and errors are for everybody, its information is left out of what people read."""


def inform(message: str, **fields: Any) -> None:
    """Logs how far a command is, with fields of its own."""
    log.info(message, extra={"fields": fields})


def is_json() -> bool:
    """Tells whether stderr is JSON."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


@contextlib.contextmanager
def log_to_stderr(log_format: str, command: str) -> Iterator[None]:
    """Sends what is logged to stderr while the body runs; in JSON warnings and printed lines as well.

    With a handler there, libraries that are imported later add none of their own.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(command) if log_format == JSON else Lines(takes_colour(sys.stderr)))
    root, level, printed = logging.getLogger(), log.level, contextlib.ExitStack()
    log.setLevel(logging.INFO if log_format == JSON else logging.WARNING)
    others = [other for other in root.handlers if type(other) is logging.StreamHandler]  # of `logging.basicConfig`
    root.handlers = [handler, *(other for other in root.handlers if other not in others)]
    if log_format == JSON:
        logging.captureWarnings(True)
        printed.callback(logging.captureWarnings, False)
        printed.enter_context(contextlib.redirect_stdout(_PrintedLines()))
    try:
        with printed:
            yield
    finally:
        root.handlers = [*others, *(other for other in root.handlers if other is not handler)]
        log.setLevel(level)


COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
PLAIN = "\x1b[0m"


def takes_colour(stream: TextIO) -> bool:
    """Tells whether a stream is a terminal whose user wants colours; see https://no-color.org."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Lines(logging.Formatter):
    """Formats our own records as `bulklabel: warning: …`, and leaves others as they are."""

    def __init__(self, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """Returns the text of one record."""
        text = super().format(record)
        if record.name != log.name:
            return text
        level = record.levelname.lower()
        shown = f"{COLOURS[level]}{level}{PLAIN}" if self._coloured and level in COLOURS else level
        return f"{log.name}: {shown}: {text}"


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object: `time` (ISO 8601, UTC), `level`, `logger`, `command`, `message`, …."""

    def __init__(self, command: str) -> None:
        super().__init__()
        self._command = command

    def format(self, record: logging.LogRecord) -> str:
        """Returns the text of one record."""
        content = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "command": self._command,
            "message": record.getMessage().strip(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        return json_line(content)


class _PrintedLines(io.TextIOBase):
    """Stands in for stdout, and logs its lines."""

    def __init__(self) -> None:
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(str.strip, lines):
            inform(line.strip())
        return len(text)
