"""The intervals: a simulation of how often they contain what is true, and what they must not depend on."""

import math
from collections import defaultdict

import numpy as np
import pytest
from scipy import stats

from bulklabel.model.metric_families.family import Estimate
from bulklabel.model.metric_families.jackknife import (
    change_interval,
    counted_interval,
    degrees_of_freedom,
    f1_interval,
    share_interval,
    standard_error,
)
from bulklabel.model.metrics.estimates import Evidence
from bulklabel.model.metrics.intervals import label_intervals, overall_intervals
from bulklabel.model.statistic import GROUPS, merge
from tests.support import clusters
from tests.support.simulation import LABELS, evidence_of, sample
from tests.support.synthetic import logistic_batch, metrics_of_statistic, statistic_of

SETS, RECORDS = 250, 600

OVERALL = ["subset_accuracy", "log_loss", "brier", "ece", "label_ranking_average_precision", "coverage_error"]
OVERALL += [f"{name}_{average}" for name in ("f1", "roc_auc", "average_precision") for average in ("micro", "macro")]
PER_LABEL = ["precision", "recall", "f1", "log_loss", "brier", "roc_auc", "average_precision", "ece"]


def numbers(found: Estimate) -> dict[str, float]:
    """The metrics by name, those of a label with its number behind a space."""
    rows = {f"{name} {label}": float(found.per_label[name][label]) for name in PER_LABEL for label in range(LABELS)}
    return {name: found.overall[name] for name in OVERALL} | rows


def intervals(evidence: Evidence) -> dict[str, tuple[float, float]]:
    given = evidence, evidence.estimate(), list(evidence.without_groups())
    overall, per_label = overall_intervals(*given), label_intervals(*given)
    low, high = (
        numbers(
            Estimate(
                {name: float(ends[side]) for name, ends in overall.items()},
                {name: ends[side] for name, ends in per_label.items()},
            )
        )
        for side in (0, 1)
    )
    return {name: (low[name], high[name]) for name in low}


def coverage(records: int, sets: int) -> dict[str, float]:
    """The share of data sets whose interval contains the metric of 300,000 records of the same population."""
    random = np.random.default_rng(20)
    population = 300_000
    true = numbers(evidence_of(sample(random, population), np.zeros(population, np.int64)).estimate())
    hits: dict[str, int] = defaultdict(int)
    for _ in range(sets):
        found = intervals(evidence_of(sample(random, records), random.integers(0, GROUPS, records)))
        for name, (low, high) in found.items():
            hits[name] += low <= true[name] <= high
    return {name: hits[name] / sets for name in true}


def test_intervals_contain_what_is_true_as_often_as_they_say() -> None:
    found = coverage(RECORDS, SETS)
    noise = 3 * math.sqrt(0.95 * 0.05 / SETS)  # of a share that is 0.95 in truth: 0.909 to 0.991
    assert {name: share for name, share in found.items() if abs(share - 0.95) > noise} == {}
    assert np.mean(list(found.values())) == pytest.approx(0.95, abs=0.01)


def test_films_of_one_patient_count_as_what_they_are_where_they_are_grouped() -> None:
    """With sizes like those of the NIH's films: one in twenty intervals is wrong by patient, one in four by film."""
    grouped, ungrouped = clusters.coverage(patients=600, sets=400)
    assert {name: share for name, share in grouped.items() if abs(share - 0.95) > 0.02} == {}
    assert max(ungrouped.values()) < 0.85


@pytest.mark.parametrize(("sizes", "freedom"), [([7] * 20, 19), ([7] * 5 + [0] * 15, 4), ([9, 0], 1), ([0] * 20, 1)])
def test_groups_of_equal_size_have_one_degree_of_freedom_each_but_one(sizes: list[int], freedom: int) -> None:
    assert degrees_of_freedom(np.array(sizes)) == freedom


def test_a_group_that_is_larger_leaves_fewer_degrees_of_freedom() -> None:
    assert 11 < degrees_of_freedom(np.array([50, 50, *[10] * 18])) + 1 < 13
    assert degrees_of_freedom(np.array([2**32] * 3)) == 2  # whose squares are beyond int64


def test_intervals_depend_on_neither_order_nor_shards() -> None:
    batch = logistic_batch(np.random.default_rng(1), 300, 3)
    whole = metrics_of_statistic(statistic_of(batch))
    order = np.random.default_rng(2).permutation(300)
    parts = [statistic_of((batch[0][rows], batch[1][rows]), rows) for rows in np.array_split(order, 7)]
    found = metrics_of_statistic(merge(parts, 3))
    assert found["intervals"] == whole["intervals"]
    assert [row["intervals"] for row in found["per_label"]] == [row["intervals"] for row in whole["per_label"]]
    assert None not in whole["intervals"].values()


def test_every_interval_contains_its_value_and_stays_in_the_range_of_the_metric() -> None:
    for records in (2, 5, 40, 400):
        found = metrics_of_statistic(statistic_of(logistic_batch(np.random.default_rng(records), records, 5)))
        pairs = [(name, found["overall"][name], ends) for name, ends in found["intervals"].items()]
        pairs += [(name, row[name], ends) for row in found["per_label"] for name, ends in row["intervals"].items()]
        defined = [(name, value, ends) for name, value, ends in pairs if ends is not None]
        assert len(defined) > len(pairs) / 2
        for name, value, (low, high) in defined:
            assert (-1 if name.startswith("mcc") else 0) <= low <= value <= high
        for name, ends in found["intervals"].items():
            if ends and name not in ("log_loss", "binary_crossentropy", "coverage_error"):
                assert ends[1] <= 1


def test_there_is_no_interval_of_fewer_than_two_groups() -> None:
    batch = logistic_batch(np.random.default_rng(3), 50, 2)
    found = metrics_of_statistic(statistic_of(batch, [7] * 50))  # one id, so one group
    assert set(found["intervals"].values()) == {None}
    assert set(found["per_label"][0]["intervals"].values()) == {None}
    assert found["overall"]["f1_macro"] is not None


def test_a_label_known_in_one_group_only_has_no_interval_of_its_own() -> None:
    batch = logistic_batch(np.random.default_rng(4), 50, 2)
    batch[0][1:, 0] = -1
    found = metrics_of_statistic(statistic_of(batch))
    assert set(found["per_label"][0]["intervals"].values()) == {None}
    assert found["per_label"][1]["intervals"]["f1"] is not None
    assert found["per_label"][0]["intervals"].keys() == found["per_label"][1]["intervals"].keys()


def test_the_standard_error_of_a_mean_is_the_textbooks() -> None:
    values = np.random.default_rng(5).normal(size=20)
    without = (values.sum() - values) / 19  # each group is one number
    assert standard_error(without) == pytest.approx(values.std(ddof=1) / math.sqrt(20))
    low, high = change_interval(values.mean(), without, 19)
    assert (high - low) / 2 == pytest.approx(2.093024 * values.std(ddof=1) / math.sqrt(20))


@pytest.mark.parametrize(("hits", "counted"), [(0, 7), (3, 7), (7, 7), (1, 1), (999, 1000)])
def test_a_share_that_moves_with_no_group_has_wilsons_interval(hits: int, counted: int) -> None:
    value = np.array(hits / counted)
    found = counted_interval(value, np.full(20, hits / counted), 19, np.array(counted))
    assert found == pytest.approx(stats.binomtest(hits, counted).proportion_ci(method="wilson"), abs=1e-12)
    f1 = f1_interval(2 * value / (1 + value), np.full(20, 2 * value / (1 + value)), 19, np.array(counted))
    assert f1 == pytest.approx([2 * end / (1 + end) for end in found], abs=1e-12)


def test_a_share_of_things_that_resemble_each_other_counts_fewer_of_them() -> None:
    groups = np.repeat([0.2, 0.8], 10) + np.linspace(-0.1, 0.1, 20)  # each the share in a tenth of a group
    without = (groups.sum() - groups) / 19
    wide, narrow = (counted_interval(np.array(0.5), without, 19, np.array(counted)) for counted in (1000, 10))
    error = float(standard_error(without))
    assert wide[1] - wide[0] == pytest.approx(2 * stats.t.ppf(0.975, 19) * error, rel=0.1)
    assert narrow == pytest.approx(stats.binomtest(5, 10).proportion_ci(method="wilson"), abs=1e-12)


def test_of_nothing_counted_there_is_no_interval() -> None:
    assert np.isnan(counted_interval(np.array([0.0]), np.zeros((20, 1)), 19, np.array([0]))).all()


def test_near_the_ends_of_the_range_an_interval_leans_inwards() -> None:
    without = np.array([[0.98, 0.5, 1.0], [0.99, 0.5, 1.0], [0.985, 0.5, 1.0]])
    low, high = share_interval(np.array([0.985, 0.5, 1.0]), without, 2)
    assert 0 < low[0] < 0.985 < high[0] < 1
    assert 0.985 - low[0] > high[0] - 0.985
    assert (low[1:] == high[1:]).all()


def test_no_end_of_an_interval_passes_the_value_by_a_rounding() -> None:
    values = np.arange(1, 1000) / np.arange(1000, 1, -1) / 1000
    low, high = share_interval(values, np.tile(values, (5, 1)), 4)
    assert (low <= values).all()
    assert (values <= high).all()
