"""Specificity, NPV, balanced accuracy, MCC and prevalence: against scikit-learn, and how often intervals hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats
from sklearn import metrics as oracle

from bulklabel.model.metric_families.rates import matthews
from tests.support.synthetic import THRESHOLD, Batch, batches, logistic_batch, metrics_of_statistic, statistic_of

NAMES = ("specificity", "npv", "balanced_accuracy", "mcc", "prevalence")


@pytest.mark.filterwarnings("ignore:A single label was found")
@settings(max_examples=40)
@given(batches(unknown=True, fewest=0))
def test_each_label_equals_scikit_learn_where_its_truth_is_known(batch: Batch) -> None:
    metrics = metrics_of_statistic(statistic_of(batch))
    for row, column, scores in zip(metrics["per_label"], batch[0].T, batch[1].T, strict=True):
        truth, guess = column[column >= 0], scores[column >= 0] >= THRESHOLD
        if not len(truth):
            assert {row[name] for name in NAMES} == {None}
            continue
        assert row["specificity"] == pytest.approx(oracle.recall_score(truth, guess, pos_label=0, zero_division=0))
        assert row["npv"] == pytest.approx(oracle.precision_score(truth, guess, pos_label=0, zero_division=0))
        assert row["mcc"] == pytest.approx(oracle.matthews_corrcoef(truth, guess), abs=1e-12)
        assert row["prevalence"] == truth.mean()
        both = 0 < truth.sum() < len(truth)
        expected = oracle.balanced_accuracy_score(truth, guess) if both else None
        assert row["balanced_accuracy"] == (None if expected is None else pytest.approx(expected))


def test_averages_are_of_pooled_answers_and_of_labels() -> None:
    truth, scores = logistic_batch(np.random.default_rng(3), 300, 4)
    metrics = metrics_of_statistic(statistic_of((truth, scores)))
    pooled = oracle.recall_score(truth.ravel(), scores.ravel() >= THRESHOLD, pos_label=0)
    assert metrics["overall"]["specificity_micro"] == pytest.approx(pooled)
    for name in NAMES[:-1]:
        mean = np.mean([row[name] for row in metrics["per_label"]])
        assert metrics["overall"][f"{name}_macro"] == pytest.approx(mean)
        low, high = metrics["intervals"][f"{name}_macro"]
        assert low < mean < high


def test_a_correlation_of_very_many_records_does_not_overflow() -> None:
    counts = [np.array([count]) for count in (3 * 10**9, 10**9, 10**9, 3 * 10**9)]
    assert matthews(*counts)[0] == pytest.approx(0.5)


def test_an_interval_of_none_found_is_not_certain() -> None:
    """Of 0 of 87 it is not [0, 0], and there is none of 0/0."""
    truth, scores = np.zeros((200, 2), np.int8), np.full((200, 2), 0.1, np.float32)
    truth[:87, 0] = 1
    found, missing = metrics_of_statistic(statistic_of((truth, scores)))["per_label"]
    low, high = found["intervals"]["recall"]
    assert (found["recall"], low) == (0, 0)
    assert high == pytest.approx(stats.binomtest(0, 87).proportion_ci(method="wilson").high)
    assert found["precision"] == missing["recall"] == 0
    assert found["intervals"]["precision"] is missing["intervals"]["recall"] is None
    low, high = found["intervals"]["specificity"]
    assert 0.9 < low < high == 1
