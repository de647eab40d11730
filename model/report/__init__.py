"""Makes the reports: self-contained HTML pages of metrics, what is drawn of them, and where they came from."""

from bulklabel.model.report.comparison import headlines, most_flipped, render_comparison
from bulklabel.model.report.numbers import format_change, format_change_range, format_number
from bulklabel.model.report.page import plotting_library, render_report
from bulklabel.model.report.per_label import per_label_csv
from bulklabel.model.report.verdicts import failed_requirements, verdict_lines

__all__ = [
    "failed_requirements",
    "format_change",
    "format_change_range",
    "format_number",
    "headlines",
    "most_flipped",
    "per_label_csv",
    "plotting_library",
    "render_comparison",
    "render_report",
    "verdict_lines",
]
