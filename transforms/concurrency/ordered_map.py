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
    pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], max_pending: int
) -> Iterator[R]:
    """Yields `function(item)` for each item, in order, computed in the pool's threads ahead of the consumer.

    At most `max_pending` items are taken from `items` before their results are consumed, so memory is bounded.

    >>> with ThreadPoolExecutor(2) as pool:
    ...     list(ordered_map(pool, len, ["a", "bb", "ccc"], max_pending=2))
    [1, 2, 3]
    """
    pending: deque[Future[R]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) == max_pending:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def map_in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Yields `function(item)` for each item, in order, many at once: for work that waits for files.

    >>> list(map_in_threads(len, ["a", "bb"]))
    [1, 2]
    """
    with ThreadPoolExecutor(WAITING_THREADS) as pool:
        yield from pool.map(function, items)
