"""Globs: one pattern language for all stores, in which every name can be written.

`*` stands for characters of one name, `?` for one of them, `[abc]`, `[a-z]` and `[!abc]` for one of some; `**` also
crosses slashes. Everything else stands for itself, a backslash too; `[*]`, `[?]` and `[[]` stand for these characters.
"""

import re

GLOB_MARKS = re.compile(r"[*?\[]")

TOKEN = re.compile(
    r"(?P<deep>\*\*+)|(?P<any>\*)|(?P<one>\?)|\[(?P<not>!?+)(?P<some>\][^\]/]*|[^\]/]+)\]|(?P<other>.)", re.DOTALL
)

RANGE = re.compile(r"(.)-(.)|(.)", re.DOTALL)


def glob_regex(pattern: str) -> re.Pattern[str]:
    r"""Returns the regular expression that matches the paths that a glob does, from start to end.

    >>> [path for path in ("a.png", "a\\b.png", "c/d.png") if glob_regex("*.png").fullmatch(path)]
    ['a.png', 'a\\b.png']
    """
    return re.compile("".join(map(_token_regex, TOKEN.finditer(pattern))), re.DOTALL)


def prefix_of(pattern: str) -> str:
    """Returns what every path that a glob matches starts with.

    >>> prefix_of("/images/2024-*/?.png")
    '/images/2024-'
    """
    return GLOB_MARKS.split(pattern)[0]


def escaped(path: str) -> str:
    """Returns the glob that matches this path alone.

    >>> escaped("/images/[a].png")
    '/images/[[]a].png'
    """
    return GLOB_MARKS.sub(lambda mark: f"[{mark.group()}]", path)


def _token_regex(token: re.Match[str]) -> str:
    if token["deep"]:
        return ".*"
    if token["any"]:
        return "[^/]*"
    if token["one"]:
        return "[^/]"
    if token["other"] is not None:
        return re.escape(token["other"])
    ranges = [(first or single, last or single) for first, last, single in RANGE.findall(token["some"])]
    some = "".join(f"{re.escape(first)}-{re.escape(last)}" for first, last in ranges if first <= last)
    if token["not"]:
        return f"[^/{some}]"
    return f"(?!/)[{some}]" if some else "(?!)"
