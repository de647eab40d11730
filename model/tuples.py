"""Turns what JSON gives back into the values of frozen classes, which are to be hashed and compared."""

from typing import Any


def as_tuples(value: Any) -> Any:
    """Returns a value of JSON with tuples for lists, at any depth of lists.

    >>> as_tuples([["", "absent"]]), as_tuples("cat"), as_tuples(None)
    ((('', 'absent'),), 'cat', None)
    """
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value
