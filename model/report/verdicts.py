"""Writes what became of the requirements, in words: for the terminal, and for the report's first table."""

from collections.abc import Mapping, Sequence
from typing import Any

from bulklabel.model.report.numbers import format_number


def failed_requirements(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Returns the requirements that do not hold, each with what it is, in one line; empty if all hold."""
    return ", ".join(
        f"{verdict['requirement']} ({_found(verdict)})" for verdict in verdicts if verdict["passed"] is False
    )


def verdict_lines(verdicts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns a line for each requirement, whether it holds or not, for the terminal."""
    words = {True: "passed", False: "FAILED", None: "open  "}
    return [f"  {words[verdict['passed']]}  {verdict['requirement']} ({_found(verdict)})" for verdict in verdicts]


def value_beside(value: float | None, limit: float | None) -> str:
    """Writes a number with at least four digits, and as many as tell it from the limit that it does not equal.

    >>> value_beside(0.89996, limit=0.9), value_beside(0.5, limit=0.9)
    ('0.89996', '0.5')
    """
    if value is None or isinstance(value, int):
        return format_number(value)
    texts = (f"{value:.{digits}g}" for digits in range(4, 18))
    return next((text for text in texts if value == limit or float(text) != limit), repr(value))


def _found(verdict: Mapping[str, Any]) -> str:
    if verdict["reason"]:
        return str(verdict["reason"])
    value, limit = verdict["value"], verdict["limit"]
    baseline = f"; the limit is {value_beside(limit, value)}" if "baseline" in verdict["requirement"] else ""
    return f"it is {value_beside(value, limit)}{baseline}"
