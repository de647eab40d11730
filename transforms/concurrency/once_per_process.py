"""Things that a process needs once, however many threads and DoFns ask for them: the network, a table of truth."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from apache_beam.utils.shared import Shared

T = TypeVar("T")


class OncePerProcess(Generic[T]):
    """A handle that travels to workers without what it stands for; whoever asks first in a process loads it."""

    def __init__(self, load: Callable[..., T], *arguments: Any) -> None:
        self._load = load
        self._arguments = arguments
        self._shared = Shared()

    def get(self) -> T:
        """What `load(*arguments)` returned in this process, with the errors that it raises."""
        loaded: T = self._shared.acquire(lambda: self._load(*self._arguments))
        return loaded
