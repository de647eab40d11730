"""Metrics: pure functions of the statistic, and what is published of them."""

from model.metrics.curves import curves_table
from model.metrics.drawings import drawings
from model.metrics.goals import Goal
from model.metrics.published import compute_metrics, thresholds_file

__all__ = ["Goal", "compute_metrics", "curves_table", "drawings", "thresholds_file"]
