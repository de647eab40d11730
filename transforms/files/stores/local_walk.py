"""Walks through a user's local folder, following links, and tells which names lead to the same file."""

import contextlib
import errno
import logging
import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.stores.path_names import MISSING

TRANSIENT_ERRORS = {errno.EIO, errno.ESTALE, errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT, errno.EBUSY}
"""Errors of network mounts whose server is away for a while."""

log = logging.getLogger("bulklabel")


@dataclass(frozen=True)
class Walked:
    """Describes a file that was found; `target` is where it really is if a link leads to it, else None.

    A target below the folder that was walked is given by its path there. `is_link` says that the file itself is a link,
    and not a folder above it.
    """

    file: File
    target: str | None = None
    is_link: bool = False


def walk(root: str, deep: bool) -> Iterator[Walked]:
    """Yields all that is no folder, at any depth if `deep`; what is not there where its name is has the size `MISSING`.

    Links to folders are followed, unless they lead to a folder that holds them, or their names start with `.` or `_`.
    A folder below the first that may not be read is left out, with a warning.
    """
    real_root = os.path.realpath(root)
    # A folder, where it really is, and the real places of the links that led there.
    pending: list[tuple[str, str, tuple[str, ...]]] = [(root, real_root, ())]
    while pending:
        folder, real, links = pending.pop()
        try:
            for entry in entries_of(folder, must_exist=True):
                if not is_folder(entry):
                    yield _walked(entry, root, real_root, posixpath.join(real, entry.name) if links else None)
                elif deep:
                    pending += _followed(entry, real, links)
        except PermissionError:
            if folder == root:
                raise
            log.warning(f"{folder} has no read permission; its content is left out.")


def _followed(entry: "os.DirEntry[str]", real: str, links: tuple[str, ...]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Returns a folder that was found, where it really is, and the links that led there; none if it is to be left."""
    if not entry.is_symlink():
        return [(entry.path, posixpath.join(real, entry.name), links)]
    target = os.path.realpath(entry.path)
    if entry.name.startswith((".", "_")) or any(_holds(target, place) for place in (real, *links)):
        return []
    return [(entry.path, target, (real, *links))]


def _walked(entry: "os.DirEntry[str]", root: str, real_root: str, real: str | None) -> Walked:
    """Describes a file, which a link above it may have led to.

    One that is listed and cannot be described is missing, whether it has just been deleted, a link leads nowhere, or a
    mount lists what it cannot find yet: somebody has it, so it counts.
    """
    is_link = entry.is_symlink()
    target = os.path.realpath(entry.path) if is_link else real
    if target and _holds(real_root, target):
        target = root.rstrip("/") + target.removeprefix(real_root.rstrip("/"))
    return Walked(describe(entry.path) or File(entry.path, MISSING), target, is_link)


def _holds(folder: str, path: str) -> bool:
    """Returns whether a path is a folder, or lies below it."""
    return f"{path}/".startswith(f"{folder.rstrip('/')}/")


def without_other_names(walked: Sequence[Walked]) -> list[File]:
    """Returns each file once that has several names: by its own, else by the first to which a link to a folder leads.

    Links to files elsewhere are files of their names, even where two have one target: stores that keep equal contents
    once make such links.

    >>> files = [File("a.png", 1), File("b.png", 1), File("c/a.png", 1)]
    >>> walked = [Walked(files[0]), Walked(files[1], "a.png", is_link=True), Walked(files[2], "/c/a.png")]
    >>> [file.path for file in without_other_names(walked)]
    ['a.png', 'c/a.png']
    """
    taken = {each.file.path for each in walked if each.target is None}
    listed = [each.file for each in walked if each.target is None]
    for each in sorted(
        (each for each in walked if each.target is not None), key=lambda each: (each.is_link, each.file.path)
    ):
        if each.target not in taken:
            listed.append(each.file)
            if not each.is_link:
                taken.add(str(each.target))
    return listed


def entries_of(folder: str, must_exist: bool) -> "Iterator[os.DirEntry[str]]":
    """Yields what is in a folder; nothing if it has vanished, or may not be read and is not one that `must_exist`."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError:
        if must_exist:
            raise


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Tells whether an entry is a folder or a link to one; False for a link to itself."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno in TRANSIENT_ERRORS:
            raise
        return False


def describe(path: str) -> File | None:
    """Describes one file; None if it has vanished, or is a link that leads nowhere."""
    try:
        return described(path, os.stat(path))
    except OSError as error:
        if error.errno in TRANSIENT_ERRORS:
            raise
        return None


def described(path: str, status: os.stat_result) -> File:
    """Describes a file by what the system says of it."""
    return File(path, status.st_size, str(status.st_mtime_ns), inode=status.st_dev << 64 | status.st_ino)


@contextlib.contextmanager
def transient_errors() -> Iterator[None]:
    """Raises errors that another attempt may mend as `ConnectionError`, with errno, reason and path as they were."""
    try:
        yield
    except OSError as error:
        if error.errno not in TRANSIENT_ERRORS:
            raise
        raise ConnectionError(error.errno, error.strerror, error.filename) from error
