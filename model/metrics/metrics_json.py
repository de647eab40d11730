"""Makes the content of `metrics.json`, of which `per_label.csv`, the thresholds file and the report are other views."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bulklabel.model.images.kinds import truncated_of
from bulklabel.model.metric_families.confusion import known, support
from bulklabel.model.metric_families.family import Estimate
from bulklabel.model.metric_families.quotients import interval_or_none, mean_of, number_or_none
from bulklabel.model.metrics.distributions import distributions
from bulklabel.model.metrics.estimates import Evidence
from bulklabel.model.metrics.intervals import label_intervals, overall_intervals
from bulklabel.model.metrics.sliced import slice_evidence
from bulklabel.model.metrics.threshold_goals import Choice, Goal, choose, threshold_curves
from bulklabel.model.statistic import Statistic
from bulklabel.model.statistic.distinct import Distinct

Row = dict[str, Any]

SUGGESTED_RATES = ("precision", "recall", "f1")
"""What is said of suggested thresholds, of each label and of all."""

NO_RECORDS = Distinct()


def compute_metrics(
    statistic: Statistic,
    labels: Sequence[str],
    thresholds: Sequence[float],
    goal: Goal,
    distinct: Distinct = NO_RECORDS,
) -> dict[str, Any]:
    """Returns the content of `metrics.json`.

    All rates are in 0…1; log losses are in nats. Without any truth every metric is None: undefined is null. Intervals
    are of 95 %, bounds hold for certain.

    Args:
        statistic: of L labels.
        labels: their names.
        thresholds: those that decided what is predicted, L numbers in 0…1.
        goal: what the suggested thresholds are for.
        distinct: what is known of the records' ids and groups.

    >>> import pyarrow as pa
    >>> truth, probabilities = np.array([[1, 0], [1, 1]], np.int8), np.array([[0.9, 0.2], [0.6, 0.3]], np.float32)
    >>> records = pa.table({"id": ["a", "b"], "source": ["cats.parquet"] * 2, "position": [0, 1]})
    >>> statistic = Statistic.from_batch(truth, probabilities, [0.5, 0.5], records)
    >>> metrics = compute_metrics(statistic, ["cat", "dog"], [0.5, 0.5], Goal())
    >>> metrics["overall"]["f1_micro"], [row["f1"] for row in metrics["per_label"]], thresholds_file(metrics)
    (0.8, [1.0, 0.0], {'cat': 0.29998782, 'dog': 0.25})
    """
    evidence = Evidence.of(statistic)
    estimate, without = evidence.estimate(), list(evidence.without_groups())
    rows = _label_rows(evidence, estimate, labels, thresholds)
    predicted, curves = statistic.predicted.total()["labels"], threshold_curves(evidence.histograms)
    choices = [
        choose(curve, goal, Choice(row["threshold"], False, int(predicted[index]), row["tp"], row["fp"]))
        for index, (curve, row) in enumerate(zip(curves, rows, strict=True))
    ]
    intervals = label_intervals(evidence, estimate, without)
    for index, (row, choice) in enumerate(zip(rows, choices, strict=True)):
        row["coverage"] = number_or_none(row["known"] / statistic.scored if statistic.scored else math.nan)
        row["unknown"] = statistic.scored - row["known"]
        row["suggested"] = _suggested(choice, row["support"]) | ({} if row["known"] else dict.fromkeys(SUGGESTED_RATES))
        row["intervals"] = {name: interval_or_none(low[index], high[index]) for name, (low, high) in intervals.items()}
    return {
        "counts": _counts(statistic, distinct),
        "overall": _overall(evidence, estimate),
        "intervals": _overall_intervals(evidence, estimate, without),
        "per_label": rows,
        "thresholds": {"goal": goal.kind, "target": goal.target, "suggested": _all_suggested(rows, choices)},
        "slices": {
            column: [_slice(*published, labels, thresholds) for published in slice_evidence(statistic, slices)]
            for column, slices in statistic.slices.items()
        },
        "rejected": [
            {"stage": stage, "reason": reason, "records": records}
            for (stage, reason), records in sorted(statistic.rejected.items())
        ],
        "unknown_labels": dict(statistic.unknown_labels),
        "distributions": distributions(statistic, evidence, labels, thresholds),
    }


def thresholds_file(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Returns the suggested thresholds by label, as `--threshold` takes them."""
    return {row["label"]: row["suggested"]["threshold"] for row in metrics["per_label"]}


def _counts(statistic: Statistic, distinct: Distinct) -> dict[str, int]:
    """Counts records read, scored (with truth, with missing pixels), rejected, with an earlier one's id; and groups."""
    rejected = sum(statistic.rejected.values())
    return {
        "records": statistic.scored + rejected,
        "scored": statistic.scored,
        "rejected": rejected,
        "with_truth": int(statistic.sums["with_truth"].sum()),
        "truncated": truncated_of(statistic.kinds),
        "duplicate_ids": distinct.duplicate_ids,
        **distinct.group_counts(),
    }


def _slice(
    value: str | None, other: bool, records: int, evidence: Evidence, labels: Sequence[str], thresholds: Sequence[float]
) -> Row:
    estimate, without = evidence.estimate(), list(evidence.without_groups())
    return {
        "value": value,
        "other": other,
        "counts": {"records": records, "with_truth": int(evidence.total["with_truth"])},
        "overall": _overall(evidence, estimate),
        "intervals": _overall_intervals(evidence, estimate, without),
        "per_label": _label_rows(evidence, estimate, labels, thresholds),
    }


def _overall(evidence: Evidence, estimate: Estimate) -> Row:
    metrics: Row = {name: number_or_none(value) for name, value in estimate.overall.items()}
    metrics["support"] = int(support(evidence.total).sum())
    return metrics | {f"{name}_bounds": interval_or_none(*bounds) for name, bounds in estimate.bounds.items()}


def _overall_intervals(evidence: Evidence, estimate: Estimate, without: Sequence[Estimate]) -> Row:
    """Returns by name of each overall metric [low, high], or None."""
    ends = overall_intervals(evidence, estimate, without)
    return {name: interval_or_none(float(low), float(high)) for name, (low, high) in ends.items()}


def _label_rows(
    evidence: Evidence, estimate: Estimate, labels: Sequence[str], thresholds: Sequence[float]
) -> list[Row]:
    """Returns one entry a label, in the model's order; metrics are None where no record's truth is known."""
    sums = evidence.total
    counts = {
        "support": support(sums),
        "tp": sums["true_positives"],
        "fp": sums["false_positives"],
        "fn": sums["false_negatives"],
        "tn": sums["true_negatives"],
        "known": known(sums),
    }
    return [
        {"label": label, "threshold": float(str(np.float32(thresholds[index])))}
        | {name: int(values[index]) for name, values in counts.items()}
        | {name: number_or_none(values[index]) for name, values in estimate.per_label.items()}
        | {
            f"{name}_bounds": interval_or_none(low[index], high[index])
            for name, (low, high) in estimate.label_bounds.items()
        }
        for index, label in enumerate(labels)
    ]


def _suggested(choice: Choice, support: int) -> Row:
    true, known = choice.true_positives, choice.true_positives + choice.false_positives
    return {
        "threshold": choice.threshold,
        "reached": choice.reached,
        "precision": true / known if known else 0.0,
        "recall": true / support if support else 0.0,
        "f1": 2 * true / (support + known) if support + known else 0.0,
        "predicted": choice.predicted,
        "tp": choice.true_positives,
        "fp": choice.false_positives,
    }


def _all_suggested(rows: Sequence[Row], choices: Sequence[Choice]) -> dict[str, float | None]:
    """Returns what all suggested thresholds together give on the records that they are chosen on."""
    known = [index for index, row in enumerate(rows) if row["known"]]
    if not known:
        return dict.fromkeys(f"{name}_{average}" for average in ("micro", "macro") for name in SUGGESTED_RATES)
    true = sum(choices[index].true_positives for index in known)
    false = sum(choices[index].false_positives for index in known)
    pooled = _suggested(Choice(0.0, True, true + false, true, false), sum(rows[index]["support"] for index in known))
    means = {name: mean_of(np.array([rows[index]["suggested"][name] for index in known])) for name in SUGGESTED_RATES}
    return {f"{name}_micro": pooled[name] for name in SUGGESTED_RATES} | {
        f"{name}_macro": value for name, value in means.items()
    }
