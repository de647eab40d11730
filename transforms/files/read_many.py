"""Reads many small files one after another, those of remote stores many at once, in bounded memory."""

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from bulklabel.model.errors import SourceChangedError
from bulklabel.transforms.files.content_hash import hash_of, is_hashed
from bulklabel.transforms.files.listing import File, changed_words
from bulklabel.transforms.files.local_file import read_local
from bulklabel.transforms.files.remote_file import read_one_version, read_remote
from bulklabel.transforms.files.stores.path_names import MISSING, is_remote
from bulklabel.transforms.files.stores.store import PIECE_BYTES

MAX_RECORD_BYTES = 2**29
"""Records of more bytes are rejected; `read_many` reads one byte more of them and no further."""

REQUESTS = 32
"""Requests that are under way at once, since each small file on a remote store costs a round trip."""

FILES_AHEAD, BYTES_AHEAD = 2 * REQUESTS, 2**26
"""Files are fetched ahead of the consumer until there are so many, or until those that arrived have so many bytes.

So `BYTES_AHEAD`, a piece for each request, and one whole file are in memory at most, however large the files are.
"""


Wanted = str | File
"""A path, or a file that was listed and must still be what it was then."""

Content = bytes | OSError | SourceChangedError
"""What a file holds, or why it cannot be read: `FileNotFoundError` where there was never a file."""


def read_many(alternatives: Iterable[Sequence[Wanted]]) -> Iterator[Content]:
    """Yields for each item the bytes of the first of its files that is there, in order, or why it cannot be read.

    Where none is there it yields a `FileNotFoundError`. A listed file that has changed, or is gone, is a
    `SourceChangedError`; one that was missing is not looked for. Remote files are fetched by several threads ahead of
    the consumer: their first piece, which is all of most. The rest of a large one is fetched when it is its turn. No
    content is of two versions: a large file that was not listed is fetched anew, and one that changes while it is read
    is a `SourceChangedError`.

    Raises:
        StoreError: if a remote store fails; `UserError` within `fail_fast`.
    """
    pool = ThreadPoolExecutor(REQUESTS, thread_name_prefix="read")
    pending: deque[_Local | _Remote] = deque()
    try:
        for files in alternatives:
            pending.append(_Remote(pool, files) if any(is_remote(path_of(file)) for file in files) else _Local(files))
            while len(pending) >= FILES_AHEAD or sum(read.held for read in pending) > BYTES_AHEAD:
                yield pending.popleft().content()
        while pending:
            yield pending.popleft().content()
    finally:
        pool.shutdown(cancel_futures=True)  # of a consumer that wants no more


class _Local:
    """Reads a local file when it is its turn: a disk is no faster for being asked by many."""

    held = 0

    def __init__(self, files: Sequence[Wanted]) -> None:
        self._files = files

    def content(self) -> Content:
        return _checked(*_first_there(self._files, _read_whole))


class _Remote:
    """Reads the first piece of a file in a thread of the pool, and the rest of it when it is its turn."""

    def __init__(self, pool: ThreadPoolExecutor, files: Sequence[Wanted]) -> None:
        self._start: Future[tuple[Wanted, Content]] = pool.submit(_first_there, files, _read_start)

    @property
    def held(self) -> int:
        """Returns the bytes that have arrived."""
        if not self._start.done() or self._start.exception() is not None:
            return 0
        start = self._start.result()[1]
        return len(start) if isinstance(start, bytes) else 0

    def content(self) -> Content:
        file, start = self._start.result()
        if not isinstance(start, bytes) or len(start) < PIECE_BYTES or not is_remote(path_of(file)):
            return _checked(file, start)
        try:
            if not isinstance(file, File):  # what comes now may be of another version than the start
                return read_one_version(file, MAX_RECORD_BYTES + 1)
            rest = read_remote(path_of(file), PIECE_BYTES, MAX_RECORD_BYTES + 1, _version_of(file))
            return _checked(file, start + rest)
        except (OSError, SourceChangedError) as error:
            return error


def path_of(file: Wanted) -> str:
    """Returns the path of a file."""
    return file.path if isinstance(file, File) else file


def _version_of(file: Wanted) -> str:
    """Returns the version that the store compares; empty if nothing was listed, or the bytes are compared."""
    return file.version if isinstance(file, File) and not is_hashed(file) else ""


def _first_there(files: Sequence[Wanted], read: Callable[[Wanted], bytes]) -> tuple[Wanted, Content]:
    """Returns the first file that is there, and what is read of it, or why it cannot be read."""
    missing: tuple[Wanted, OSError] = "", FileNotFoundError(2, "No such file or directory")
    for file in files:
        if isinstance(file, File) and file.size == MISSING:
            continue
        try:
            return file, read(file)
        except FileNotFoundError as error:
            if isinstance(file, File):
                return file, SourceChangedError(changed_words(path_of(file)))
            missing = file, error
        except (OSError, SourceChangedError) as error:
            return file, error
    return missing


def _checked(file: Wanted, content: Content) -> Content:
    """Returns the content, or a `SourceChangedError` if it is not that of the listed file; too large ones pass."""
    if not (isinstance(file, File) and isinstance(content, bytes)) or len(content) > MAX_RECORD_BYTES:
        return content
    if len(content) != file.size or (is_hashed(file) and hash_of(io.BytesIO(content)) != file.version):
        return SourceChangedError(changed_words(file.path))
    return content


def _read_whole(file: Wanted) -> bytes:
    return read_local(path_of(file), MAX_RECORD_BYTES + 1, _version_of(file))


def _read_start(file: Wanted) -> bytes:
    if is_remote(path_of(file)):
        return read_remote(path_of(file), 0, PIECE_BYTES, _version_of(file))
    return _read_whole(file)
