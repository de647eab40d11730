"""Beam's worker process, named as Beam's is, with what it prints on stderr sent to the driver's log."""

import io
import logging
import sys
import threading


class Logged(io.TextIOBase):
    """A stderr that logs: Beam prints the tracebacks of errors which the driver is about to say in one line."""

    def __init__(self, stderr: io.TextIOBase) -> None:
        self._stderr = stderr
        self._writing = threading.local()

    def write(self, text: str) -> int:
        """Log the text as one record; what logging itself has to say goes to the stderr that was there."""
        if getattr(self._writing, "now", False) or not logging.getLogger().handlers:
            return self._stderr.write(text)
        self._writing.now = True
        try:
            if text.strip():
                logging.getLogger("stderr").error("%s", text.strip())
        finally:
            self._writing.now = False
        return len(text)


if __name__ == "__main__":
    from apache_beam.runners.worker import sdk_worker_main

    logging.captureWarnings(True)
    sys.stderr = Logged(sys.stderr)  # type: ignore[arg-type]
    sdk_worker_main.main(sys.argv)
