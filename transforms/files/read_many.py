"""Reads many small files one after another, those of remote stores many at once, in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from bulklabel.transforms.files.local_file import read_local
from bulklabel.transforms.files.remote_file import read_remote
from bulklabel.transforms.files.stores.path_names import is_remote
from bulklabel.transforms.files.stores.store import PIECE_BYTES

MAX_RECORD_BYTES = 2**29
"""Records of more bytes are rejected; `read_many` reads one byte more of them and no further."""

REQUESTS = 32
"""Requests that are under way at once, since each small file on a remote store costs a round trip."""

FILES_AHEAD, BYTES_AHEAD = 2 * REQUESTS, 2**26
"""Files are fetched ahead of the consumer until there are so many, or until those that arrived have so many bytes.

So `BYTES_AHEAD`, a piece for each request, and one whole file are in memory at most, however large the files are.
"""


def read_many(alternatives: Iterable[Sequence[str]]) -> Iterator[bytes | OSError]:
    """Yields for each item the bytes of the first of its paths that is there, in order, or why it cannot be read.

    Where none is there it yields a `FileNotFoundError`. Remote files are fetched by several threads ahead of the
    consumer: their first piece, which is all of most. The rest of a large one is fetched when it is its turn.

    Raises:
        StoreError: if a remote store fails; `UserError` within `fail_fast`.
    """
    pool = ThreadPoolExecutor(REQUESTS, thread_name_prefix="read")
    pending: deque[_Local | _Remote] = deque()
    try:
        for paths in alternatives:
            pending.append(_Remote(pool, paths) if any(map(is_remote, paths)) else _Local(paths))
            while len(pending) >= FILES_AHEAD or sum(read.held for read in pending) > BYTES_AHEAD:
                yield pending.popleft().content()
        while pending:
            yield pending.popleft().content()
    finally:
        pool.shutdown(cancel_futures=True)  # of a consumer that wants no more


class _Local:
    """Reads a local file when it is its turn: a disk is no faster for being asked by many."""

    held = 0

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths

    def content(self) -> bytes | OSError:
        return _first_there(self._paths, _read_whole)[1]


class _Remote:
    """Reads the first piece of a file in a thread of the pool, and the rest of it when it is its turn."""

    def __init__(self, pool: ThreadPoolExecutor, paths: Sequence[str]) -> None:
        self._start: Future[tuple[str, bytes | OSError]] = pool.submit(_first_there, paths, _read_start)

    @property
    def held(self) -> int:
        """Returns the bytes that have arrived."""
        if not self._start.done() or self._start.exception() is not None:
            return 0
        start = self._start.result()[1]
        return 0 if isinstance(start, OSError) else len(start)

    def content(self) -> bytes | OSError:
        path, start = self._start.result()
        if isinstance(start, OSError) or len(start) < PIECE_BYTES or not is_remote(path):
            return start
        try:
            return start + read_remote(path, PIECE_BYTES, MAX_RECORD_BYTES + 1)
        except OSError as error:
            return error


def _first_there(paths: Sequence[str], read: Callable[[str], bytes]) -> tuple[str, bytes | OSError]:
    """Returns the first path at which there is a file, and what is read of it, or why it cannot be read."""
    missing: tuple[str, OSError] = "", FileNotFoundError(2, "No such file or directory")
    for path in paths:
        try:
            return path, read(path)
        except FileNotFoundError as error:
            missing = path, error
        except OSError as error:
            return path, error
    return missing


def _read_whole(path: str) -> bytes:
    return read_local(path, MAX_RECORD_BYTES + 1)


def _read_start(path: str) -> bytes:
    return read_remote(path, 0, PIECE_BYTES) if is_remote(path) else _read_whole(path)
