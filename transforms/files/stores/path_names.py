"""Reads paths by their text alone, and describes what a listing has of a file."""

import posixpath
import re
import uuid

MISSING = -1
"""The size of a file that is named and not there."""


TEMPORARY = re.compile(r"/\.[^/]+\.[0-9a-f]{32}\.tmp$")
"""Matches the path of a file that is being written, or was when its writer died."""


def is_remote(path: str) -> bool:
    """Tells whether a path names its file system, as `s3://bucket/key` does.

    >>> is_remote("s3://bucket/key"), is_remote("/srv/images")
    (True, False)
    """
    return "://" in path


def temporary_of(path: str) -> str:
    """Returns the path of a temporary file beside a file, another one each time."""
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f".{name}.{uuid.uuid4().hex}.tmp")


def bucket_and_key(path: str) -> tuple[str, str]:
    """Returns the two parts of a path such as `s3://bucket/some/key`; the key of a bucket itself is empty.

    >>> bucket_and_key("s3://bucket/some/key")
    ('bucket', 'some/key')
    """
    bucket, _, key = path.partition("://")[2].partition("/")
    return bucket, key
