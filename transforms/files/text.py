"""Makes text that any file and any line can hold, whatever bytes a name or a string was made of."""

SHOWN_CHARACTERS = 80


def escape_surrogates(text: str) -> str:
    r"""Returns the text with each lone surrogate, such as a file name's undecodable byte, as six characters.

    >>> print(escape_surrogates("caf\udce9.png"))
    caf\udce9.png
    """
    return text.encode("utf-8", "backslashreplace").decode()


def shortened(text: str) -> str:
    """Returns a text in quotes as a message shows it: not all of it if it is long.

    >>> shortened("cats/1.png"), len(shortened("x" * 1000))
    ("'cats/1.png'", 82)
    """
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…")
