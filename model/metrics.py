"""Metrics as pure functions of the statistic, by scikit-learn's names and definitions, with `zero_division=0`."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model.statistic import FIXED_POINT, Counts, Statistic

Values = npt.NDArray[np.float64]


def compute_metrics(statistic: Statistic, labels: Sequence[str], thresholds: Sequence[float]) -> dict[str, Any]:
    """The content of `metrics.json`: `counts`, `overall`, `per_label`, and what could not be counted.

    All rates are in 0…1; log losses are in nats. Without any truth every metric is None: undefined is null.
    """
    return {
        "counts": counts(statistic),
        "overall": overall(statistic),
        "per_label": per_label(statistic, labels, thresholds),
        "rejected": [
            {"stage": stage, "reason": reason, "records": records}
            for (stage, reason), records in sorted(statistic.rejected.items())
        ],
        "unknown_labels": dict(statistic.unknown_labels),
    }


def counts(statistic: Statistic) -> dict[str, int]:
    """Records read, scored, rejected, and scored with truth."""
    rejected = sum(statistic.rejected.values())
    return {
        "records": statistic.scored + rejected,
        "scored": statistic.scored,
        "rejected": rejected,
        "with_truth": statistic.with_truth,
    }


def overall(statistic: Statistic) -> dict[str, float | int | None]:
    """Metrics over all labels: `<metric>` or `<metric>_<average>`."""
    answers = _known(statistic).sum()
    wrong = (statistic.false_positives + statistic.false_negatives).sum()
    metrics: dict[str, float | int | None] = {
        "subset_accuracy": _ratio(statistic.all_correct, statistic.with_truth),
        "label_accuracy": _ratio(answers - wrong, answers),
        "hamming_loss": _ratio(wrong, answers),
        "support": int(_support(statistic).sum()),
        "log_loss": _ratio(statistic.log_loss_sum, int(answers) * FIXED_POINT),
        "binary_crossentropy": _ratio(statistic.binary_crossentropy_sum, int(answers) * FIXED_POINT),
    }
    sums_by_size = {
        "precision": statistic.precision_by_size,
        "recall": statistic.recall_by_size,
        "f1": statistic.f1_by_size,
        "jaccard": statistic.jaccard_by_size,
    }
    for name, (numerators, denominators) in _fractions(statistic).items():
        rates = _divide(numerators, denominators)
        averages = {
            "micro": float(_divide(numerators.sum(keepdims=True), denominators.sum(keepdims=True))[0]),
            "macro": math.fsum(rates) / len(rates),
            "weighted": _weighted(rates, _support(statistic)),
            "samples": _mean_over_samples(sums_by_size[name], statistic.with_truth),
        }
        for average, value in averages.items():
            metrics[f"{name}_{average}"] = value if statistic.with_truth else None
    return metrics


def per_label(statistic: Statistic, labels: Sequence[str], thresholds: Sequence[float]) -> list[dict[str, Any]]:
    """One entry a label, in the model's order; the rates are None where no record's truth is known."""
    known = _known(statistic)
    rates = {name: _divide(*fraction) for name, fraction in _fractions(statistic).items()}
    return [
        {
            "label": label,
            "threshold": float(str(np.float32(thresholds[i]))),
            "support": int(_support(statistic)[i]),
            "tp": int(statistic.true_positives[i]),
            "fp": int(statistic.false_positives[i]),
            "fn": int(statistic.false_negatives[i]),
            "tn": int(statistic.true_negatives[i]),
            "accuracy": _ratio(statistic.true_positives[i] + statistic.true_negatives[i], known[i]),
        }
        | {name: float(values[i]) if known[i] else None for name, values in rates.items()}
        for i, label in enumerate(labels)
    ]


def _fractions(statistic: Statistic) -> dict[str, tuple[Counts, Counts]]:
    """Numerator and denominator of each rate, per label (scikit-learn, `metrics/_classification.py`)."""
    tp, fp, fn = statistic.true_positives, statistic.false_positives, statistic.false_negatives
    return {
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "jaccard": (tp, tp + fp + fn),
    }


def _support(statistic: Statistic) -> Counts:
    return statistic.true_positives + statistic.false_negatives


def _known(statistic: Statistic) -> Counts:
    return _support(statistic) + statistic.false_positives + statistic.true_negatives


def _divide(numerators: Counts, denominators: Counts) -> Values:
    """Quotients, with 0 for 0/0: scikit-learn's `zero_division=0`."""
    return np.divide(numerators, denominators, out=np.zeros(len(numerators)), where=denominators > 0)


def _ratio(numerator: int, denominator: int) -> float | None:
    return int(numerator) / int(denominator) if denominator else None


def _weighted(rates: Values, support: Counts) -> float:
    return math.fsum(rates * support) / int(support.sum()) if support.any() else 0.0


def _mean_over_samples(sum_by_size: Counts, samples: int) -> float:
    """The mean of fractions, correctly rounded: those with one denominator were added up as integers."""
    sizes = np.arange(1, len(sum_by_size))
    return math.fsum(sum_by_size[1:] / sizes) / samples if samples else 0.0
