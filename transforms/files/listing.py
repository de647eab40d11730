"""Describes files before anything is read: paths, sizes and versions, and which of them a user's path stands for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class File:
    """Identifies a file: its path, its size in bytes, and its `version`, which changes whenever its content does.

    The version is what a listing has: the nanosecond at which a local file was modified, an S3 object's ETag, a
    generation on Google Cloud Storage. It is empty if it is not known. `footer` is the hash of a Parquet file's footer
    once that was read. No listing has it, so it does not count where files are compared. Nor does `inode`, device and
    number of a local file in one: names that share it are links to one file.

    >>> File("a.png", 10, "1") == File("a.png", 10, "2")
    False
    """

    path: str
    size: int
    version: str = ""
    footer: str = field(default="", compare=False)
    inode: int = field(default=0, compare=False, repr=False)

    @property
    def row(self) -> list[Any]:
        """Returns what a plan saves of it, which `File` takes.

        >>> File(*File("a.png", 10, "1").row).row
        ['a.png', 10, '1']
        """
        return [self.path, self.size, self.version, *([self.footer] if self.footer else [])]


@dataclass(frozen=True)
class Listing:
    """Lists the files that one path of the user's stands for, sorted, below the folder `root`.

    `complete` tells whether the path is a folder, so that `files` are all of its data. `scored` are paths that an
    earlier run has scored as they are, which need not be read again.
    """

    root: str
    files: tuple[File, ...]
    complete: bool
    scored: frozenset[str] = frozenset()

    def without(self, unwanted: Callable[[str], bool]) -> "Listing":
        """Returns the listing without the files whose paths are unwanted."""
        return replace(self, files=tuple(file for file in self.files if not unwanted(file.path)))


def unique_files(listings: Sequence[Listing]) -> list[File]:
    """Returns every file of the listings once, sorted by path."""
    by_path = {file.path: file for listing in listings for file in listing.files}
    return [by_path[path] for path in sorted(by_path)]


def changed_words(path: str) -> str:
    """Returns what is said of an input that is not what it was when it was planned."""
    return f"{path} was changed after the run was planned; once inputs stay as they are, score them again"
