"""Standard streams that take any text and never fail a command: whatever becomes of what is printed, it goes on."""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO, cast

STREAMS = ("stdout", "stderr")


@contextlib.contextmanager
def forgiving_streams(warn: Callable[[str], None]) -> Iterator[None]:
    """Lets stdout and stderr take anything while the body runs.

    Args:
        warn: is called once with a line, if stdout cannot be written; not if its reader has just gone, as `head` does.
    """
    _open_descriptors()
    with contextlib.ExitStack() as exits:
        for name in STREAMS:
            stream = getattr(sys, name)
            if not isinstance(stream, ForgivingStream):
                forgiving = ForgivingStream(stream, warn if name == "stdout" else None)
                setattr(sys, name, cast("TextIO", forgiving))
                exits.callback(setattr, sys, name, stream)
                exits.callback(forgiving.flush)  # what is still in its buffer would fail when Python ends
        yield


class ForgivingStream(io.TextIOBase):
    """Writes to a stream as long as that can be written, and drops all text afterwards.

    Characters that the stream's encoding lacks, and lone surrogates, are written as Python escapes them.
    """

    def __init__(self, stream: TextIO | None, warn: Callable[[str], None] | None) -> None:
        self._stream = None if stream is None or stream.closed else stream
        self._warn = warn

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream; UTF-8 if it has none."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Writes a text as far as that is possible; returns its length in any case."""
        writable = text.encode(self.encoding, "backslashreplace").decode(self.encoding)
        self._attempt(lambda stream: stream.write(writable))
        return len(text)

    def flush(self) -> None:
        """Writes what was kept back, as far as that is possible."""
        self._attempt(lambda stream: stream.flush())

    def close(self) -> None:
        """Leaves the stream, which stays open: Python closes what nobody refers to any more."""
        self._stream = None

    def isatty(self) -> bool:
        """Tells whether the stream is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Returns the stream's file descriptor.

        Raises:
            OSError: if it has none.
        """
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def _attempt(self, operation: Callable[[TextIO], object]) -> None:
        stream = self._stream
        if stream is None:
            return
        try:
            operation(stream)
        except (OSError, ValueError) as error:  # ValueError: somebody has closed it meanwhile
            self._stream = None
            _drain(stream)
            if self._warn is not None and not isinstance(error, BrokenPipeError):
                self._warn(f"stdout cannot be written ({getattr(error, 'strerror', None) or error}); the run goes on")


def _drain(stream: TextIO) -> None:
    """Leads what is left in a stream's buffer nowhere: Python would fail with it when it ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()


def _open_descriptors() -> None:
    """Opens the standard descriptors that are closed, or a file that is opened next would get their prints."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
