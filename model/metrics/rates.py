"""Metrics of sums, by scikit-learn's names and definitions, with `zero_division=0`; NaN is what is undefined."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from bulklabel.model.statistic.fixed import FIXED_POINT
from bulklabel.model.statistic.ranking import ranks
from bulklabel.model.statistic.sums import Sums
from bulklabel.model.statistic.tally import Counts

Values = npt.NDArray[np.float64]

AVERAGED = ("precision", "recall", "f1", "jaccard")


def overall(sums: Sums) -> dict[str, float]:
    """Metrics over all labels, `<metric>` or `<metric>_<average>`, of sums without groups.

    Without any record with truth all are NaN. A macro average is over the labels of which some truth is known.
    """
    known, records = sums.known, int(sums.with_truth)
    answers = int(known.sum())
    wrong = int((sums.false_positives + sums.false_negatives).sum())
    reliability = [counts.sum(axis=0, keepdims=True) for counts in _reliability(sums)]
    metrics = {
        "subset_accuracy": _ratio(int(sums.all_correct), records),
        "label_accuracy": _ratio(answers - wrong, answers),
        "hamming_loss": _ratio(wrong, answers),
        "log_loss": _ratio(math.fsum(_real(sums.log_loss)), answers),
        "binary_crossentropy": _ratio(math.fsum(_real(sums.binary_crossentropy)), answers),
        "brier": _ratio(math.fsum(sums.brier / FIXED_POINT), answers),
        "ece": float(_calibration_error(*reliability)[0]),
        "label_ranking_average_precision": _ratio(int(sums.ranking_precision) / FIXED_POINT, records),
        "coverage_error": _ratio(int(sums.coverage), records),
        "label_ranking_loss": _ratio(int(sums.ranking_loss) / FIXED_POINT, records),
        "one_error": _ratio(records - int(sums.hits_at[0]), records),
    }
    for index, rank in enumerate(ranks(sums.labels)):
        metrics[f"precision_at_{rank}"] = _ratio(int(sums.hits_at[index]), rank * records)
        metrics[f"recall_at_{rank}"] = _ratio(int(sums.recall_at[index]) / FIXED_POINT, records)
    return metrics | _averages(sums)


def per_label(sums: Sums) -> dict[str, Values]:
    """Metrics of each label, of sums without groups: L numbers each, NaN where no record's truth is known."""
    known = sums.known
    rates = {
        "accuracy": _divide(sums.true_positives + sums.true_negatives, known),
        **{name: _divide(*fraction) for name, fraction in _fractions(sums).items()},
        "log_loss": _divide(_real(sums.log_loss), known),
        "brier": _divide(sums.brier / FIXED_POINT, known),
        "ece": _calibration_error(*_reliability(sums)),
    }
    return {name: np.where(known > 0, values, np.nan) for name, values in rates.items()}


def mean_of(values: Values, weights: Counts | None = None) -> float:
    """The mean of those that are not NaN, weighted or not, correctly rounded; NaN of none, 0 of no weight."""
    defined = ~np.isnan(values)
    if not defined.any():
        return math.nan
    if weights is None:
        return math.fsum(values[defined]) / int(defined.sum())
    total = int(weights[defined].sum())
    return math.fsum(values[defined] * weights[defined]) / total if total else 0.0


def _averages(sums: Sums) -> dict[str, float]:
    """Of each rate the micro, macro, weighted and samples averages."""
    by_size: Mapping[str, Counts] = {
        "precision": sums.precision_by_size,
        "recall": sums.recall_by_size,
        "f1": sums.f1_by_size,
        "jaccard": sums.jaccard_by_size,
    }
    known, metrics = sums.known > 0, {}
    for name, (numerators, denominators) in _fractions(sums).items():
        rates = np.where(known, _divide(numerators, denominators), np.nan)
        micro = _divide(numerators.sum(keepdims=True), denominators.sum(keepdims=True))
        metrics[f"{name}_micro"] = float(micro[0]) if known.any() else math.nan
        metrics[f"{name}_macro"] = mean_of(rates)
        metrics[f"{name}_weighted"] = mean_of(rates, sums.support)
        metrics[f"{name}_samples"] = _mean_over_samples(by_size[name], int(sums.with_truth))
    return metrics


def _fractions(sums: Sums) -> dict[str, tuple[Counts, Counts]]:
    """Numerator and denominator of each rate, per label (scikit-learn, `metrics/_classification.py`)."""
    tp, fp, fn = sums.true_positives, sums.false_positives, sums.false_negatives
    return {
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "jaccard": (tp, tp + fp + fn),
    }


def _mean_over_samples(sum_by_size: Counts, samples: int) -> float:
    """The mean of fractions, correctly rounded: those with one denominator were added up as integers."""
    sizes = np.arange(1, len(sum_by_size))
    return _ratio(math.fsum(sum_by_size[1:] / sizes), samples)


def _reliability(sums: Sums) -> tuple[Counts, Counts, Counts]:
    return sums.reliability_records, sums.reliability_present, sums.reliability_probability


def _calibration_error(records: Counts, present: Counts, probability: Counts) -> Values:
    """Expected calibration error of rows of bins: the mean over records of |share present - mean probability|.

    With ten equal bins (Naeini, Cooper and Hauskrecht, 2015); NaN without records.
    """
    gaps = np.abs(present - probability / FIXED_POINT).sum(axis=-1)
    total = records.sum(axis=-1)
    return np.where(total > 0, _divide(gaps, total), np.nan)


def _real(whole_and_fraction: Counts) -> Values:
    real: Values = whole_and_fraction[..., 0] + whole_and_fraction[..., 1] / FIXED_POINT
    return real


def _divide(numerators: Counts | Values, denominators: Counts) -> Values:
    """Quotients, with 0 for 0/0: scikit-learn's `zero_division=0`."""
    quotients = np.zeros(len(denominators))
    np.divide(numerators, denominators, out=quotients, where=denominators > 0)
    return quotients


def _ratio(numerator: float, denominator: int) -> float:
    return numerator / denominator if denominator else math.nan
