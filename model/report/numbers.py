"""Writes numbers as people read them, the same on the pages and on the terminal."""

import shlex
from collections.abc import Sequence

Range = Sequence[float | None] | None


def format_number(value: float | int | None) -> str:
    """Writes a rate with four decimals, a count with thousands, and a dash for what is undefined.

    >>> format_number(0.91234), format_number(12345), format_number(None)
    ('0.9123', '12,345', '–')
    """
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def format_range(value: Range, decimals: int = 4) -> str:
    """Writes `low – high` with so many decimals; empty where there is no range.

    >>> format_range([0.9, 0.95], decimals=2)
    '0.90 – 0.95'
    """
    if value is None or value[0] is None or value[1] is None:
        return ""
    return f"{value[0]:.{decimals}f} – {value[1]:.{decimals}f}"


def format_change(value: float | None) -> str:
    """Writes a change with its sign, tiny ones with more decimals; 0 for none, and a dash for what is undefined.

    >>> format_change(0.0123), format_change(-0.00001), format_change(0)
    ('+0.0123', '−0.000010', '0')
    """
    if not value:
        return "–" if value is None else "0"
    return f"{value:+.{4 if abs(value) >= 0.00005 else 6}f}".replace("-", "−")


def format_change_range(value: Range) -> str:
    """Writes `low … high` with their signs; empty where there is no range.

    >>> format_change_range([-0.01, 0.02])
    '−0.0100 … +0.0200'
    """
    if value is None or value[0] is None or value[1] is None:
        return ""
    return f"{format_change(value[0])} … {format_change(value[1])}"


def short_place(path: str) -> str:
    """Returns the last two parts of a path, by which people know an output.

    >>> short_place("/home/me/runs/demo/scores/"), short_place("gs://bucket/scores")
    ('demo/scores', 'bucket/scores')
    """
    return "/".join([part for part in path.split("/") if part][-2:])


def shell_path(folder: str, name: str) -> str:
    """Writes the path of a file in a folder as a shell takes it.

    >>> shell_path("my scores", "thresholds.json")
    "'my scores/thresholds.json'"
    """
    return shlex.quote(f"{folder.rstrip('/')}/{name}")


FILTERS = {
    "short_place": short_place,
    "shell_path": shell_path,
    "number": format_number,
    "range": format_range,
    "change": format_change,
    "change_range": format_change_range,
}
"""What templates call them."""
