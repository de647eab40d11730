"""Paths and globs: what their text alone says."""

import re

GLOB_MARKS = re.compile(r"[*?\[]")


def is_remote(path: str) -> bool:
    """Whether a path names its file system, as `s3://bucket/key` does."""
    return "://" in path


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
