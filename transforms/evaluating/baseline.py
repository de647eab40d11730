"""Reads the earlier run that a run is compared with, and checks what is required of it, before any work."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from bulklabel.model.errors import UserError
from bulklabel.model.metrics import Goal, compute_metrics
from bulklabel.model.metrics.by_name import label_numbers
from bulklabel.model.metrics.drift import drift_between
from bulklabel.model.metrics.requirements import LATEST, Gates, Requirement, check_requirement
from bulklabel.model.statistic import Statistic
from bulklabel.model.statistic.distinct import Distinct
from bulklabel.transforms.files import files
from bulklabel.transforms.run_directory.file_names import METRICS_FILE

COMPARED = ("label", "label_rate", "histogram")


def make_gates(
    requirements: Sequence[Requirement], baseline: str | None, labels: Sequence[str], output: str, grouped: bool = False
) -> Gates:
    """Makes the gates of a run that has these labels: what is required, and the earlier run's numbers.

    Args:
        requirements: what `--require` asks for.
        baseline: the output of an earlier `score` or `evaluate`, as the user named it, `LATEST`, or None.
        labels: the model's.
        output: this run's, absolute.
        grouped: whether its records are grouped, so that there are groups to count.

    Raises:
        UserError: if there is no such metric or label, or the baseline cannot be used.
    """
    if not requirements and baseline is None:
        return Gates()
    metrics = compute_metrics(
        Statistic.zero(len(labels)), labels, [0.0] * len(labels), Goal(), Distinct(groups=0 if grouped else None)
    )
    before = digest = None
    if baseline == LATEST:
        before = metrics  # which run it is, is chosen later; names and labels are those of any that it can be
    elif baseline is not None:
        content = _read(baseline, output)
        before, digest = _numbers(content, baseline), hashlib.sha256(content).hexdigest()
        _check_labels(labels, before, baseline)
    if before is not None:
        metrics["drift"] = drift_between(before, metrics)
    for requirement in requirements:
        check_requirement(requirement, metrics, before)
    return Gates(tuple(requirements), baseline, digest, None if baseline == LATEST else before)


def _read(baseline: str, output: str) -> bytes:
    if files.same_place(baseline, output):
        raise UserError(f"--baseline {baseline} is the --output itself; give an earlier run's.")
    try:
        return files.read(files.join(files.absolute(baseline), METRICS_FILE))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"--baseline {baseline}: {METRICS_FILE} is missing; give the output of a finished `score` or `evaluate`."
        ) from None


def _numbers(content: bytes, baseline: str) -> dict[str, Any]:
    try:
        return numbers_of(content)
    except ValueError as error:
        raise UserError(
            f"--baseline {baseline}: {METRICS_FILE} is damaged or of another version ({error}); make it again with "
            "`bulklabel evaluate`."
        ) from error


def numbers_of(content: bytes) -> dict[str, Any]:
    """Returns the part of a `metrics.json` that is compared.

    Raises:
        ValueError: if it is damaged, or of another version.
    """
    try:
        metrics = json.loads(content)
        return {
            "counts": metrics["counts"],
            "overall": metrics["overall"],
            "per_label": [{"label": row["label"]} | label_numbers(row) for row in metrics["per_label"]],
            "distributions": {
                "labels": [{name: row[name] for name in COMPARED} for row in metrics["distributions"]["labels"]],
                "formats": metrics["distributions"]["formats"],
                "sizes": metrics["distributions"]["sizes"],
            },
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def differing_labels(labels: Sequence[str], numbers: Mapping[str, Any]) -> list[str]:
    """Returns the labels that a model, or what `numbers_of` returned, has alone, in alphabetical order."""
    return sorted({*labels} ^ {row["label"] for row in numbers["per_label"]})


def _check_labels(labels: Sequence[str], numbers: Mapping[str, Any], baseline: str) -> None:
    differing = differing_labels(labels, numbers)
    if differing:
        label = differing[0]
        owner = "the model's" if label in labels else "the baseline's"
        raise UserError(
            f"--baseline {baseline} has other labels ({label!r} is {owner} alone); give a run with the same labels."
        )
