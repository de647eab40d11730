"""Lists and reads files on local folders and remote stores, and writes them whole or not at all."""

import contextlib
import functools
import os
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import BinaryIO, TypeVar

from bulklabel.model.errors import UserError
from bulklabel.transforms.files.listing import File, Listing
from bulklabel.transforms.files.local_file import exists_local, open_local, read_local
from bulklabel.transforms.files.remote_file import open_remote, read_remote
from bulklabel.transforms.files.stores.globs import escaped, glob_regex, prefix_of
from bulklabel.transforms.files.stores.local import LocalStore
from bulklabel.transforms.files.stores.local_walk import without_other_names
from bulklabel.transforms.files.stores.path_names import MISSING, TEMPORARY, is_remote, temporary_of
from bulklabel.transforms.files.stores.retry import store_error
from bulklabel.transforms.files.stores.store import PIECE_BYTES, Store, store_of

T = TypeVar("T")

DELETING_THREADS = 16
"""Requests to delete that are under way at once."""


def absolute(path: str) -> str:
    """Returns the path as every process sees it: local ones are made absolute, a trailing slash is dropped.

    >>> absolute("s3://bucket/run/")
    's3://bucket/run'
    """
    if is_remote(path):
        return path.rstrip("/")
    return os.path.abspath(os.path.expanduser(path))


def real(path: str) -> str:
    """Returns the path of a file as it is when the links of the folders above it are followed.

    >>> real("s3://bucket/run/a.parquet")
    's3://bucket/run/a.parquet'
    """
    if is_remote(path):
        return path
    folder, name = posixpath.split(path)
    return posixpath.join(_real_folder(folder), name)


@functools.lru_cache(2**16)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def place_of(path: str) -> str:
    """Returns the one path of a file or folder, however it is written: links, `..` and doubled slashes are resolved.

    >>> place_of("/tmp/../proc//self/../1") == place_of("/proc/1")
    True
    """
    return absolute(path) if is_remote(path) else os.path.realpath(os.path.expanduser(path))


def same_place(path: str, other: str) -> bool:
    """Tells whether two paths lead to the same file or folder; on a file system without case, case does not matter.

    >>> same_place("/tmp/./run/", "/tmp//run"), same_place("s3://a/run/", "s3://a/run"), same_place("/tmp", "s3://tmp")
    (True, True, False)
    """
    if place_of(path) == place_of(other):
        return True
    try:
        return not (is_remote(path) or is_remote(other)) and os.path.samefile(place_of(path), place_of(other))
    except (OSError, ValueError):
        return False


def join(folder: str, *names: str) -> str:
    """Returns the path of names below a folder."""
    return posixpath.join(folder, *names)


def list_files(path: str, names: re.Pattern[str]) -> Listing:
    """Lists the files that a user's path stands for, sorted.

    A file stands for itself, a glob for whatever it matches, and a folder for all files at any depth whose path below
    it matches `names` somewhere, except where the name of the file or of a folder starts with `.` or `_`. Links are
    followed, and what is reached by several names is listed once, as `without_other_names` says. A link that leads
    nowhere has the size `MISSING`: it is a file that is not there, or was a folder if its name has no extension.

    Raises:
        UserError: if there is no such file, or the file system cannot be used.
    """
    location = absolute(path)
    inside = _match_input(f"{escaped(location)}/**", lambda file: _is_data(file, location, names))
    exact = [] if inside else list_file(location)
    matching = inside or exact or _match_input(location, lambda _: True)
    if not matching:
        raise UserError(f"{path}: no file matches; give a file, a glob, or a folder with files of a known extension.")
    root = location if inside else posixpath.dirname(location if exact else prefix_of(location))
    return Listing(root, tuple(sorted(matching, key=lambda file: file.path)), complete=bool(inside))


def list_folder(folder: str) -> list[File]:
    """Lists all files below a folder, at any depth; none if it does not exist."""
    return _match(f"{escaped(folder)}/**")


def list_folders(folder: str) -> list[str]:
    """Lists the folders directly in a folder, by their paths; none if it does not exist."""
    return list(_paged(folder, lambda store, token: store.folders(folder, token)))


def list_temporary(folder: str) -> list[File]:
    """Lists the temporary files of writers, alive or dead, in a folder, but not in those below it."""
    return [file for file in _match(f"{escaped(folder)}/.*") if TEMPORARY.search(file.path)]


def list_file(path: str) -> list[File]:
    """Lists the file of exactly this name: one, or none."""
    return _match(escaped(path))


def read(path: str) -> bytes:
    """Returns the bytes of a file.

    Raises:
        FileNotFoundError: if there is no such file, or it is a folder.
        StoreError: if the store fails; `UserError` within `fail_fast`.
    """
    if is_remote(path):
        return read_remote(path)
    try:
        return read_local(path)
    except (IsADirectoryError, NotADirectoryError) as error:
        raise FileNotFoundError(path) from error


def read_start(path: str, size: int) -> bytes:
    """Returns the first `size` bytes of a file, or all of it.

    Raises:
        FileNotFoundError: if there is no such file.
        StoreError: if the store fails; `UserError` within `fail_fast`.
    """
    store, policy = store_of(path)
    try:
        return policy.call(partial(store.get, path, 0, size))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise store_error(path, "read", error) from error


def open_file(path: str) -> BinaryIO:
    """Opens a file for reading, as it is: a name like `x.gz` unpacks nothing.

    Raises:
        FileNotFoundError: if there is no such file.
        StoreError: if the store fails, now or in any later read; `UserError` within `fail_fast`.
    """
    return open_remote(path) if is_remote(path) else open_local(path)


def exists(path: str) -> bool:
    """Tells whether there is a file of this name, or a local folder."""
    if not is_remote(path):
        return exists_local(path)
    try:
        open_remote(path).close()
    except FileNotFoundError:
        return False
    return True


def write(path: str, content: bytes) -> None:
    """Writes a file whole or not at all, replacing an earlier one.

    Where there are folders a temporary file is renamed; an object store makes an object visible when it is whole.

    Raises:
        StoreError: if the file system fails; `UserError` within `fail_fast`.
    """
    try:
        _put(path, content)
    except OSError as error:
        raise store_error(path, "written", error) from error


def check_writable(folder: str) -> None:
    """Checks that a folder can be written, by a file that is deleted again, before any work is done for it.

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
    """Deletes files; those that do not exist are passed over.

    Raises:
        StoreError: if the file system fails; `UserError` within `fail_fast`.
    """
    with ThreadPoolExecutor(DELETING_THREADS, thread_name_prefix="delete") as pool:
        for path, deleted in [(path, pool.submit(_delete, path)) for path in paths]:
            try:
                deleted.result()
            except OSError as error:
                raise store_error(path, "deleted", error) from error


def _put(path: str, content: bytes) -> None:
    store, policy = store_of(path)
    policy.call(partial(store.put, path, content), pieces=1 + len(content) // PIECE_BYTES)


def _delete(path: str) -> None:
    store, policy = store_of(path)
    with contextlib.suppress(FileNotFoundError):
        policy.call(partial(store.delete, path))


def _match_input(pattern: str, wanted: Callable[[File], bool]) -> list[File]:
    """Lists the wanted files that a glob of the user's matches, following links of local folders."""
    if is_remote(pattern):
        return [file for file in _match(pattern) if wanted(file)]
    store, policy = LocalStore(), store_of(pattern)[1]
    matcher = glob_regex(pattern)
    try:
        walked = policy.call(partial(store.walk, pattern))
    except OSError as error:
        raise store_error(pattern, "listed", error) from error
    matching = [each for each in walked if matcher.fullmatch(each.file.path) and wanted(each.file)]
    return without_other_names(matching)


def _match(pattern: str) -> list[File]:
    """Lists the files that a glob matches.

    Objects whose names end with a slash are left out: consoles of object stores make them to show empty folders.
    """
    matcher = glob_regex(pattern)
    listed = _paged(pattern, lambda store, token: store.page(pattern, token))
    return [file for file in listed if matcher.fullmatch(file.path) and not file.path.endswith("/")]


def _paged(path: str, page_of: Callable[[Store, str], tuple[list[T], str | None]]) -> Iterator[T]:
    """Yields what a store lists, page by page; each page is asked for as often as its policy says."""
    store, policy = store_of(path)
    token: str | None = ""
    try:
        while token is not None:
            page, token = policy.call(partial(page_of, store, token))
            yield from page
    except OSError as error:
        raise store_error(path, "listed", error) from error


def _is_data(file: File, folder: str, names: re.Pattern[str]) -> bool:
    path = file.path.removeprefix(folder)
    hidden = any(part.startswith((".", "_")) for part in path.split("/"))
    lost_folder = file.size == MISSING and not posixpath.splitext(path)[1]
    return (bool(names.search(path)) or lost_folder) and not hidden
