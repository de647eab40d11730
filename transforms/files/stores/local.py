"""Adapts local folders: a file is whole, and on the disk, as soon as it has its name."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator

from bulklabel.transforms.files.stores.path_names import ListedFile, temporary_of

TRANSIENT_ERRORS = {errno.EIO, errno.ESTALE, errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT, errno.EBUSY}
"""Errors of network mounts whose server is away for a while."""

UNSYNCED_ERRORS = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}
"""Errors of file systems that cannot flush a folder to the disk, or may not read it."""

WRITES = 5
"""How often a file is written whose temporary file vanishes: each run deletes those that it finds at its start."""

LITERAL = re.compile(r"(?:\[[*?\[]\]|[^*?\[])*")
ESCAPED_MARK = re.compile(r"\[([*?\[])\]")


class LocalStore:
    """Adapts the local file system, network mounts included; errors keep their errno."""

    def page(self, pattern: str, token: str) -> tuple[list[ListedFile], str | None]:  # noqa: ARG002
        """Lists as `Store.page` does, in one page; folders below the first that may not be read count as empty."""
        matched = LITERAL.match(pattern)
        end = matched.end() if matched else 0
        prefix, rest = ESCAPED_MARK.sub(r"\1", pattern[:end]), pattern[end:]
        with transient_errors():
            if rest:
                deep = bool(re.search(r"/|\*\*|[?\[]", rest))
                return _files_in(os.path.dirname(prefix), deep), None
            return ([] if os.path.isdir(prefix) else _file(prefix)), None

    def size(self, path: str) -> int:
        """Returns the size as `Store.size` does."""
        with transient_errors():
            return os.stat(path).st_size

    def get(self, path: str, start: int, stop: int) -> bytes:
        """Reads as `Store.get` does."""
        with transient_errors(), open(path, "rb") as file:
            file.seek(start)
            return file.read(min(stop - start, os.fstat(file.fileno()).st_size))  # memory is taken for all asked for

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


@contextlib.contextmanager
def transient_errors() -> Iterator[None]:
    """Raises errors that another attempt may mend as `ConnectionError`, with errno, reason and path as they were."""
    try:
        yield
    except OSError as error:
        if error.errno not in TRANSIENT_ERRORS:
            raise
        raise ConnectionError(error.errno, error.strerror, error.filename) from error


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


def _files_in(root: str, deep: bool) -> list[ListedFile]:
    """Lists all that is no folder, at any depth if `deep`; links to folders are not followed."""
    listed: list[ListedFile] = []
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not _is_folder(entry):
                        listed += _file(entry.path)
                    elif deep and not entry.is_symlink():
                        folders.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError:
            if folder == root:
                raise
    return listed


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Tells whether an entry is a folder or a link to one; False for a link to itself."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno in TRANSIENT_ERRORS:
            raise
        return False


def _file(path: str) -> list[ListedFile]:
    """Lists one file; nothing if it has vanished, or is a link that leads nowhere."""
    try:
        status = os.stat(path)
        return [(path, status.st_size, status.st_mtime_ns // 1000)]
    except OSError as error:
        if error.errno in TRANSIENT_ERRORS:
            raise
        return []
