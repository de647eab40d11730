"""Describes files before anything is read: their paths, sizes and times, and which of them a user's path stands for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class File:
    """Describes a file by its path, its size in bytes, and when it was modified.

    `modified` is in microseconds since the epoch, None if unknown. It takes no part in comparisons: a file that was
    touched is still the same input.

    >>> File("a.png", 10, modified=1) == File("a.png", 10, modified=2)
    True
    """

    path: str
    size: int
    modified: int | None = field(default=None, compare=False)


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
