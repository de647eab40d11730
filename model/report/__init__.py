"""The report: one self-contained HTML page made of the metrics, what is drawn of them, and where they came from."""

from model.report.numbers import format_number
from model.report.page import render_report
from model.report.per_label import per_label_csv

__all__ = ["format_number", "per_label_csv", "render_report"]
