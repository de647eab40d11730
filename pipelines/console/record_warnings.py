"""What is doubtful about a run's records, a line each: ids that repeat, and groups that are few or missing."""

from collections.abc import Mapping

from bulklabel.model.statistic.distinct import FEW_GROUPS


def record_warnings(counts: Mapping[str, int], group_by: str | None, example: str | None = None) -> list[str]:
    """Returns a line for each doubt that the counts of records raise.

    Args:
        counts: perhaps `duplicate_ids`, and of grouped records `without_group`, and `groups` if there are intervals.
        group_by: the column that records are grouped by, or None.
        example: an id that several records have, if one is known.

    >>> record_warnings({"duplicate_ids": 2}, None, "photo-7")
    ["2 records have an id that an earlier one has too, such as 'photo-7'."]
    >>> record_warnings({"duplicate_ids": 0, "groups": 8, "without_group": 0}, "patient")
    ['there are only 8 groups by patient: of fewer than 20 no interval can be relied on.']
    """
    lines = []
    if counts.get("duplicate_ids"):
        such_as = "" if example is None else f", such as {example[:200]!r}"
        lines.append(f"{counts['duplicate_ids']:,} records have an id that an earlier one has too{such_as}.")
    if counts.get("without_group") and counts.get("without_group") == counts.get("groups"):
        lines.append(f"no record has a value of {group_by}, so intervals take each record by itself; check the name.")
    elif counts.get("without_group"):
        lines.append(f"{counts['without_group']:,} records have no value of {group_by}: each is a group of its own.")
    if counts.get("groups", FEW_GROUPS) < FEW_GROUPS:
        few = f"there are only {counts['groups']:,} groups by {group_by}"
        lines.append(f"{few}: of fewer than {FEW_GROUPS} no interval can be relied on.")
    return lines
