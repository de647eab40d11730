"""Makes text that any file and any line can hold, whatever bytes a name or a string was made of."""

import json
from collections.abc import Mapping
from typing import Any

SHOWN_CHARACTERS = 80


def escape_surrogates(text: str) -> str:
    r"""Returns the text with each lone surrogate, such as a file name's undecodable byte, as six characters.

    >>> print(escape_surrogates("caf\udce9.png"))
    caf\udce9.png
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def shortened(text: str) -> str:
    """Returns a text in quotes as a message shows it: not all of it if it is long.

    >>> shortened("cats/1.png"), len(shortened("x" * 1000))
    ("'cats/1.png'", 82)
    """
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…")


def json_value(value: Any) -> Any:
    r"""Returns a value as JSON has it: other types as text, lone surrogates escaped.

    >>> json_value({"paths": ("a.png", "caf\udce9.png"), "limit": None})
    {'paths': ['a.png', 'caf\\udce9.png'], 'limit': None}
    """
    if isinstance(value, Mapping):
        return {escape_surrogates(str(name)): json_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else escape_surrogates(str(value))


def json_line(content: Mapping[str, Any]) -> str:
    r"""Returns an object as one line of JSON, in ASCII: any stream can take it, and any parser.

    >>> print(json_line({"output": "caf\udce9", "label": "naïve"}))
    {"output": "caf\\udce9", "label": "na\u00efve"}
    """
    return json.dumps(json_value(content))
