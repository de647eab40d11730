"""Maps a function over items in threads, with the results in the order of the items and in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

WAITING_THREADS = 16
"""Threads for work that waits for files and stores rather than computes."""


class Pending(Protocol[R_co]):
    """Stands for the result of work that threads do, as a `Future` does."""

    def result(self) -> R_co:
        """Returns what the work returned, when it is done, or raises what it raised."""


def ordered_map(
    submit: Callable[[T], Pending[R]],
    items: Iterable[T],
    max_pending: int,
    weight: Callable[[T], int] = lambda _: 1,
) -> Iterator[R]:
    """Yields the result of each item, in order, as computed by the threads that `submit` gives it to.

    No item is taken from `items` while those whose results are not consumed weigh `max_pending` or more, so memory is
    bounded.

    >>> from functools import partial
    >>> with ThreadPoolExecutor(2) as pool:
    ...     list(ordered_map(partial(pool.submit, len), ["a", "bb", "ccc"], max_pending=2))
    [1, 2, 3]
    """
    pending: deque[tuple[Pending[R], int]] = deque()
    weights = 0
    for item in items:
        pending.append((submit(item), weight(item)))
        weights += pending[-1][1]
        del item  # it may be large, and need not wait here until the next one comes
        while weights >= max_pending:
            weights -= pending[0][1]
            yield pending.popleft()[0].result()
    while pending:
        yield pending.popleft()[0].result()


def map_in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Yields `function(item)` for each item, in order, many at once: for work that waits for files.

    >>> list(map_in_threads(len, ["a", "bb"]))
    [1, 2]
    """
    with ThreadPoolExecutor(WAITING_THREADS) as pool:
        yield from pool.map(function, items)
