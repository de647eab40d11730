"""Publish: metrics, report and manifest, then `_SUCCESS`, inside the graph, so that no runner's driver is needed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import apache_beam as beam

from model.metrics import compute_metrics
from model.report import render_report
from model.statistic import Statistic
from transforms import files
from transforms.plan import Plan, Recipe
from transforms.planning import MANIFEST_FILE, METRICS_FILE, REPORT_FILE, SUCCESS_FILE

Entry = dict[str, str | int]


class TooManyRejectedError(Exception):
    """More records were rejected than `--max_rejected_fraction` allows; all but `_SUCCESS` was published."""


@dataclass(frozen=True)
class Publication:
    """What the published files say besides what was counted.

    `provenance` is shown in the report and in the manifest; `max_rejected_fraction` is in 0…1.
    """

    output: str
    recipe: Recipe
    provenance: Mapping[str, Any]
    max_rejected_fraction: float


class Publish(beam.PTransform):  # type: ignore[misc]
    """Waits for the statistic and for every part, then publishes."""

    def __init__(
        self,
        publication: Publication,
        predictions: beam.PCollection[Entry],
        rejected: beam.PCollection[Entry],
    ) -> None:
        super().__init__()
        self._publication = publication
        self._predictions = predictions
        self._rejected = rejected

    def expand(self, statistic: beam.PCollection[Statistic]) -> beam.PCollection[None]:
        """One statistic in; its part lists come beside it."""
        return statistic | beam.Map(
            _publish,
            self._publication,
            beam.pvalue.AsList(self._predictions),
            beam.pvalue.AsList(self._rejected),
        )


class PublishEvaluation(beam.PTransform):  # type: ignore[misc]
    """Publishes metrics and report alone, for a run that was scored before."""

    def __init__(self, publication: Publication) -> None:
        super().__init__()
        self._publication = publication

    def expand(self, statistic: beam.PCollection[Statistic]) -> beam.PCollection[dict[str, Any]]:
        """One statistic in, the metrics out."""
        return statistic | beam.Map(_publish_metrics, self._publication)


def provenance_of(plan: Plan, model: str) -> dict[str, Any]:
    """What the manifest and the report say of a run's origin; `model` is the directory as the user named it."""
    return {
        "bulklabel": version("bulklabel"),
        "plan": plan.digest,
        "model": model,
        "model_digest": plan.recipe.model_digest,
        "input_files": len(plan.inputs),
        "input_bytes": sum(max(file.size, 0) for file in plan.inputs),
        "shards": len(plan.shards),
        "layout": plan.recipe.layout,
        "versions": dict(plan.recipe.versions),
    }


def to_json(content: Mapping[str, Any]) -> bytes:
    """Published JSON: for people to read, and the same bytes for the same content."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _publish(
    statistic: Statistic, publication: Publication, predictions: Iterable[Entry], rejected: Iterable[Entry]
) -> None:
    metrics = _publish_metrics(statistic, publication)
    counts = metrics["counts"]
    fraction = counts["rejected"] / counts["records"] if counts["records"] else 0.0
    accepted = fraction <= publication.max_rejected_fraction
    manifest = {
        **publication.provenance,
        "counts": counts,
        "rejected_fraction": fraction,
        "max_rejected_fraction": publication.max_rejected_fraction,
        "accepted": accepted,
        "predictions": sorted(predictions, key=lambda entry: entry["name"]),
        "rejected": sorted(rejected, key=lambda entry: entry["name"]),
    }
    files.write(files.join(publication.output, MANIFEST_FILE), to_json(manifest))
    if not accepted:
        raise TooManyRejectedError(
            f"{counts['rejected']:,} of {counts['records']:,} records were rejected ({fraction:.2%}, at most "
            f"{publication.max_rejected_fraction:.2%} allowed); see {publication.output}/{REPORT_FILE}, "
            "or raise --max_rejected_fraction."
        )
    files.write(files.join(publication.output, SUCCESS_FILE), b"")


def _publish_metrics(statistic: Statistic, publication: Publication) -> dict[str, Any]:
    metrics = compute_metrics(statistic, publication.recipe.labels, publication.recipe.thresholds)
    report = render_report(metrics, {}, publication.provenance)
    files.write(files.join(publication.output, METRICS_FILE), to_json(metrics))
    files.write(files.join(publication.output, REPORT_FILE), report.encode())
    return metrics
