"""Paths and globs: what their text alone says, and what a listing says of a path."""

import posixpath
import re
import uuid

ListedFile = tuple[str, int, int]
"""A file's path, its bytes, and when it was modified: microseconds since the epoch, 0 where nobody knows."""

MICROSECONDS = 1_000_000

GLOB_MARKS = re.compile(r"[*?\[]")

TEMPORARY = re.compile(r"/\.[^/]+\.[0-9a-f]{32}\.tmp$")
"""The path of a file that is being written, or was when its writer died."""


def is_remote(path: str) -> bool:
    """Whether a path names its file system, as `s3://bucket/key` does."""
    return "://" in path


def temporary_of(path: str) -> str:
    """The path of a temporary file beside a file, another one each time."""
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f".{name}.{uuid.uuid4().hex}.tmp")


def bucket_and_key(path: str) -> tuple[str, str]:
    """The two parts of a path such as `s3://bucket/some/key`; the key of a bucket itself is empty."""
    bucket, _, key = path.partition("://")[2].partition("/")
    return bucket, key


def prefix_of(pattern: str) -> str:
    """What every path that a glob matches starts with."""
    return GLOB_MARKS.split(pattern)[0]


def escaped(path: str) -> str:
    """The glob that matches this path alone."""
    return GLOB_MARKS.sub(lambda mark: f"[{mark.group()}]", path)
