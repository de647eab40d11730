"""Loads things once a process, however many threads and DoFns ask for them: the network, a table of truth."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

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
        self._loaded: T | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Returns what travels to workers: all but the object."""
        return {**self.__dict__, "_loaded": None}

    def get(self) -> T:
        """Returns what `load(*arguments)` returned in this process, or raises what it raises."""
        # Beam's handle keeps alive the last object alone that any handle has returned, so this one is held here: else
        # the network would be loaded again for each shard where truth is looked up in between.
        if self._loaded is None:
            self._loaded = self._shared.acquire(lambda: self._load(*self._arguments))
        return cast(T, self._loaded)
