"""Loads things once a process, however many threads and DoFns ask for them: the network, a table of truth."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from apache_beam.utils.shared import Shared

T = TypeVar("T")


class OncePerProcess(Generic[T]):
    """Holds what loads an object, and travels to workers without the object; the first `get` in a process loads it.

    >>> letters = OncePerProcess(set, "abc")
    >>> letters.get() is letters.get()
    True
    """

    def __init__(self, load: Callable[..., T], *arguments: Any) -> None:
        self._load = load
        self._arguments = arguments
        self._shared = Shared()

    def get(self) -> T:
        """Returns what `load(*arguments)` returned in this process, or raises what it raises."""
        loaded: T = self._shared.acquire(lambda: self._load(*self._arguments))
        return loaded
