"""Metrics: pure functions of the statistic, and what is published of them."""

from model.metrics.curves import curves_table
from model.metrics.drawings import drawings
from model.metrics.estimates import Evidence
from model.metrics.goals import Goal
from model.metrics.paired import Change, paired_changes
from model.metrics.published import compute_metrics, thresholds_file

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
