"""Averages precision, recall, F1 and Jaccard index in scikit-learn's four ways: micro, macro, weighted, samples."""

import math

import numpy as np

from bulklabel.model.counting.block import Block
from bulklabel.model.counting.grouping import Grouping
from bulklabel.model.counting.tally import Counts
from bulklabel.model.metric_families.confusion import fractions, known, support
from bulklabel.model.metric_families.family import Estimate, Family, NamedSums, Totals
from bulklabel.model.metric_families.quotients import divide, divide_known, mean_of, ratio


def _record_sums(block: Block, grouping: Grouping) -> NamedSums:
    """Returns sums that make averages over samples exact, G×(most + 1).

    Each record has a fraction. At the index d is the sum of the numerators of all fractions with the denominator d.
    """
    hits, present, predicted = (rows.sum(axis=0) for rows in (block.hits, block.present, block.predicted))
    return {
        "precision_by_size": _by_size(hits, predicted, block.labels, grouping),
        "recall_by_size": _by_size(hits, present, block.labels, grouping),
        "f1_by_size": _by_size(2 * hits, present + predicted, 2 * block.labels, grouping),
        "jaccard_by_size": _by_size(hits, present + predicted - hits, block.labels, grouping),
    }


def _by_size(numerators: Counts, denominators: Counts, most: int, grouping: Grouping) -> Counts:
    cells = grouping.groups * (most + 1) + denominators
    sums = np.bincount(cells, weights=numerators, minlength=grouping.count * (most + 1))
    return sums.astype(np.int64).reshape(grouping.count, most + 1)


def _estimate(totals: Totals) -> Estimate:
    """Averages over the labels of which some truth is known; without any record with truth all are NaN."""
    sums, metrics = totals.sums, {}
    known_answers, records = known(sums), int(sums["with_truth"])
    for name, (numerators, denominators) in fractions(sums).items():
        rates = divide_known(numerators, denominators, known_answers)
        micro = divide(numerators.sum(keepdims=True), denominators.sum(keepdims=True))
        metrics[f"{name}_micro"] = float(micro[0]) if known_answers.any() else math.nan
        metrics[f"{name}_macro"] = mean_of(rates)
        metrics[f"{name}_weighted"] = mean_of(rates, support(sums))
        metrics[f"{name}_samples"] = _mean_over_samples(sums[f"{name}_by_size"], records)
    return Estimate(metrics)


def _mean_over_samples(sum_by_size: Counts, samples: int) -> float:
    """Returns the mean of fractions, rounded once: those with one denominator were added up as integers."""
    sizes = np.arange(1, len(sum_by_size))
    return ratio(math.fsum(sum_by_size[1:] / sizes), samples)


AVERAGES = Family(_estimate, record_sums=_record_sums)
"""Of all labels together only: each label's own rates are in `confusion`."""
