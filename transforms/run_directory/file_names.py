"""The names of the files that a run leaves in its output, beside its parts."""

PLAN_FILE, SUCCESS_FILE = "plan.json", "_SUCCESS"
MANIFEST_FILE, METRICS_FILE, REPORT_FILE = "manifest.json", "metrics.json", "report.html"
PER_LABEL_FILE, THRESHOLDS_FILE, CURVES_FILE = "per_label.csv", "thresholds.json", "threshold_curves.parquet"
BASELINE_FILE = "baseline.json"
"""What `--baseline latest` was found to be when the run began: it stays that."""

REJECTED_FILE = "rejected.parquet"
"""What an evaluation of other systems' predictions has besides, where a run has parts."""

PUBLISHED = (MANIFEST_FILE, METRICS_FILE, REPORT_FILE, PER_LABEL_FILE, THRESHOLDS_FILE, CURVES_FILE)
"""What publishing writes before `_SUCCESS`."""
