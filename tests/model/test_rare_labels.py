"""How often intervals of labels that few records have contain what is true: simulated, and as docs/metrics.md says."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from bulklabel.model.counting.bins import bin_of, bins_count
from bulklabel.model.counting.filled_bins import FilledBins
from bulklabel.model.counting.sums import Sums
from bulklabel.model.metric_families.areas import AREAS
from bulklabel.model.metric_families.averages import AVERAGES
from bulklabel.model.metric_families.confusion import CONFUSION
from bulklabel.model.metric_families.family import Estimate, Totals
from bulklabel.model.metric_families.rates import RATES
from bulklabel.model.metrics.estimates import Evidence
from bulklabel.model.metrics.intervals import label_intervals, overall_intervals
from bulklabel.model.statistic import GROUPS

THRESHOLD = 1.0
"""Scores are normal, those of present labels higher by a separation; above the threshold a label is predicted."""

PRECISION = 5
"""Of the bins: as many as the statistic has of each group."""

OUTCOMES = ["true_positives", "false_positives", "false_negatives", "true_negatives"]

SIZES = [f"{name}_by_size" for name in ("precision", "recall", "f1", "jaccard")]
"""Sums of averages over samples, which are not looked at."""


@dataclass(frozen=True)
class Case:
    """So many records, so large a part of which has the label, with scores that are higher by `separation`."""

    records: int
    present: float
    separation: float

    @property
    def outcomes(self) -> tuple[float, float, float]:
        """The parts of endless records that are true positives, false positives and false negatives."""
        hit = self.present * stats.norm.sf(THRESHOLD - self.separation)
        return hit, (1 - self.present) * stats.norm.sf(THRESHOLD), self.present - hit


def true_metrics(case: Case) -> dict[str, float]:
    """The metrics of endless records."""
    scores = np.linspace(-6, 8, 20_001)
    recall, fallout = stats.norm.sf(scores - case.separation), stats.norm.sf(scores)
    precision = case.present * recall / (case.present * recall + (1 - case.present) * fallout)
    return rates(*case.outcomes, 1) | {
        "roc_auc": float(stats.norm.cdf(case.separation / np.sqrt(2))),
        "average_precision": float(-np.trapezoid(precision, recall)),
    }


def rates(hits: float, alarms: float, misses: float, answers: float) -> dict[str, float]:
    return {
        "precision": hits / (hits + alarms),
        "recall": hits / (hits + misses),
        "f1": 2 * hits / (2 * hits + alarms + misses),
        "jaccard": hits / (hits + alarms + misses),
        "accuracy": 1 - (alarms + misses) / answers,
        **absent_rates(hits, alarms, misses, answers - hits - alarms - misses),
    }


def absent_rates(hits: float, alarms: float, misses: float, rest: float) -> dict[str, float]:
    specificity = rest / (rest + alarms)
    return {
        "specificity": specificity,
        "npv": rest / (rest + misses),
        "prevalence": (hits + misses) / (hits + alarms + misses + rest),
        "balanced_accuracy": (hits / (hits + misses) + specificity) / 2,
    }


class Samples:
    """Many data sets of one population, each the records of a label of its own, so that all are counted at once.

    With `exactly`, each set has as many present records as the population's share says.
    """

    def __init__(self, random: np.random.Generator, sets: int, case: Case, *, exactly: bool = False) -> None:
        self.groups = random.integers(0, GROUPS, (sets, case.records))
        self.truth = random.random((sets, case.records)) < case.present
        if exactly:
            self.truth[:] = np.arange(case.records) < round(case.present * case.records)
        self.scores = random.normal(0, 1, (sets, case.records)) + case.separation * self.truth

    def count(self, which: np.ndarray) -> np.ndarray:
        """The chosen records of each group and data set, G×sets."""
        sets = len(which)
        cells = (self.groups + GROUPS * np.arange(sets)[:, None])[which]
        return np.bincount(cells, minlength=GROUPS * sets).reshape(sets, GROUPS).T

    def sums(self) -> Sums:
        predicted = self.scores > THRESHOLD
        return Sums(
            {
                "true_positives": self.count(self.truth & predicted),
                "false_positives": self.count(~self.truth & predicted),
                "false_negatives": self.count(self.truth & ~predicted),
                "true_negatives": self.count(~self.truth & ~predicted),
                "with_truth": self.count(np.ones_like(self.truth)).sum(axis=1),
                "all_correct": np.zeros(GROUPS, np.int64),
            }
            | {name: np.zeros((GROUPS, 2), np.int64) for name in SIZES}
        )

    def histograms(self) -> np.ndarray:
        """G×sets×2×bins."""
        bins, sets = bins_count(PRECISION), len(self.truth)
        cells = (self.groups * sets + np.arange(sets)[:, None]) * 2 + self.truth
        cells = cells * bins + bin_of(stats.norm.cdf((self.scores - 1) / 1.5).astype(np.float32), PRECISION)
        return np.bincount(cells.ravel(), minlength=GROUPS * sets * 2 * bins).reshape(GROUPS, sets, 2, bins)


def estimate(totals: Totals) -> Estimate:
    """The metrics that are made of counts, and of histograms where there are some."""
    counts = CONFUSION.estimate(totals) | RATES.estimate(totals) | AVERAGES.estimate(totals)
    return counts if totals.histograms is None else counts | AREAS.estimate(totals)


def given(sums: Sums, by_group: np.ndarray | None) -> tuple[Evidence, Estimate, list[Estimate]]:
    """What intervals are drawn from."""
    total = sums.total()
    everything = None if by_group is None else by_group.sum(axis=0)
    rest = [None if everything is None or by_group is None else everything - by_group[group] for group in range(GROUPS)]
    without = [estimate(Totals(total - sums.group(group), filled(counts))) for group, counts in enumerate(rest)]
    return Evidence(sums, FilledBins.none(0)), estimate(Totals(total, filled(everything))), without


def filled(counts: np.ndarray | None) -> FilledBins | None:
    return None if counts is None else FilledBins.of_counts(counts)


def coverage(case: Case, sets: int, with_areas: bool = False, *, exactly: bool = False) -> dict[str, float]:
    """The share of the data sets with an interval whose interval contains what is true."""
    samples = Samples(np.random.default_rng(5), sets, case, exactly=exactly)
    ends = label_intervals(*given(samples.sums(), samples.histograms() if with_areas else None))
    return {name: contained(*ends[name], value) for name, value in true_metrics(case).items() if name in ends}


def contained(low: np.ndarray, high: np.ndarray, true: float) -> float:
    defined = ~np.isnan(low)
    assert defined.mean() > 0.9
    return float(((low <= true) & (true <= high))[defined].mean())


@pytest.mark.parametrize("separation", [1.6, 3])
@pytest.mark.parametrize("records", [300, 3000])
@pytest.mark.parametrize("present", [0.5, 0.1, 0.03, 0.01])
def test_intervals_of_shares_hold_for_labels_of_a_handful_of_records(
    records: int, present: float, separation: float
) -> None:
    """By the logit alone they would not: of recall with 6 of 600 and a separation of 3, 12 % contain what is true."""
    found = coverage(Case(records, present, separation), sets=600)
    names = {
        "precision",
        "recall",
        "f1",
        "jaccard",
        "accuracy",
        "specificity",
        "npv",
        "prevalence",
        "balanced_accuracy",
    }
    assert found.keys() == names
    of_few = {name: found.pop(name) for name in ("npv", "balanced_accuracy")}  # of few misses, and of two shares
    assert all(0.94 <= share <= 0.99 for share in found.values()), found
    assert all(0.91 <= share <= 1 for share in of_few.values()), of_few


@pytest.mark.parametrize("present", [1, 2, 5, 20, 50])
def test_intervals_hold_for_one_present_record_and_for_fifty(present: int) -> None:
    """Of so few records a recall has few values, so the share jumps with what is true: its mean is looked at."""
    found = [coverage(Case(400, present / 400, separation), 200, exactly=True) for separation in (0.5, 1.6, 2.2, 3)]
    for name in ("recall", "specificity", "accuracy", "balanced_accuracy"):
        shares = [each[name] for each in found]
        assert 0.91 <= np.mean(shares) <= 0.99, (name, shares)
        assert min(shares) >= 0.8, (name, shares)


@pytest.mark.parametrize(
    "case",
    [Case(600, 0.5, 1.6), Case(600, 0.03, 1.6), Case(600, 0.01, 1.6), Case(600, 0.03, 3), Case(600, 0.01, 3)],
    ids=str,
)
def test_intervals_of_areas_are_a_little_narrow_for_rare_labels_that_are_well_told(case: Case) -> None:
    """As docs/metrics.md says: of a ROC AUC near 1, what single records say of it is far from normal."""
    found = coverage(case, sets=300, with_areas=True)
    assert 0.915 < found["average_precision"] < 0.985
    if case.separation < 3:
        assert 0.915 < found["roc_auc"] < 0.985
    else:
        assert 0.84 < found["roc_auc"] < 0.94


def test_intervals_of_all_labels_hold_where_these_are_skewed() -> None:
    """Four labels that 50, 10, 3 and 1 % of the records have."""
    sets, cases = 150, [Case(600, present, 1.6) for present in (0.5, 0.1, 0.03, 0.01)]
    random = np.random.default_rng(6)
    samples = [Samples(random, sets, case) for case in cases]
    sums, histograms = [each.sums() for each in samples], [each.histograms() for each in samples]
    hits, alarms, misses = np.array([case.outcomes for case in cases]).sum(axis=0)
    micro = rates(hits, alarms, misses, len(cases))
    true = {f"{name}_micro": micro[name] for name in ("precision", "recall", "f1", "jaccard")}
    true["label_accuracy"] = micro["accuracy"]
    for name in ("precision", "f1"):
        true[f"{name}_macro"] = float(np.mean([true_metrics(case)[name] for case in cases]))
    lows: dict[str, list[float]] = defaultdict(list)
    highs: dict[str, list[float]] = defaultdict(list)
    for at in range(sets):
        rows = {name: np.stack([each[name][:, at] for each in sums], axis=1) for name in OUTCOMES}
        one = Sums(sums[0].values | rows)
        drawn = overall_intervals(*given(one, np.stack([each[:, at] for each in histograms], axis=1)))
        for name in true:
            lows[name].append(float(drawn[name][0]))
            highs[name].append(float(drawn[name][1]))
    found = {name: contained(np.array(lows[name]), np.array(highs[name]), value) for name, value in true.items()}
    assert all(0.91 <= share <= 1 for share in found.values()), found
    assert np.mean(list(found.values())) == pytest.approx(0.96, abs=0.02)
