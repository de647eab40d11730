"""Beam's worker process, named as Beam's is, with what it prints on stderr sent to the driver's log."""

import io
import logging
import sys
import threading
from queue import SimpleQueue


class Logged(io.TextIOBase):
    """Stands in for stderr, and logs: Beam prints tracebacks of errors that the driver reports in one line.

    One thread does so for all others. Beam's log handler, when the driver is gone, waits for a thread of its own that
    prints, with the lock held that logging takes: whoever printed by logging would wait for ever, and the process too.
    """

    def __init__(self, stderr: io.TextIOBase) -> None:
        self._stderr = stderr
        self._printed: SimpleQueue[str] = SimpleQueue()
        self._thread = threading.Thread(target=self._log, name="stderr", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """Logs the text as one record; what logging itself prints goes to the stderr that was there."""
        if threading.current_thread() is self._thread or not logging.getLogger().handlers:
            return self._stderr.write(text)
        if text.strip():
            self._printed.put(text.strip())
        return len(text)

    def _log(self) -> None:
        while True:
            logging.getLogger("stderr").error("%s", self._printed.get())


if __name__ == "__main__":
    from apache_beam.runners.worker import sdk_worker_main

    logging.captureWarnings(True)
    sys.stderr = Logged(sys.stderr)  # type: ignore[arg-type]
    sdk_worker_main.main(sys.argv)
