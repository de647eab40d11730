"""Unpacks files whose names say that they are gzip."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast


def is_packed(path: str) -> bool:
    """Returns whether a file's name says that it is gzip.

    >>> is_packed("truth.csv.GZ"), is_packed("truth.csv")
    (True, False)
    """
    return path.lower().endswith(".gz")


@contextmanager
def unpacked(path: str, opened: BinaryIO) -> Iterator[BinaryIO]:
    """Gives an opened file as it is, or what is packed in it."""
    if is_packed(path):
        with gzip.GzipFile(fileobj=opened) as stream:
            yield cast(BinaryIO, stream)
    else:
        yield opened
