"""Imports TensorFlow without what its C++ side prints before anybody can ask it not to."""

import contextlib
import os
import sys
from collections.abc import Iterator

_kept_stderr: list[int] = []
"""Where stderr went before it was closed for a while."""


def import_tensorflow() -> None:
    """Imports TensorFlow and has it look for devices, with stderr closed; errors are raised."""
    with _stderr_closed():
        import tensorflow as tf

        tf.config.list_physical_devices()


def reopen_stderr() -> None:
    """Lets stderr go where it went before, if it is closed just now."""
    for kept in _kept_stderr:
        os.dup2(kept, 2)


@contextlib.contextmanager
def _stderr_closed() -> Iterator[None]:
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    _kept_stderr.append(os.dup(2))
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        reopen_stderr()
        os.close(_kept_stderr.pop())
        os.close(nowhere)
