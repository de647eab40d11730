"""Files on local folders and on remote stores: listed, read, and written whole or not at all."""

import contextlib
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import BinaryIO

from apache_beam.io.filesystem import FileSystem

from bulklabel.model.errors import UserError
from bulklabel.transforms.concurrency.ordered_map import ordered_map
from bulklabel.transforms.files.listing import File, Listing
from bulklabel.transforms.files.local_file import exists_local, open_local, read_local
from bulklabel.transforms.files.remote_file import open_remote, read_remote
from bulklabel.transforms.files.stores.path_names import TEMPORARY, escaped, is_remote, prefix_of, temporary_of
from bulklabel.transforms.files.stores.retry import store_error
from bulklabel.transforms.files.stores.store import PIECE_BYTES, store_of

MAX_RECORD_BYTES = 2**29
"""A record of more bytes is rejected; `read_many` reads one byte more of it and no further."""

REMOTE_THREADS = 16
"""A small file on a remote store costs a round trip: so many are under way at once."""


def absolute(path: str) -> str:
    """The path as every process sees it: local ones are made absolute, a trailing slash is dropped."""
    if is_remote(path):
        return path.rstrip("/")
    return os.path.abspath(os.path.expanduser(path))


def join(folder: str, *names: str) -> str:
    """A path below a folder."""
    return posixpath.join(folder, *names)


def list_files(path: str, names: re.Pattern[str]) -> Listing:
    """The files that a user means by a path, sorted.

    A file stands for itself, a glob for whatever it matches, a folder for all files at any depth in whose path
    below it `names` is found, those apart whose name, or whose folder's name, starts with `.` or `_`.

    Raises:
        UserError: if there is no such file, or the file system cannot be used.
    """
    place = absolute(path)
    inside = [file for file in list_folder(place) if _is_data(file.path.removeprefix(place), names)]
    exact = [] if inside else list_file(place)
    found = inside or exact or _match(place)
    if not found:
        raise UserError(f"{path}: no file matches; give a file, a glob, or a folder with files of a known extension.")
    root = place if inside else posixpath.dirname(place if exact else prefix_of(place))
    return Listing(root, tuple(sorted(found, key=lambda file: file.path)), complete=bool(inside))


def list_folder(folder: str) -> list[File]:
    """All files below a folder, at any depth; none if it does not exist."""
    return _match(f"{escaped(folder)}/**")


def list_temporary(folder: str) -> list[File]:
    """The temporary files of writers, alive or dead, in a folder, not in those below it."""
    return [file for file in _match(f"{escaped(folder)}/.*") if TEMPORARY.search(file.path)]


def list_file(path: str) -> list[File]:
    """The file of this very name, if there is one."""
    return _match(escaped(path))


def read(path: str) -> bytes:
    """The bytes of a file.

    Raises:
        FileNotFoundError: if there is none, or only a folder.
        StoreError: if the store fails; `UserError` while planning.
    """
    if is_remote(path):
        return read_remote(path)
    try:
        return read_local(path)
    except (IsADirectoryError, NotADirectoryError) as error:
        raise FileNotFoundError(path) from error


def read_start(path: str, size: int) -> bytes:
    """The first bytes of a file, at most so many.

    Raises:
        FileNotFoundError: if there is none.
        StoreError: if the store fails; `UserError` while planning.
    """
    store, patience = store_of(path)
    try:
        return patience.call(partial(store.get, path, 0, size))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise store_error(path, "read", error) from error


def read_many(paths: Sequence[str]) -> Iterator[bytes | OSError]:
    """The bytes of each file, in order, or why it cannot be read: `FileNotFoundError` where there is none.

    Remote files are fetched by several threads, a few ahead of whoever takes them.

    Raises:
        StoreError: if a remote store fails; `UserError` while planning.
    """
    if not any(map(is_remote, paths)):
        yield from map(_bytes_or_error, paths)
        return
    with ThreadPoolExecutor(REMOTE_THREADS, thread_name_prefix="read") as pool:
        yield from ordered_map(pool, _bytes_or_error, paths, 2 * REMOTE_THREADS)


def open_file(path: str) -> BinaryIO:
    """A file opened for reading, as it is: a name like `x.gz` unpacks nothing.

    Raises:
        FileNotFoundError: if there is none.
        StoreError: if the store fails, now or in any later read; `UserError` while planning.
    """
    return open_remote(path) if is_remote(path) else open_local(path)


def exists(path: str) -> bool:
    """Whether there is a file of this name; a local folder counts, too."""
    if not is_remote(path):
        return exists_local(path)
    try:
        open_remote(path).close()
    except FileNotFoundError:
        return False
    return True


def write(path: str, content: bytes) -> None:
    """Make a file whole or not at all, replacing what was there.

    Where there are folders a temporary file is renamed; an object store makes an object visible when it is whole.

    Raises:
        StoreError: if the file system fails; `UserError` while planning.
    """
    try:
        _put(path, content)
    except OSError as error:
        raise store_error(path, "written", error) from error


def check_writable(folder: str) -> None:
    """Write a file into a folder and delete it again, before any work is done for that folder.

    Raises:
        UserError: if that fails.
    """
    probe = temporary_of(join(folder, "bulklabel-can-write"))
    try:
        _put(probe, b"")
        _delete(probe)
    except OSError as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{folder} cannot be written ({reason}); give an output that you may write to.") from error


def delete(paths: Sequence[str]) -> None:
    """Delete files; those that are not there are gone already.

    Raises:
        StoreError: if the file system fails; `UserError` while planning.
    """
    with ThreadPoolExecutor(REMOTE_THREADS, thread_name_prefix="delete") as pool:
        for path, deleted in [(path, pool.submit(_delete, path)) for path in paths]:
            try:
                deleted.result()
            except OSError as error:
                raise store_error(path, "deleted", error) from error


def _put(path: str, content: bytes) -> None:
    store, patience = store_of(path)
    patience.call(partial(store.put, path, content), pieces=1 + len(content) // PIECE_BYTES)


def _delete(path: str) -> None:
    store, patience = store_of(path)
    with contextlib.suppress(FileNotFoundError):
        patience.call(partial(store.delete, path))


def _match(pattern: str) -> list[File]:
    """The files that a glob matches: `*` ends at a slash, `**` does not.

    Object stores' consoles make an empty object to show a folder; its name ends with a slash.
    """
    store, patience = store_of(pattern)
    wanted = re.compile(FileSystem.translate_pattern(pattern).replace("[[]", r"\["))  # Python warns of nested sets
    found: list[File] = []
    token: str | None = ""
    try:
        while token is not None:
            page, token = patience.call(partial(store.page, pattern, token))
            found += [File(*listed) for listed in page if wanted.match(listed[0]) and not listed[0].endswith("/")]
    except OSError as error:
        raise store_error(pattern, "listed", error) from error
    return found


def _is_data(path: str, names: re.Pattern[str]) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.split("/"))
    return bool(names.search(path)) and not hidden


def _bytes_or_error(path: str) -> bytes | OSError:
    try:
        return read(path) if is_remote(path) else read_local(path, MAX_RECORD_BYTES + 1)
    except OSError as error:
        return error
