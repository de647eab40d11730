"""Reads local files with retries, since a folder may be mounted over a network."""

import io
import os
import sys
from functools import partial
from typing import BinaryIO, cast

from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.stores.local_walk import described, transient_errors
from bulklabel.transforms.files.stores.retry import store_error
from bulklabel.transforms.files.stores.store import PIECE_BYTES, store_of


def read_local(path: str, max_bytes: int = sys.maxsize, version: str = "") -> bytes:
    """Returns the first `max_bytes` bytes of a local file, or all of it; in a given version, if any.

    Raises:
        OSError: as it is, `FileNotFoundError` if there is no such file, where no retry helps.
        SourceChangedError: if the file has another version.
        StoreError, UserError: if retries did not help.
    """
    store, policy = store_of(path)
    try:
        return policy.call(partial(store.get, path, 0, max_bytes, version))
    except ConnectionError as error:
        raise store_error(path, "read", error) from error


def open_local(path: str) -> BinaryIO:
    """Opens a local file for reading.

    Raises:
        OSError, StoreError, UserError: as `read_local` does, now or in any later read.
    """
    _, policy = store_of(path)
    try:
        return cast(BinaryIO, io.BufferedReader(policy.call(partial(LocalFile, path))))
    except ConnectionError as error:
        raise store_error(path, "read", error) from error


def exists_local(path: str) -> bool:
    """Tells whether there is a local file or folder of this name; False for what cannot be a name.

    Raises:
        StoreError, UserError: if retries do not help.
    """
    store, policy = store_of(path)
    try:
        policy.call(partial(store.describe, path))
    except ConnectionError as error:
        raise store_error(path, "read", error) from error
    except (OSError, ValueError):
        return False
    return True


class LocalFile(io.FileIO):
    """Reads a local file; a read that fails as it may on a network is made again at the same position."""

    def __init__(self, path: str) -> None:
        with transient_errors():
            super().__init__(path)
        self._path = path
        _, self._policy = store_of(path)

    @property
    def opened(self) -> File:
        """Describes the opened file."""
        return self.describe()

    def describe(self) -> File:
        """Describes the opened file as it is now, whatever has its name meanwhile."""
        with transient_errors():
            return described(self._path, os.fstat(self.fileno()))

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Fills the buffer as far as the file goes; returns the number of bytes, 0 at its end."""
        position = self.tell()
        try:
            return self._policy.call(lambda: self._read_at(position, buffer))
        except ConnectionError as error:
            raise store_error(self._path, "read", error) from error

    def readall(self) -> bytes:
        """Returns the rest of the file, read by `readinto`, which has retries."""
        return b"".join(iter(lambda: io.RawIOBase.read(self, PIECE_BYTES), b""))

    def _read_at(self, position: int, buffer: "memoryview | bytearray") -> int:
        with transient_errors():
            self.seek(position)
            return super().readinto(buffer)
