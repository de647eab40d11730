"""Tells which paths data may name, and whether an error is a store's or the data's."""

import os
import posixpath
import re

from bulklabel.model.errors import RecordError, StoreError, UserError

ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]|[A-Za-z][A-Za-z0-9+.-]*://")
"""Matches the start of a path that is absolute, on any system, or has a scheme."""


def path_below(folder: str, name: str) -> str:
    """Returns the path of a file that data names relative to a folder.

    Raises:
        RecordError: if the name is no path, is absolute, has a scheme, or climbs out of the folder.

    >>> path_below("/images", "cats/./1.png")
    '/images/cats/1.png'
    """
    parts = name.replace("\\", "/").split("/")
    try:
        os.fsencode(name)
        possible = bool(name) and "\0" not in name
    except UnicodeEncodeError:
        possible = False
    if not possible or ABSOLUTE.match(name) or ".." in parts:
        raise RecordError("read", "unsafe_path", f"{name[:80]!r} is not a path below the folder of the file it is in")
    return posixpath.join(folder, posixpath.normpath(name))


def raise_if_store_failed(error: Exception) -> None:
    """Raises an error again if it is a file system's, and returns if it is the data's, which has no errno.

    Raises:
        OSError, StoreError, UserError: the error itself.
    """
    if isinstance(error, StoreError | UserError | FileNotFoundError) or (isinstance(error, OSError) and error.errno):
        raise error
