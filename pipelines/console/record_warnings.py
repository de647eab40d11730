"""What is doubtful about a run's records, a line each: ids that repeat, and groups that are few or missing."""

from collections.abc import Mapping

from bulklabel.model.statistic.distinct import FEW_GROUPS


def record_warnings(counts: Mapping[str, int | None], group_by: str | None, example: str | None = None) -> list[str]:
    """Returns a line for each doubt that the counts of a run raise.

    Args:
        counts: `duplicate_ids`, and of grouped records `groups` and `without_group`.
        group_by: the column that records are grouped by, or None.
        example: an id that several records have, if one is known.

    >>> record_warnings({"duplicate_ids": 2}, None, "photo-7")
    ["2 records have an id that an earlier one has too, such as 'photo-7'."]
    >>> record_warnings({"duplicate_ids": 0, "groups": 8, "without_group": 0}, "patient")
    ['there are only 8 groups by patient: of fewer than 20 no interval can be relied on.']
    """
    lines = []
    duplicates, groups, without = (counts.get(name) or 0 for name in ("duplicate_ids", "groups", "without_group"))
    if duplicates:
        such_as = "" if example is None else f", such as {example[:200]!r}"
        lines.append(f"{duplicates:,} records have an id that an earlier one has too{such_as}.")
    if group_by is None:
        return lines
    if without:
        lines.append(f"{without:,} records have no value of {group_by}: each of them is a group of its own.")
    if groups < FEW_GROUPS:
        lines.append(
            f"there are only {groups:,} groups by {group_by}: of fewer than {FEW_GROUPS} no interval can be relied on."
        )
    return lines
