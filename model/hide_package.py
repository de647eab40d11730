"""Hides an installed package from others that would import it for features that nobody uses here."""

import contextlib
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder


class _Hidden(MetaPathFinder):
    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, name: str, path: object, target: object = None) -> None:  # noqa: ARG002
        if name == self._package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@contextlib.contextmanager
def hidden(package: str) -> Iterator[None]:
    """Lets the import of a package fail for a while, as if it were not installed, unless it has been imported.

    None in `sys.modules` would do for Python's own import, but compiled modules, such as pyarrow's, take the None.

    >>> with hidden("this"):
    ...     import this
    Traceback (most recent call last):
        ...
    ModuleNotFoundError: No module named 'this'
    """
    finder = _Hidden(package)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
