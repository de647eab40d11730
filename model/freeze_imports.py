"""Keeps Python's garbage collector away from imported modules, which are never freed."""

import contextlib
import gc
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def imports_frozen(module: str) -> Iterator[None]:
    """Pauses the collector while a module is imported, and has it leave alone for good what there is at the end.

    TensorFlow and Beam are a million objects. While they are imported, the collector would find nothing to free, in a
    tenth of the time; later it would go through all of them again and again, which took a tenth of a whole run. Where
    the module has been imported before, nothing changes: what was made since may well become garbage.

    Args:
        module: the name of a module that is imported in this context.

    >>> before = gc.get_freeze_count()
    >>> with imports_frozen("sys"):
    ...     gc.isenabled()
    True
    >>> gc.get_freeze_count() == before
    True
    """
    if module in sys.modules:
        yield
        return
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
