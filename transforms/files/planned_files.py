"""Reads files that must be what they were when they were listed, by what the store says of them or by their bytes."""

import contextlib
import functools
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO, cast

from bulklabel.model.errors import SourceChangedError
from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.files.content_hash import hash_of, is_hashed
from bulklabel.transforms.files.files import open_file
from bulklabel.transforms.files.listing import File, changed_words
from bulklabel.transforms.files.local_file import LocalFile
from bulklabel.transforms.files.remote_file import RemoteFile
from bulklabel.transforms.files.stores.path_names import MISSING


def with_hashes(listed: Sequence[File]) -> tuple[File, ...]:
    """Returns listed files with hashes of their bytes for versions, for which all of them are read.

    Raises:
        StoreError: if one cannot be read, or changes meanwhile; `UserError` within `fail_fast`.
    """
    return tuple(map_in_threads(_with_hash, listed))


def read_planned(file: File) -> bytes:
    """Returns the bytes of a file, which must be as it was listed.

    Raises:
        SourceChangedError: if it is not, or is gone.
        StoreError: if the store fails; `UserError` within `fail_fast`.
    """
    with open_planned(file.path, file) as opened:
        return opened.read()


@contextlib.contextmanager
def open_planned(path: str, planned: File | None) -> Iterator[BinaryIO]:
    """Opens a file for reading that must be as it was listed, both now and when the block is left without an error.

    Raises:
        SourceChangedError: if it is not, or is gone; never if `planned` is None.
        FileNotFoundError, StoreError, UserError: as `open_file` does.
    """
    try:
        opened = open_file(path)
    except FileNotFoundError as error:
        raise (SourceChangedError(changed_words(path)) if planned else error) from error
    with opened:
        _check_unchanged(lambda: _raw(opened).opened, planned)
        yield opened
        _check_unchanged(lambda: _raw(opened).describe(), planned)


def _with_hash(file: File) -> File:
    if file.size == MISSING or is_hashed(file):
        return file
    with open_planned(file.path, file) as opened:
        return replace(file, version=hash_of(opened))


@functools.lru_cache(1024)
def _hash_of_version(file: File) -> str:
    """Returns the hash of a file as the store describes it: it is read once a process, not once a shard."""
    with open_file(file.path) as opened:
        return hash_of(opened)


def _raw(opened: BinaryIO) -> LocalFile | RemoteFile:
    return cast(LocalFile | RemoteFile, cast(io.BufferedReader, opened).raw)


def _check_unchanged(describe: Callable[[], File], planned: File | None) -> None:
    """Checks that what `describe` returns of an opened file is as it was listed.

    Raises:
        SourceChangedError: if it is not, or is gone.
    """
    if planned is None:
        return
    try:
        now = describe()
        if is_hashed(planned):
            now = replace(now, version=_hash_of_version(now))
    except FileNotFoundError as error:
        raise SourceChangedError(changed_words(planned.path)) from error
    if now != planned:
        raise SourceChangedError(changed_words(planned.path))
