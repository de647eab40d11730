"""Parses JSON that people wrote, in which no object may have a key twice: Python's parser keeps the last in silence."""

import json
from typing import Any


class RepeatedKeyError(ValueError):
    """Says that an object has a key twice, so that two programs would read it in two ways."""


def parse_json(text: str | bytes) -> Any:
    """Returns the value that a text is in JSON.

    Raises:
        RepeatedKeyError: if an object has a key twice.
        ValueError: if it is no JSON.

    >>> parse_json('{"labels": ["cat"], "id": 7}')
    {'labels': ['cat'], 'id': 7}
    """
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in content if names.count(name) > 1)
        raise RepeatedKeyError(f"an object has the key {repeated[:40]!r} twice; keep one of them")
    return content
