"""The statistic: a mergeable summary of truth against predictions."""

from bulklabel.model.statistic.statistic import GROUPS, MAX_NAMES, Statistic, merge

__all__ = ["GROUPS", "MAX_NAMES", "Statistic", "merge"]
