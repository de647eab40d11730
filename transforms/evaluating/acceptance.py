"""Decides whether a run is accepted: computes its metrics, and checks them against what is required."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bulklabel.model.errors import UserError
from bulklabel.model.metrics import compute_metrics
from bulklabel.model.metrics.drift import drift_between, rejected_fraction
from bulklabel.model.report import failed_requirements
from bulklabel.model.statistic import Statistic
from bulklabel.model.statistic.distinct import Distinct
from bulklabel.transforms.evaluating.latest_baseline import SHOWN
from bulklabel.transforms.evaluating.publication import Publication
from bulklabel.transforms.run_directory.file_names import REPORT_FILE


class TooManyRejectedError(Exception):
    """Raised if more records were rejected than `--max_rejected_fraction` allows; all but `_SUCCESS` was published."""


class GateFailedError(Exception):
    """Raised if a requirement of `--require` does not hold; all but `_SUCCESS` was published."""


@dataclass(frozen=True)
class Acceptance:
    """Holds the content of `metrics.json`, a verdict for each requirement, and the error if there is no `_SUCCESS`."""

    metrics: dict[str, Any]
    verdicts: Sequence[Mapping[str, Any]]
    refusal: Exception | None

    @property
    def manifest_content(self) -> dict[str, Any]:
        """Returns what the manifest says of it."""
        counts = self.metrics["counts"]
        return {
            "counts": counts,
            "rejected_fraction": rejected_fraction(counts),
            "gates": self.verdicts,
            "accepted": self.refusal is None,
        }


def check_acceptance(
    statistic: Statistic, distinct: Distinct, publication: Publication, duplicate_example: str | None
) -> Acceptance:
    """Computes the metrics of a statistic, and checks them against what the publication requires.

    `duplicate_example` is an id that several records have, if there is one.
    """
    gates = publication.gates
    metrics = compute_metrics(statistic, publication.labels, publication.thresholds, publication.goal, distinct)
    if duplicate_example is not None:
        metrics["duplicate_example"] = duplicate_example
    if publication.truth:
        metrics["truth"] = _truth_seen(publication.truth, metrics)
    if gates.choice is not None:
        metrics["baseline"] = {name: gates.choice[name] for name in SHOWN}
    if gates.before is not None:
        metrics["drift"] = drift_between(gates.before, metrics)
    verdicts = gates.judge(metrics)
    return Acceptance(metrics, verdicts, _refusal(publication, metrics, verdicts))


def _truth_seen(truth: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Returns how labels were read, with how many of them were seen in all records, and not in the first alone."""
    seen = sum(row["support"] > 0 for row in metrics["per_label"])
    return {**truth, "labels_seen": seen, "records": metrics["counts"]["with_truth"]}


def _refusal(
    publication: Publication, metrics: Mapping[str, Any], verdicts: Sequence[Mapping[str, Any]]
) -> Exception | None:
    """Returns why there is no `_SUCCESS`, in one line, None if there is: rejected records, truth, then requirements."""
    counts = metrics["counts"]
    fraction, most = rejected_fraction(counts), publication.max_rejected_fraction
    report, failed = f"{publication.output}/{REPORT_FILE}", failed_requirements(verdicts)
    if fraction > most:
        also = f" Failed besides: {failed}." if failed else ""
        return TooManyRejectedError(
            f"{counts['rejected']:,} of {counts['records']:,} records were rejected ({fraction:.2%}, at most "
            f"{most:.2%} allowed); see {report}, or raise --max_rejected_fraction.{also}"
        )
    if publication.truth_joined and counts["scored"] and not counts["with_truth"]:
        example = publication.truth.get("example") or {}
        return UserError(
            f"--truth: no record has truth by it; the ids of the truth are such as {example.get('id')!r}: compare them "
            f"with those in {publication.output}/predictions, and see --truth_key and --id_column."
        )
    strange = list(metrics["unknown_labels"])
    if strange and not metrics["overall"]["support"] and not publication.truth.get("accepted", True):
        rule = publication.truth
        return UserError(
            f"no label of the truth is the model's: it has {', '.join(map(repr, strange[:3]))}, and was read as "
            f"{rule['words']}; give another --labels_column, or accept this with --labels_as {rule['labels_as']}."
        )
    return GateFailedError(f"failed requirements: {failed}; see {report}.") if failed else None
