"""Publish: metrics, report and manifest, then `_SUCCESS`, inside the graph, so that no runner's driver is needed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import apache_beam as beam

from model.gallery import Thumbnail, gallery
from model.gates import Gates
from model.metrics import Goal, compute_metrics, curves_table, drawings, thresholds_file
from model.metrics.drift import drift_between, rejected_fraction
from model.report import failed_requirements, per_label_csv, render_report
from model.statistic import Statistic
from transforms import files
from transforms.claims import check_claim, check_parts, succeed
from transforms.manifest import Launch, Written, build_manifest, entry_of
from transforms.parts import Entry, to_parquet
from transforms.plan import Plan, Recipe, reused_content
from transforms.planning import (
    CURVES_FILE,
    MANIFEST_FILE,
    METRICS_FILE,
    PER_LABEL_FILE,
    PLAN_FILE,
    REPORT_FILE,
    THRESHOLDS_FILE,
)
from transforms.rows import clean

Verdict = Mapping[str, Any]


class TooManyRejectedError(Exception):
    """More records were rejected than `--max_rejected_fraction` allows; all but `_SUCCESS` was published."""


class GateFailedError(Exception):
    """What `--require` asked for does not hold; all but `_SUCCESS` was published."""


@dataclass(frozen=True)
class Publication:
    """What the published files say besides what was counted.

    `provenance` is shown in the report and in the manifest; `goal` is what thresholds are suggested for; `slice_by`
    names carried columns; `max_rejected_fraction` is in 0…1; `gates` is what is required, and the baseline.
    """

    output: str
    recipe: Recipe
    provenance: Mapping[str, Any]
    goal: Goal
    slice_by: Sequence[str]
    max_rejected_fraction: float = 1.0
    gates: Gates = field(default_factory=Gates)

    @property
    def asked_for(self) -> dict[str, Any]:
        """What the metrics tell besides, and must be, as the manifest has it."""
        return {
            "slice_by": list(self.slice_by),
            "goal": self.goal.kind,
            "target": self.goal.target,
            "max_rejected_fraction": self.max_rejected_fraction,
            "require": [requirement.text for requirement in self.gates.requirements],
            "baseline": self.gates.baseline,
            "baseline_digest": self.gates.digest,
        }

    def is_published(self) -> bool:
        """Whether the manifest at the output was asked for the same; not if it cannot be read."""
        try:
            manifest = json.loads(files.read(files.join(self.output, MANIFEST_FILE)))
        except (FileNotFoundError, ValueError):
            return False
        return all(manifest.get(name) == value for name, value in self.asked_for.items())


class Publish(beam.PTransform):  # type: ignore[misc]
    """Waits for the statistic and for every part, then publishes."""

    def __init__(
        self,
        publication: Publication,
        launch: Launch,
        thumbnails: beam.PCollection[Thumbnail],
        predictions: beam.PCollection[Written],
        rejected: beam.PCollection[Written],
    ) -> None:
        super().__init__()
        self._publication = publication
        self._launch = launch
        self._thumbnails = thumbnails
        self._predictions = predictions
        self._rejected = rejected

    def expand(self, statistic: beam.PCollection[Statistic]) -> beam.PCollection[None]:
        """One statistic in; thumbnails and the lists of parts come beside it."""
        return statistic | beam.Map(
            _publish,
            self._publication,
            self._launch,
            beam.pvalue.AsList(self._thumbnails),
            beam.pvalue.AsList(self._predictions),
            beam.pvalue.AsList(self._rejected),
        )


class PublishEvaluation(beam.PTransform):  # type: ignore[misc]
    """Publishes metrics, report and a manifest without parts, for a run that was scored before."""

    def __init__(self, publication: Publication, thumbnails: beam.PCollection[Thumbnail]) -> None:
        super().__init__()
        self._publication = publication
        self._thumbnails = thumbnails

    def expand(self, statistic: beam.PCollection[Statistic]) -> beam.PCollection[None]:
        """One statistic in; thumbnails come beside it."""
        return statistic | beam.Map(_publish_evaluation, self._publication, beam.pvalue.AsList(self._thumbnails))


def provenance_of(plan: Plan, model: str) -> dict[str, Any]:
    """What the manifest and the report say of a run's origin; `model` is the directory as the user named it."""
    origin = {
        "bulklabel": version("bulklabel"),
        "plan": plan.digest,
        "model": clean(model),
        "model_digest": plan.recipe.model_digest,
        "input_files": len(plan.inputs),
        "input_bytes": sum(max(file.size, 0) for file in plan.inputs),
        "shards": len(plan.shards),
        "layout": plan.recipe.layout,
        "versions": dict(plan.recipe.versions),
    }
    return origin if plan.reused is None else origin | {"reused": reused_content(plan.reused)}


def to_json(content: Mapping[str, Any]) -> bytes:
    """Published JSON: for people to read, and the same bytes for the same content."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _publish(
    statistic: Statistic,
    publication: Publication,
    launch: Launch,
    thumbnails: Sequence[Thumbnail],
    predictions: Sequence[Written],
    rejected: Sequence[Written],
) -> None:
    output, digest = publication.output, launch.stamp.plan_digest
    check_claim(output, digest)
    judgement = _judge(statistic, publication)
    published = _write_metrics(statistic, publication, judgement, thumbnails)
    plan, parts = entry_of(PLAN_FILE, files.read(files.join(output, PLAN_FILE))), [*predictions, *rejected]
    manifest = build_manifest(judgement.about, launch, judgement.verdict, parts, [plan, *published])
    files.write(files.join(output, MANIFEST_FILE), to_json(manifest))
    if judgement.refusal:
        raise judgement.refusal
    check_parts(output, [part.entry for part in parts])
    succeed(output, digest)


def _publish_evaluation(statistic: Statistic, publication: Publication, thumbnails: Sequence[Thumbnail]) -> None:
    judgement = _judge(statistic, publication)
    published = _write_metrics(statistic, publication, judgement, thumbnails)
    manifest = {**judgement.about, **judgement.verdict, "published": published}
    files.write(files.join(publication.output, MANIFEST_FILE), to_json(manifest))
    if judgement.refusal:
        raise judgement.refusal


@dataclass(frozen=True)
class Judgement:
    """The metrics, what is required of them, and why there must be no `_SUCCESS`, if so; the last two's summary."""

    metrics: dict[str, Any]
    verdicts: Sequence[Verdict]
    refusal: Exception | None
    about: Mapping[str, Any]

    @property
    def verdict(self) -> dict[str, Any]:
        """As the manifest has it."""
        counts = self.metrics["counts"]
        return {
            "counts": counts,
            "rejected_fraction": rejected_fraction(counts),
            "gates": self.verdicts,
            "accepted": self.refusal is None,
        }


def _judge(statistic: Statistic, publication: Publication) -> Judgement:
    recipe = publication.recipe
    metrics = compute_metrics(statistic, recipe.labels, recipe.thresholds, publication.goal)
    if publication.gates.before is not None:
        metrics["drift"] = drift_between(publication.gates.before, metrics)
    verdicts = publication.gates.judge(metrics)
    about = {**publication.provenance, **publication.asked_for}
    return Judgement(metrics, verdicts, _refusal(publication, metrics["counts"], verdicts), about)


def _write_metrics(
    statistic: Statistic, publication: Publication, judgement: Judgement, thumbnails: Sequence[Thumbnail]
) -> list[Entry]:
    """Write what is a function of the statistic, all of it from one set of metrics; the manifest's entries of that."""
    metrics, recipe = judgement.metrics, publication.recipe
    drawn = drawings(statistic) | gallery(statistic.examples, thumbnails)
    content = {
        METRICS_FILE: to_json(metrics),
        PER_LABEL_FILE: per_label_csv(metrics).encode(),
        THRESHOLDS_FILE: to_json(thresholds_file(metrics)),
        CURVES_FILE: to_parquet(curves_table(statistic, recipe.labels)),
        REPORT_FILE: render_report(metrics, drawn, publication.provenance, judgement.verdicts).encode(),
    }
    for name, written in content.items():
        files.write(files.join(publication.output, name), written)
    return [entry_of(name, written) for name, written in content.items()]


def _refusal(publication: Publication, counts: Mapping[str, int], verdicts: Sequence[Verdict]) -> Exception | None:
    """Why there must be no `_SUCCESS`, in one line; that records are missing says more than any metric of the rest."""
    fraction, most = rejected_fraction(counts), publication.max_rejected_fraction
    report, failed = f"{publication.output}/{REPORT_FILE}", failed_requirements(verdicts)
    if fraction > most:
        also = f" Failed besides: {failed}." if failed else ""
        return TooManyRejectedError(
            f"{counts['rejected']:,} of {counts['records']:,} records were rejected ({fraction:.2%}, at most "
            f"{most:.2%} allowed); see {report}, or raise --max_rejected_fraction.{also}"
        )
    return GateFailedError(f"required, but not so: {failed}; see {report}.") if failed else None
