"""What a run is asked to tell and to be, and whether it is: the part of publishing that writes nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from bulklabel.model.metrics import Goal, compute_metrics
from bulklabel.model.metrics.drift import drift_between, rejected_fraction
from bulklabel.model.metrics.requirements import Gates
from bulklabel.model.report import failed_requirements
from bulklabel.model.statistic import Statistic
from bulklabel.transforms.files import files
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, REPORT_FILE
from bulklabel.transforms.run_directory.plan import Plan, Recipe, ReusedRecords, reused_content


class TooManyRejectedError(Exception):
    """More records were rejected than `--max_rejected_fraction` allows; all but `_SUCCESS` was published."""


class GateFailedError(Exception):
    """What `--require` asked for does not hold; all but `_SUCCESS` was published."""


@dataclass(frozen=True)
class Publication:
    """What the published files say besides what was counted.

    `provenance` is shown in the report and in the manifest; `goal` is what thresholds are suggested for; `slice_by`
    names carried columns; `max_rejected_fraction` is in 0…1; `gates` is what is required, and the baseline; `reused`
    is as `Plan` has it.
    """

    output: str
    recipe: Recipe
    provenance: Mapping[str, Any]
    goal: Goal
    slice_by: Sequence[str]
    max_rejected_fraction: float = 1.0
    gates: Gates = field(default_factory=Gates)
    reused: Sequence[ReusedRecords] | None = None

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

    @property
    def about(self) -> dict[str, Any]:
        """All of it, as the manifest has it."""
        reused = {} if self.reused is None else {"reused": reused_content(self.reused)}
        return {**self.provenance, **self.asked_for, **reused}

    @property
    def origin(self) -> dict[str, Any]:
        """Where the run came from, as the report has it."""
        earlier = {run.run: f"{run.scored + run.rejected:,} records" for run in self.reused or ()}
        baseline = {"baseline": self.gates.baseline} if self.gates.baseline else {}
        return {**self.provenance, **({"reused": earlier} if earlier else {}), **baseline}

    def is_published(self) -> bool:
        """Whether the manifest at the output was asked for the same; not if it cannot be read."""
        try:
            manifest = json.loads(files.read(files.join(self.output, MANIFEST_FILE)))
        except (FileNotFoundError, ValueError):
            return False
        return all(manifest.get(name) == value for name, value in self.asked_for.items())


def provenance_of(plan: Plan, model: str) -> dict[str, Any]:
    """What the manifest and the report say of a run's origin; `model` is the directory as the user named it."""
    return {
        "bulklabel": version("bulklabel"),
        "plan": plan.digest,
        "model": escape_surrogates(model),
        "model_digest": plan.recipe.model_digest,
        "input_files": len(plan.inputs),
        "input_bytes": sum(max(file.size, 0) for file in plan.inputs),
        "shards": len(plan.shards),
        "layout": plan.recipe.layout,
        "versions": dict(plan.recipe.versions),
    }


@dataclass(frozen=True)
class Judgement:
    """The content of `metrics.json`, a verdict for each requirement, and why there must be no `_SUCCESS`, if so."""

    metrics: dict[str, Any]
    verdicts: Sequence[Mapping[str, Any]]
    refusal: Exception | None

    @property
    def content(self) -> dict[str, Any]:
        """As the manifest has it."""
        counts = self.metrics["counts"]
        return {
            "counts": counts,
            "rejected_fraction": rejected_fraction(counts),
            "gates": self.verdicts,
            "accepted": self.refusal is None,
        }


def judge(statistic: Statistic, publication: Publication) -> Judgement:
    """The metrics of a statistic, and whether they are as they must be."""
    recipe, gates = publication.recipe, publication.gates
    metrics = compute_metrics(statistic, recipe.labels, recipe.thresholds, publication.goal)
    if gates.before is not None:
        metrics["drift"] = drift_between(gates.before, metrics)
    verdicts = gates.judge(metrics)
    return Judgement(metrics, verdicts, _refusal(publication, metrics["counts"], verdicts))


def _refusal(
    publication: Publication, counts: Mapping[str, int], verdicts: Sequence[Mapping[str, Any]]
) -> Exception | None:
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
