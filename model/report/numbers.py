"""Numbers as people read them, the same on the page and on the terminal."""

from collections.abc import Sequence


def format_number(value: float | int | None) -> str:
    """Four decimals for a rate, thousands for a count, a dash for what is undefined."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def format_range(value: Sequence[float | None] | None, decimals: int = 4) -> str:
    """`low – high`, or nothing where there is no range."""
    if value is None or value[0] is None or value[1] is None:
        return ""
    return f"{value[0]:.{decimals}f} – {value[1]:.{decimals}f}"
