"""Files on any of Beam's file systems: listed, read, and written whole or not at all."""

import os
import posixpath
import re
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from model.errors import StoreError, UserError
from transforms.ahead import ahead

GLOB = re.compile(r"[*?\[]")

READING_THREADS = 16
"""Small files on a remote store cost a round trip each: so many are under way at once."""


@dataclass(frozen=True)
class File:
    """A file's path and its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True)
class Listing:
    """What one path of a user's stands for: files, sorted, below the folder `root`; perhaps all that it has."""

    root: str
    files: tuple[File, ...]
    complete: bool


def is_remote(path: str) -> bool:
    """Whether a path names its file system, as `s3://bucket/key` does."""
    return "://" in path


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
    found = inside or _match(_escaped(place)) or _match(place)
    if not found:
        raise UserError(f"{path}: no file matches; give a file, a glob, or a folder with files of a known extension.")
    root = place if inside else _folder_of(place)
    return Listing(root, tuple(sorted(found, key=lambda file: file.path)), complete=bool(inside))


def list_folder(folder: str) -> list[File]:
    """All files below a folder, at any depth; none if it does not exist."""
    return _match(f"{_escaped(folder)}/**")


def read(path: str) -> bytes:
    """The bytes of a file.

    Raises:
        FileNotFoundError: if there is none.
    """
    if not exists(path) or _is_folder(path):
        raise FileNotFoundError(path)
    with open_file(path) as file:
        return file.read()


def read_many(paths: Sequence[str]) -> Iterator[bytes | OSError]:
    """The bytes of each file, in order, or why it cannot be read: `FileNotFoundError` where there is none.

    Remote files are fetched by several threads, a few ahead of whoever takes them.
    """
    if not any(map(is_remote, paths)):
        yield from map(_bytes_or_error, paths)
        return
    with ThreadPoolExecutor(READING_THREADS, thread_name_prefix="read") as pool:
        yield from ahead(pool, _bytes_or_error, paths, 2 * READING_THREADS)


def open_file(path: str) -> BinaryIO:
    """A file opened for reading, as it is: a name like `x.gz` unpacks nothing."""
    file: BinaryIO = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return file


def exists(path: str) -> bool:
    """Whether there is a file or a folder of this name."""
    return bool(FileSystems.exists(path))


def write(path: str, content: bytes) -> None:
    """Make a file whole or not at all, replacing what was there.

    Where there are folders a temporary file is renamed; an object store makes an object visible when it is whole.

    Raises:
        StoreError: if the file system fails.
    """
    try:
        if FileSystems.get_filesystem(path).has_dirs():
            folder, name = posixpath.split(path)
            temporary = join(folder, f".{name}.{uuid.uuid4().hex}.tmp")
            _put(temporary, content)
            FileSystems.rename([temporary], [path])
        else:
            _put(path, content)
    except (OSError, BeamIOError) as error:
        raise StoreError(
            f"{path} cannot be written ({_reason(error)}); when that is mended, run the same command again."
        ) from error


def check_writable(folder: str) -> None:
    """Write a file into a folder and delete it again, before any work is done for that folder.

    Raises:
        UserError: if that fails.
    """
    probe = join(folder, ".bulklabel-can-write")
    try:
        write(probe, b"")
        delete([probe])
    except (StoreError, BeamIOError) as error:
        reason = _reason(error.__cause__ or error)
        raise UserError(f"{folder} cannot be written ({reason}); give an output that you may write to.") from error


def delete(paths: list[str]) -> None:
    """Delete files; those that are not there are gone already."""
    for path in paths:
        if exists(path):
            FileSystems.delete([_escaped(path)])


def _escaped(path: str) -> str:
    """The glob that matches this path alone."""
    return GLOB.sub(lambda mark: f"[{mark.group()}]", path)


def _put(path: str, content: bytes) -> None:
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(content)


def _match(pattern: str) -> list[File]:
    try:
        results = FileSystems.match([pattern])
    except (BeamIOError, ValueError) as error:
        raise UserError(f"{pattern} cannot be listed ({_reason(error)}); check the path and its scheme.") from error
    return [File(item.path, item.size_in_bytes) for item in results[0].metadata_list if not _is_folder(item.path)]


def _is_folder(path: str) -> bool:
    return not is_remote(path) and os.path.isdir(path)


def _bytes_or_error(path: str) -> bytes | OSError:
    try:
        return read(path) if is_remote(path) else Path(path).read_bytes()
    except OSError as error:
        return error


def _is_data(path: str, names: re.Pattern[str]) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.split("/"))
    return bool(names.search(path)) and not hidden


def _folder_of(path: str) -> str:
    """The folder that a file lies in, or the last one that a glob names without a wildcard."""
    return posixpath.dirname(GLOB.split(path, maxsplit=1)[0])


def _reason(error: BaseException) -> str:
    details = getattr(error, "exception_details", None)
    inner = next(iter(details.values())) if details else error
    return getattr(inner, "strerror", None) or str(inner)
