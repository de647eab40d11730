"""Adapts local folders: a file is whole, and on the disk, as soon as it has its name."""

import contextlib
import errno
import os
import re

from bulklabel.model.errors import SourceChangedError
from bulklabel.transforms.files.listing import File, changed_words
from bulklabel.transforms.files.stores.local_walk import (
    Walked,
    describe,
    described,
    entries_of,
    is_folder,
    transient_errors,
    walk,
)
from bulklabel.transforms.files.stores.path_names import temporary_of

UNSYNCED_ERRORS = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}
"""Errors of file systems that cannot flush a folder to the disk, or may not read it."""

WRITES = 5
"""How often a file is written whose temporary file vanishes: each run deletes those that it finds."""

LITERAL = re.compile(r"(?:\[[*?\[]\]|[^*?\[])*")
ESCAPED_MARK = re.compile(r"\[([*?\[])\]")


class LocalStore:
    """Adapts the local file system, network mounts included; errors keep their errno."""

    def page(self, pattern: str, token: str) -> tuple[list[File], str | None]:  # noqa: ARG002
        """Lists as `Store.page` does, in one page; folders below the first that may not be read count as empty.

        Links to folders are not followed: what is listed so may be deleted.
        """
        folder, deep = _searched(pattern)
        with transient_errors():
            if folder is not None:
                return _files_in(folder, deep), None
            path = ESCAPED_MARK.sub(r"\1", pattern)
            return ([] if os.path.isdir(path) else _file(path)), None

    def folders(self, folder: str, token: str) -> tuple[list[str], str | None]:  # noqa: ARG002
        """Lists as `Store.folders` does, in one page; a link to a folder is one."""
        with transient_errors():
            return [entry.path for entry in entries_of(folder, must_exist=True) if is_folder(entry)], None

    def walk(self, pattern: str) -> list[Walked]:
        """Lists the files that a glob of the user's matches, and others, following links."""
        folder, deep = _searched(pattern)
        with transient_errors():
            return [] if folder is None else [*walk(folder, deep)]

    def describe(self, path: str) -> File:
        """Describes a file as `Store.describe` does."""
        with transient_errors():
            return described(path, os.stat(path))

    def get(self, path: str, start: int, stop: int, version: str = "") -> bytes:
        """Reads as `Store.get` does; a file that changes meanwhile has no version, so it is not read."""
        with transient_errors(), open(path, "rb") as file:
            before = described(path, os.fstat(file.fileno()))
            file.seek(start)
            content = file.read(min(stop - start, before.size))  # memory is taken for all that is asked for
            after = described(path, os.fstat(file.fileno()))
            if before != after or (version and version != before.version):
                raise SourceChangedError(changed_words(path))
            return content

    def put(self, path: str, content: bytes) -> None:
        """Writes as `Store.put` does: a temporary file is renamed when it is on the disk."""
        with transient_errors():
            for _ in range(WRITES - 1):
                with contextlib.suppress(FileNotFoundError):
                    return _replace(path, content)
            return _replace(path, content)

    def delete(self, path: str) -> None:
        """Deletes as `Store.delete` does."""
        with transient_errors():
            os.remove(path)


def _searched(pattern: str) -> tuple[str | None, bool]:
    """Returns the folder in which a glob's files are, and whether at any depth; no folder if it names a single file.

    >>> _searched("/a/b*/**"), _searched("/a/[[]b]*.png"), _searched("/a/b.png")
    (('/a', True), ('/a', False), (None, False))
    """
    matched = LITERAL.match(pattern)
    end = matched.end() if matched else 0
    rest = pattern[end:]
    if not rest:
        return None, False
    return os.path.dirname(ESCAPED_MARK.sub(r"\1", pattern[:end])), "/" in rest or "**" in rest


def _replace(path: str, content: bytes) -> None:
    folder = os.path.dirname(path)
    _make(folder)
    temporary = temporary_of(path)
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # a full disk must not be left fuller
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise
    _sync(folder)


def _make(folder: str) -> None:
    """Makes a folder and those above it, each on the disk before anything is in it."""
    if os.path.isdir(folder):
        return
    above = os.path.dirname(folder)
    _make(above)
    try:
        os.mkdir(folder)
    except FileExistsError:
        if not os.path.isdir(folder):
            raise
    _sync(above)


def _sync(folder: str) -> None:
    """Flushes the names of a folder's files to the disk, where that is possible."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in UNSYNCED_ERRORS:
            raise


def _files_in(root: str, deep: bool) -> list[File]:
    """Lists all that is no folder, at any depth if `deep`; links to folders are not followed."""
    listed: list[File] = []
    folders = [root]
    while folders:
        folder = folders.pop()
        for entry in entries_of(folder, must_exist=folder == root):
            if not is_folder(entry):
                listed += _file(entry.path)
            elif deep and not entry.is_symlink():
                folders.append(entry.path)
    return listed


def _file(path: str) -> list[File]:
    """Lists one file; nothing if it has vanished, or is a link that leads nowhere."""
    file = describe(path)
    return [file] if file else []
