"""Reads remote files like local ones: seekable, fetched ahead of the reader, and with retries for lost connections."""

import io
import os
import sys
from functools import partial
from typing import BinaryIO, cast

from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.stores.retry import store_error
from bulklabel.transforms.files.stores.store import PIECE_BYTES, store_of

FIRST_BYTES = 2**20
"""Bytes that are fetched at once after a seek, doubled while the reader goes on from there, up to `PIECE_BYTES`: so a
tar file is fetched in few large pieces, and a Parquet file's columns without much of the others."""

BUFFER_BYTES = 2**16


def open_remote(path: str) -> BinaryIO:
    """Opens a remote file for reading.

    Raises:
        FileNotFoundError: if there is no such file.
        StoreError, UserError: if the store fails, now or in any later read.
    """
    return cast(BinaryIO, io.BufferedReader(RemoteFile(path), BUFFER_BYTES))


def read_remote(path: str, start: int = 0, stop: int = sys.maxsize, version: str = "") -> bytes:
    """Returns the bytes of a remote file from `start` to before `stop`, by one request for each piece.

    If a version is given, all of them are of that one.

    Raises:
        FileNotFoundError: if there is no such file.
        SourceChangedError: if the file has another version.
        StoreError, UserError: if the store fails.
    """
    store, policy = store_of(path)
    pieces: list[bytes] = []
    try:
        while start < stop and (not pieces or len(pieces[-1]) == PIECE_BYTES):
            pieces.append(policy.call(partial(store.get, path, start, min(start + PIECE_BYTES, stop), version)))
            start += PIECE_BYTES
    except FileNotFoundError:
        raise
    except OSError as error:
        raise store_error(path, "read", error) from error
    return b"".join(pieces)


def read_one_version(path: str, stop: int) -> bytes:
    """Returns the bytes of a remote file to before `stop`, all of them of the version that is there now.

    Raises:
        FileNotFoundError, StoreError, UserError: as `read_remote` does.
        SourceChangedError: if the file changes meanwhile.
    """
    return read_remote(path, 0, stop, RemoteFile(path).opened.version)


class RemoteFile(io.RawIOBase):
    """Reads a remote file by ranges: each is a request of its own, with its time limit and its retries.

    All ranges are of the version that was there when it was opened; once there is another one, reading fails.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._store, self._policy = store_of(path)
        self._file = self.describe()
        self._size = self._file.size
        self._position = 0
        self._window = b""
        self._start = 0
        self._fetch_bytes = FIRST_BYTES // 2

    @property
    def opened(self) -> File:
        """Describes what had the path when it was opened, without asking the store again."""
        return self._file

    def describe(self) -> File:
        """Describes what has the path now."""
        try:
            return self._policy.call(lambda: self._store.describe(self._path))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise store_error(self._path, "read", error) from error

    def readable(self) -> bool:
        """Tells that the file can be read."""
        return True

    def seekable(self) -> bool:
        """Tells that the file can be read from any position."""
        return True

    def tell(self) -> int:
        """Returns the position of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a position and returns it; nothing is fetched before the next read."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Fills the buffer as far as one fetched range goes; returns the number of bytes, 0 at the end of the file."""
        if self._position >= self._size:
            return 0
        if not self._start <= self._position < self._start + len(self._window):
            self._fetch(len(buffer))
        offset = self._position - self._start
        piece = self._window[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _fetch(self, requested: int) -> None:
        sequential = self._position == self._start + len(self._window)
        self._fetch_bytes = min(2 * self._fetch_bytes, PIECE_BYTES) if sequential else FIRST_BYTES
        start = self._position
        stop = min(self._size, start + min(max(self._fetch_bytes, requested), PIECE_BYTES))
        try:
            self._window = self._policy.call(lambda: self._get(start, stop))
        except OSError as error:
            raise store_error(self._path, "read", error) from error
        self._start = start

    def _get(self, start: int, stop: int) -> bytes:
        content = self._store.get(self._path, start, stop, self._file.version)
        if len(content) < stop - start:
            raise ConnectionError(f"ended at byte {start + len(content):,} of {self._size:,}")
        return content
