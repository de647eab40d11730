"""Turns a statistic into numbers, and these into what is published; everything here is a pure function."""

from bulklabel.model.metrics.curves import curves_table
from bulklabel.model.metrics.estimates import Evidence
from bulklabel.model.metrics.metrics_json import compute_metrics, thresholds_file
from bulklabel.model.metrics.paired import Change, paired_changes
from bulklabel.model.metrics.report_curves import drawings
from bulklabel.model.metrics.threshold_goals import Goal

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
