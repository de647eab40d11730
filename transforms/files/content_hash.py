"""Makes versions of files from their bytes, for those who do not trust what a store says of them."""

import hashlib
import io
from typing import BinaryIO, cast

from bulklabel.transforms.files.listing import File

HASHED = "blake2b:"
"""What a version starts with that is a hash of the file's bytes."""


def hash_of(stream: BinaryIO) -> str:
    """Returns the version of a file whose bytes these are.

    >>> hash_of(io.BytesIO(b"cat"))
    'blake2b:06b059c0112019db8506d93d3a899f83'
    """
    return HASHED + hashlib.file_digest(cast(io.BufferedReader, stream), "blake2b").hexdigest()[:32]


def is_hashed(file: File) -> bool:
    """Returns whether a file's version is a hash of its bytes."""
    return file.version.startswith(HASHED)
