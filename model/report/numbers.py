"""Numbers as people read them, the same on the pages and on the terminal."""

from collections.abc import Sequence

Range = Sequence[float | None] | None


def format_number(value: float | int | None) -> str:
    """Four decimals for a rate, thousands for a count, a dash for what is undefined."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def format_range(value: Range, decimals: int = 4) -> str:
    """`low – high`, or nothing where there is no range."""
    if value is None or value[0] is None or value[1] is None:
        return ""
    return f"{value[0]:.{decimals}f} – {value[1]:.{decimals}f}"


def format_change(value: float | None) -> str:
    """A change with its sign, tiny ones with more decimals; 0 for none, and a dash for what is undefined."""
    if not value:
        return "–" if value is None else "0"
    return f"{value:+.{4 if abs(value) >= 0.00005 else 6}f}".replace("-", "−")


def format_change_range(value: Range) -> str:
    """`low … high` with their signs, or nothing where there is no range."""
    if value is None or value[0] is None or value[1] is None:
        return ""
    return f"{format_change(value[0])} … {format_change(value[1])}"


FILTERS = {
    "number": format_number,
    "range": format_range,
    "change": format_change,
    "change_range": format_change_range,
}
"""What templates call them."""
