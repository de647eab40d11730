"""Draws the 95 % intervals of all metrics of some records, each in the way that suits it."""

import math
from collections.abc import Sequence

import numpy as np

from bulklabel.model.counting.sums import Sums
from bulklabel.model.counting.tally import Counts
from bulklabel.model.metric_families.confusion import fractions, known
from bulklabel.model.metric_families.families import interval_of
from bulklabel.model.metric_families.family import Estimate
from bulklabel.model.metric_families.jackknife import (
    Values,
    counted_interval,
    degrees_of_freedom,
    f1_interval,
    mean_interval,
)
from bulklabel.model.metric_families.rates import absent_fractions
from bulklabel.model.metrics.estimates import Evidence

Ends = dict[str, tuple[Values, Values]]
"""The low and the high ends of intervals by their metrics' names; NaN where there is none."""


def overall_intervals(evidence: Evidence, estimate: Estimate, without: Sequence[Estimate]) -> Ends:
    """Returns the interval of each metric of all labels.

    Args:
        evidence: what is known of the records.
        estimate: its metrics.
        without: its metrics without each group of records.
    """
    counted = _counted(evidence.sums)
    ends: Ends = {}
    for name, value in estimate.overall.items():
        others = np.array([other.overall.get(name, math.nan) for other in without])
        ends[name] = _interval(name, np.array(value), others, evidence.freedom, counted.get(name))
    return ends


def label_intervals(evidence: Evidence, estimate: Estimate, without: Sequence[Estimate]) -> Ends:
    """Returns the intervals of each metric of the labels, L, from what `overall_intervals` takes."""
    counted = _counted_by_label(evidence.sums)
    ends: Ends = {}
    for name, values in estimate.per_label.items():
        others = np.array([other.per_label[name] for other in without]).reshape(-1, len(values))
        ends[name] = _interval(name, values, others, evidence.label_freedom, counted.get(name))
    halves = ("recall", "specificity")
    if "balanced_accuracy" in ends and all(name in ends for name in halves):
        mean = mean_interval([estimate.per_label[name] for name in halves], [ends[name] for name in halves])
        ends["balanced_accuracy"] = mean
    return ends


def _interval(
    name: str, value: Values, without: Values, freedom: Values, counted: Counts | None
) -> tuple[Values, Values]:
    """Returns the ends for one metric, which is the share of so many things of each group, or no share: then None."""
    if counted is None:
        return interval_of(name)(value, without, freedom)
    draw = f1_interval if name.startswith("f1") else counted_interval
    return draw(value, without, degrees_of_freedom(counted), counted.sum(axis=0))


def _counted_by_label(sums: Sums) -> dict[str, Counts]:
    """Returns of how many things a label's metric is the share, G×L; of F1, what the Jaccard index is the share of."""
    counted = {name: denominators for name, (_, denominators) in fractions(sums).items()}
    counted |= {name: denominators for name, (_, denominators) in absent_fractions(sums).items()}
    return counted | {"f1": counted["jaccard"], "accuracy": known(sums)}


def _counted(sums: Sums) -> dict[str, Counts]:
    """Returns of how many things a metric of all labels is the share, G."""
    by_label = {name: counted.sum(axis=1) for name, counted in _counted_by_label(sums).items()}
    answers = by_label.pop("accuracy")
    micro = {f"{name}_micro": counted for name, counted in by_label.items()}
    return micro | {"label_accuracy": answers, "hamming_loss": answers, "subset_accuracy": sums["with_truth"]}
