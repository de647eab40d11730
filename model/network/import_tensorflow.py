"""Imports TensorFlow silently, and with oneDNN."""

import contextlib
import logging
import os
import platform
import sys
from collections.abc import Iterator

from bulklabel.model.freeze_imports import imports_frozen
from bulklabel.model.hide_package import hidden
from bulklabel.model.network.engine import THREADS
from bulklabel.model.network.freed_memory import keep_freed_memory

_kept_stderr: list[int] = []
"""Where stderr went before it was closed for a while."""


log = logging.getLogger("bulklabel")


def import_tensorflow(wrappers: bool = True, threads: int | None = None) -> None:
    """Imports TensorFlow and has it look for devices, with stderr closed; errors are raised.

    Its C++ side prints before anybody can ask it not to. oneDNN computes the network on every processor, where
    TensorFlow would take it on some alone: it is faster on those without AVX-512, too, and then a plan means one thing.
    Where somebody else has imported TensorFlow before and without it, a line says so: it is too late to switch it on.

    Args:
        wrappers: whether Keras may have its wrappers for scikit-learn in this process. They need a fifth of the time.
        threads: how many threads share a batch, unless TensorFlow has begun to compute; None for one a core.
    """
    keep_freed_memory()
    is_late = "tensorflow" in sys.modules and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "1"
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    if threads is not None:
        os.environ[THREADS] = str(threads)
    wrapping = contextlib.nullcontext() if wrappers else hidden("sklearn")
    with _stderr_closed(), imports_frozen("tensorflow"), wrapping:
        import keras  # noqa: F401 (so that it meets scikit-learn here or not at all)
        import tensorflow as tf

        tf.config.list_physical_devices()
    if is_late and not _has_onednn():
        log.warning(
            "TensorFlow was imported before bulklabel, and without oneDNN: the network is slower on this processor, "
            "and the last bits of answers are not those of workers; set TF_ENABLE_ONEDNN_OPTS=1 for this program."
        )


def _has_onednn() -> bool:
    """Tells whether the TensorFlow of this process computes by oneDNN; it is only made for that on x86-64."""
    from tensorflow.python.util import _pywrap_util_port

    return platform.machine() != "x86_64" or bool(_pywrap_util_port.IsMklEnabled())


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
