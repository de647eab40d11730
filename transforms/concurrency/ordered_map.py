"""Work done in threads a few items ahead of whoever takes the results, in order and in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

WAITING_THREADS = 16
"""For work that waits for files and stores rather than computes."""


def ordered_map(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], most: int) -> Iterator[R]:
    """`map(work, items)`, in order, done in the pool's threads at most `most` items ahead of whoever takes them."""
    pending: deque[Future[R]] = deque()
    for item in items:
        pending.append(pool.submit(work, item))
        if len(pending) == most:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def map_in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """`map(function, items)`, many at once: for what waits for files rather than computes."""
    with ThreadPoolExecutor(WAITING_THREADS) as pool:
        yield from pool.map(function, items)
