"""Text that any file can hold, whatever bytes a name or a string was made of."""


def escape_surrogates(text: str) -> str:
    r"""The text with whatever is no character (half a surrogate pair, a file name's wild byte) as `\udc..`."""
    return text.encode("utf-8", "backslashreplace").decode()
