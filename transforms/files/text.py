"""Makes text that any file can hold, whatever bytes a name or a string was made of."""


def escape_surrogates(text: str) -> str:
    r"""Returns the text with each lone surrogate, such as a file name's undecodable byte, as six characters.

    >>> print(escape_surrogates("caf\udce9.png"))
    caf\udce9.png
    """
    return text.encode("utf-8", "backslashreplace").decode()
