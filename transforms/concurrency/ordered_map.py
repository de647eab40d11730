"""Maps a function over items in threads, with the results in the order of the items and in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

WAITING_THREADS = 16
"""Threads for work that waits for files and stores rather than computes."""


def ordered_map(
    pool: ThreadPoolExecutor,
    function: Callable[[T], R],
    items: Iterable[T],
    max_pending: int,
    weight: Callable[[T], int] = lambda _: 1,
) -> Iterator[R]:
    """Yields `function(item)` for each item, in order, computed in the pool's threads ahead of the consumer.

    No item is taken from `items` while those whose results are not consumed weigh `max_pending` or more, so memory is
    bounded.

    >>> with ThreadPoolExecutor(2) as pool:
    ...     list(ordered_map(pool, len, ["a", "bb", "ccc"], max_pending=2))
    [1, 2, 3]
    """
    pending: deque[tuple[Future[R], int]] = deque()
    weights = 0
    for item in items:
        pending.append((pool.submit(function, item), weight(item)))
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
