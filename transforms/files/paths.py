"""What readers share about the files they read: which of them, which places are safe, and whose fault a failure is."""

import os
import posixpath
import re
from typing import TypeVar

from bulklabel.model.errors import RecordError, StoreError, UserError

T = TypeVar("T")
R = TypeVar("R")

ELSEWHERE = re.compile(r"[/\\]|[A-Za-z]:[/\\]|[A-Za-z][A-Za-z0-9+.-]*://")
"""How a path starts that is absolute, on any system, or has a scheme."""


def path_below(folder: str, name: str) -> str:
    """The path of a file that data names relative to a folder.

    Raises:
        RecordError: if the name is none, is absolute, has a scheme, or climbs out of the folder.
    """
    parts = name.replace("\\", "/").split("/")
    try:
        os.fsencode(name)
        possible = bool(name) and "\0" not in name
    except UnicodeEncodeError:
        possible = False
    if not possible or ELSEWHERE.match(name) or ".." in parts:
        raise RecordError("read", "unsafe_path", f"{name[:80]!r} is not a path below the folder of the file it is in")
    return posixpath.join(folder, posixpath.normpath(name))


def raise_if_store_failed(error: Exception) -> None:
    """Raise an error again if a file system failed and not the data, whose errors have no number.

    Raises:
        OSError, StoreError, UserError: the error itself.
    """
    if isinstance(error, StoreError | UserError | FileNotFoundError) or (isinstance(error, OSError) and error.errno):
        raise error
