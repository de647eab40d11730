"""Local files, read with patience: what the mount of a network does not give at once, it is asked for again."""

import io
import sys
from functools import partial
from typing import BinaryIO, cast

from bulklabel.transforms.files.stores.local import transient_errors
from bulklabel.transforms.files.stores.retry import store_error
from bulklabel.transforms.files.stores.store import PIECE_BYTES, store_of


def read_local(path: str, most: int = sys.maxsize) -> bytes:
    """The bytes of a local file, at most so many.

    Raises:
        OSError: as it is, `FileNotFoundError` if there is none, where no patience helps.
        StoreError, UserError: if patience did not help.
    """
    store, patience = store_of(path)
    try:
        return patience.call(partial(store.get, path, 0, most))
    except ConnectionError as error:
        raise store_error(path, "read", error) from error


def open_local(path: str) -> BinaryIO:
    """A local file, opened for reading.

    Raises:
        OSError: as `read_local` does, now or in any later read; and the others, too.
    """
    _, patience = store_of(path)
    try:
        return cast(BinaryIO, io.BufferedReader(patience.call(partial(LocalFile, path))))
    except ConnectionError as error:
        raise store_error(path, "read", error) from error


def exists_local(path: str) -> bool:
    """Whether there is a local file or folder of this name; what cannot be a name is none.

    Raises:
        StoreError, UserError: if patience does not help.
    """
    store, patience = store_of(path)
    try:
        patience.call(partial(store.size, path))
    except ConnectionError as error:
        raise store_error(path, "read", error) from error
    except (OSError, ValueError):
        return False
    return True


class LocalFile(io.FileIO):
    """A file's bytes; a read that fails as it may on a network is made again at the same place."""

    def __init__(self, path: str) -> None:
        with transient_errors():
            super().__init__(path)
        self._path = path
        _, self._patience = store_of(path)

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Fill the buffer as far as the file goes; 0 at its end."""
        position = self.tell()
        try:
            return self._patience.call(lambda: self._read_at(position, buffer))
        except ConnectionError as error:
            raise store_error(self._path, "read", error) from error

    def readall(self) -> bytes:
        """All that is left; by `readinto`, which is patient."""
        return b"".join(iter(lambda: io.RawIOBase.read(self, PIECE_BYTES), b""))

    def _read_at(self, position: int, buffer: "memoryview | bytearray") -> int:
        with transient_errors():
            self.seek(position)
            return super().readinto(buffer)
