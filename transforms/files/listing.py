"""What is known of files before anything is read: their paths, sizes and times, and what a user's path stands for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class File:
    """A file's path, its size in bytes, and when it was modified: microseconds since the epoch, 0 if nobody knows.

    Two are equal whenever they were modified: that a file was touched makes it no other input.
    """

    path: str
    size: int
    modified: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Listing:
    """What one path of a user's stands for: files, sorted, below the folder `root`; perhaps all that it has.

    `scored` are files of it that an earlier run has scored as they are: they need not be read again.
    """

    root: str
    files: tuple[File, ...]
    complete: bool
    scored: frozenset[str] = frozenset()

    def without(self, unwanted: Callable[[str], bool]) -> "Listing":
        """The listing without the files whose paths are unwanted."""
        return replace(self, files=tuple(file for file in self.files if not unwanted(file.path)))


def unique_files(listings: Sequence[Listing]) -> list[File]:
    """Every file of the listings once, sorted by path."""
    found = {file.path: file for listing in listings for file in listing.files}
    return [found[path] for path in sorted(found)]
