"""Tells which files a table may name: those below its own folder, or below a root that the user gives."""

import functools
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from bulklabel.model.errors import RecordError, UserError
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.path_names import is_remote
from bulklabel.transforms.files.text import shortened

URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//[^/]*)?(/.*)?", re.DOTALL)
"""Matches a URI: scheme, `//` with the bucket or host, path. A single letter and a colon are a drive of Windows."""

WEB = ("http", "https", "ftp", "data")

OTHER_NAMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}
"""Schemes by which Spark, Hadoop and fsspec know the same stores."""

WINDOWS = re.compile(r"[A-Za-z]:[/\\]|\\\\")
"""Matches the start of an absolute path of Windows."""


@dataclass(frozen=True)
class ImageRoots:
    """Holds where the images that a table names may lie: in the table's own folder, or in one of the roots.

    >>> image_roots = ImageRoots("s3://sets/birds", ("s3://photos/2024",))
    >>> image_roots.paths_of("robin.jpg")
    ['s3://sets/birds/robin.jpg', 's3://photos/2024/robin.jpg']
    >>> image_roots.paths_of("s3a://photos/2024/x/../robin.jpg")
    ['s3://photos/2024/robin.jpg']
    """

    folder: str
    roots: tuple[str, ...]

    @property
    def _bases(self) -> tuple[str, ...]:
        return self.folder, *self.roots

    def paths_of(self, name: str) -> list[str]:
        """Returns the paths that a name in the table may mean, in the order in which they are to be tried.

        A name is taken as it is written, then with `%20` and the like decoded, then with backslashes as slashes. A
        relative one is looked for in the table's folder first, then in each root.

        Raises:
            RecordError: if no place that it may mean lies below the table's folder or a root.
        """
        places = _places(name, self._bases)
        allowed = [place for place in places if any(_is_below(place, base) for base in self._bases)]
        if not allowed:
            raise RecordError("read", "unsafe_path", _why_not(name, places))
        return allowed

    def folders_of(self, names: Sequence[str]) -> list[str]:
        """Returns folders, one a store at most, that as roots would allow what these names mean.

        >>> ImageRoots("/tables", ()).folders_of(["/data/a/1.png", "file:///data/b/2.png", "s3://x/cats/3.png"])
        ['/data', 's3://x/cats']
        """
        by_store: dict[str, list[str]] = {}
        for place in (place for name in names for place in _places(name, (self.folder,))[:1]):
            folder = posixpath.dirname(_real(place))
            by_store.setdefault("/".join(folder.split("/")[:3]) if is_remote(folder) else "", []).append(folder)
        return [posixpath.commonpath(folders).replace(":/", "://") for folders in by_store.values()]


def root_of(path: str) -> str:
    """Returns a root as `ImageRoots` takes it, of what the user gives.

    Raises:
        UserError: if it is on the web, or there is no such folder on this machine.

    >>> root_of("s3a://photos/2024/")
    's3://photos/2024'
    """
    root = files.absolute(path)
    scheme, separator, rest = root.partition("://")
    if scheme.lower() in WEB:
        raise UserError(
            f"--image_root {path}: nothing is read from the web; give a folder, or a store's s3:// or gs://."
        )
    if separator:
        return f"{OTHER_NAMES.get(scheme, scheme)}://{rest}"
    if not os.path.isdir(root):
        raise UserError(f"--image_root {path}: there is no such folder; give one that holds images.")
    return root


def _places(name: str, bases: Sequence[str]) -> list[str]:
    """Returns the paths that a name may mean, each once, with `.`, `..` and other ways to write a path taken out."""
    places = [place for spelling in _spellings(name) for place in _meant(spelling, bases)]
    return list(dict.fromkeys(places))


def _spellings(name: str) -> list[str]:
    r"""Returns the name as it is written, and as it may have been before somebody encoded it; none if it is no path.

    >>> _spellings("a%20b.png"), _spellings(r"cats\1.png")[1]
    (['a%20b.png', 'a b.png'], 'cats/1.png')
    """
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return []
    written = [name, unquote(name, errors="surrogateescape"), name.replace("\\", "/")]
    return [spelling for spelling in dict.fromkeys(written) if spelling.strip() and "\0" not in spelling]


def _meant(spelling: str, bases: Sequence[str]) -> Iterator[str]:
    """Yields the paths that a spelling means: one if it is absolute or a URI, else one below each base."""
    uri = URI.fullmatch(spelling)
    if uri and (uri[2] is not None or uri[3]):
        scheme, host, path = uri[1].lower(), (uri[2] or "//")[2:], uri[3] or ""
        if scheme == "file":
            if host in ("", "localhost"):
                yield _tidy(unquote(path, errors="surrogateescape"))
        elif scheme not in WEB and host:
            yield _tidy(f"{OTHER_NAMES.get(scheme, scheme)}://{host}{path}")
    elif not WINDOWS.match(spelling):
        yield from (_tidy(posixpath.join(base, spelling)) for base in (bases if spelling[0] != "/" else bases[:1]))


def _tidy(path: str) -> str:
    """Returns a path without `.` and `..`; doubled slashes are one in a folder, and names of their own in a store.

    >>> _tidy("//data/./x/..//1.png"), _tidy("s3://x/a//1.png"), _tidy("s3://x/a/../../1.png")
    ('/data/1.png', 's3://x/a//1.png', 's3://x/1.png')
    """
    if not is_remote(path):
        return posixpath.normpath(f"/{path.lstrip('/')}")
    scheme, _, rest = path.partition("://")
    bucket, *parts = rest.split("/")
    kept: list[str] = []
    for part in parts:
        if part == "..":
            kept = kept[:-1]
        elif part != ".":
            kept.append(part)
    return f"{scheme}://{'/'.join([bucket, *kept])}"


def _is_below(place: str, base: str) -> bool:
    """Returns whether a place lies below a folder, wherever links lead; a store has none."""
    if is_remote(place) != is_remote(base):
        return False
    real = _real_folder(base).rstrip("/")
    return _real(place).startswith(f"{real}/")


def _real(place: str) -> str:
    return place if is_remote(place) else os.path.realpath(place)


@functools.lru_cache(64)
def _real_folder(folder: str) -> str:
    return _tidy(folder) if is_remote(folder) else os.path.realpath(folder)


def _why_not(name: str, places: Sequence[str]) -> str:
    """Returns why a name is not read, and what would help."""
    shown = shortened(name)
    scheme = name.partition(":")[0].lower()
    if scheme in WEB:
        return (
            f"{shown} is an address of the web, from where nothing is read; copy the images to a folder or a store, "
            "and name that with --image_root"
        )
    if WINDOWS.match(name):
        return f"{shown} is a path of Windows; write paths relative to a folder, and name that with --image_root"
    if not places:
        return (
            f"{shown} is not a path; give the column of paths with --image_column, and their folder with --image_root"
        )
    real = _real(places[0])
    link = "" if real == places[0] else f" is a link to {real}, which"
    return f"{shown}{link} is neither below the table's folder nor below an --image_root; name its folder by that flag"
