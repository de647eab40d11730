"""Metrics: pure functions of the statistic, and what is published of them."""

from bulklabel.model.metrics.curves import curves_table
from bulklabel.model.metrics.drawings import drawings
from bulklabel.model.metrics.estimates import Evidence
from bulklabel.model.metrics.goals import Goal
from bulklabel.model.metrics.paired import Change, paired_changes
from bulklabel.model.metrics.published import compute_metrics, thresholds_file

__all__ = [
    "Change",
    "Evidence",
    "Goal",
    "compute_metrics",
    "curves_table",
    "drawings",
    "paired_changes",
    "thresholds_file",
]
