"""Summarizes truth against predictions, mergeably."""

from bulklabel.model.statistic.statistic import GROUPS, MAX_NAMES, Statistic, merge

__all__ = ["GROUPS", "MAX_NAMES", "Statistic", "merge"]
