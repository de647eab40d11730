"""`--metrics_textfile`: how a run ended, for the textfile collector of Prometheus' node exporter."""

import os
import time
from collections.abc import Mapping
from typing import Any

from bulklabel.pipelines.console.exit_codes import WITHOUT_AN_END
from bulklabel.transforms.files.text import escape_surrogates

LAST_SUCCESS = "bulklabel_last_success_timestamp_seconds"


def write_textfile(path: str, summary: Mapping[str, Any], rejected: Mapping[str, int]) -> None:
    """Writes a command's summary, whole or not at all; a failure keeps the time of the last success.

    Everything has the label `run`, the file's own name: a collector refuses two files with the same series.

    Args:
        path: of the textfile.
        summary: as it is printed.
        rejected: rejected records by their reason.

    Raises:
        OSError, ValueError: if it cannot be written.
    """
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

    registry = CollectorRegistry()
    run = escape_surrogates(os.path.basename(path).removesuffix(".prom"))

    def gauge(name: str, text: str, label: str | None, values: Mapping[str, float | None]) -> None:
        known = {key: value for key, value in values.items() if value is not None}
        if known:
            family = Gauge(name, text, ["run", *([label] if label else [])], registry=registry)
            for key, value in known.items():
                family.labels(run, *([key] if label else [])).set(value)

    counts = summary["counts"] or {}
    gauge("bulklabel_exit_code", "Exit code of the last run.", None, {"": summary["exit_code"]})
    gauge("bulklabel_run_seconds", "Seconds that the last run took.", None, {"": summary["seconds"]})
    records = {state: counts.get(state) for state in ("scored", "rejected")}
    gauge("bulklabel_records", "Records of the last run.", "state", records)
    gauge("bulklabel_rejected", "Rejected records of the last run, by reason.", "reason", rejected)
    gauge("bulklabel_metric", "Metrics of the last run, from 0 to 1.", "name", summary["metrics"] or {})
    succeeded = summary["exit_code"] == 0 and summary["state"] not in WITHOUT_AN_END
    success = time.time() if succeeded else last_success(path)
    gauge(LAST_SUCCESS, "When a run last ended with exit code 0, in Unix time.", None, {"": success})
    write_to_textfile(path, registry)


def last_success(path: str) -> float | None:
    """Reads from an earlier textfile when a run last succeeded, in Unix time; None if it does not say."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        with open(path, encoding="utf-8") as file:
            families = list(text_string_to_metric_families(file.read()))
    except (OSError, ValueError):
        return None
    return next((sample.value for family in families for sample in family.samples if sample.name == LAST_SUCCESS), None)
