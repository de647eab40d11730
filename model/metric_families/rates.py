"""Makes the rates that look at absent labels too: specificity, NPV, balanced accuracy, MCC and prevalence."""

import numpy as np

from bulklabel.model.counting.sums import Sums
from bulklabel.model.counting.tally import Counts
from bulklabel.model.metric_families.confusion import known, support
from bulklabel.model.metric_families.family import Estimate, Family, Totals, Values
from bulklabel.model.metric_families.jackknife import correlation_interval
from bulklabel.model.metric_families.quotients import divide, divide_known, mean_of, ratio


def absent_fractions(sums: Sums) -> dict[str, tuple[Counts, Counts]]:
    """Returns numerator and denominator of each rate that true negatives are part of, by label."""
    fp, fn, tn = sums["false_positives"], sums["false_negatives"], sums["true_negatives"]
    return {
        "specificity": (tn, tn + fp),
        "npv": (tn, tn + fn),
        "prevalence": (support(sums), known(sums)),
    }


def matthews(tp: Counts, fp: Counts, fn: Counts, tn: Counts) -> Values:
    """Returns the Matthews correlation coefficients of labels, -1…1, with 0 for 0/0 as in scikit-learn.

    >>> matthews(*np.array([[6, 0], [1, 0], [2, 3], [9, 7]]))
    array([0.66254135, 0.        ])
    """
    margins = [count.astype(np.float64) for count in (tp + fp, tp + fn, tn + fp, tn + fn)]
    scale = np.sqrt(margins[0] * margins[1]) * np.sqrt(margins[2] * margins[3])
    difference = tp.astype(np.float64) * tn - fp.astype(np.float64) * fn
    coefficients: Values = np.divide(difference, scale, out=np.zeros_like(scale), where=scale > 0)
    return coefficients


def _balanced_accuracy(sums: Sums) -> Values:
    """Returns the means of recall and specificity; NaN where no record, or each one, has the label."""
    present, absent = support(sums), known(sums) - support(sums)
    halves = divide(sums["true_positives"], present) + divide(sums["true_negatives"], absent)
    return np.where((present > 0) & (absent > 0), halves / 2, np.nan)


def _estimate(totals: Totals) -> Estimate:
    sums = totals.sums
    answers = known(sums)
    of_absent = absent_fractions(sums)
    rates = {name: divide_known(*fraction, answers) for name, fraction in of_absent.items()}
    coefficients = matthews(
        *(sums[name] for name in ("true_positives", "false_positives", "false_negatives", "true_negatives"))
    )
    rates |= {
        "balanced_accuracy": _balanced_accuracy(sums),
        "mcc": np.where(answers > 0, coefficients, np.nan),
    }
    overall = {}
    for name in ("specificity", "npv"):
        numerators, denominators = of_absent[name]
        overall[f"{name}_micro"] = ratio(int(numerators.sum()), int(denominators.sum()))
        overall[f"{name}_macro"] = mean_of(rates[name])
    overall |= {f"{name}_macro": mean_of(rates[name]) for name in ("balanced_accuracy", "mcc")}
    return Estimate(overall, rates)


RATES = Family(_estimate, intervals={"mcc": correlation_interval, "mcc_macro": correlation_interval})
"""Functions of the four counts of `confusion`, so there is nothing else to sum up."""
