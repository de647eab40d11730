"""Thresholds for a goal: what is chosen, and that its counts are those of the raw predictions."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from bulklabel.model.counting.bins import bin_of, lowest_of
from bulklabel.model.labels.thresholds import predict_labels, read_thresholds
from bulklabel.model.metrics import Goal, compute_metrics, thresholds_file
from bulklabel.model.metrics.threshold_goals import MOST_PRECISION, Choice, choose, threshold_curves, tune_thresholds
from bulklabel.model.statistic import Statistic
from tests.support.synthetic import Batch, batches, logistic_batch, metrics_of_statistic, records_table, statistic_of

GOALS = [
    Goal("f1"),
    *(Goal("precision", target) for target in (0.0, 0.07, 0.5, 0.9, 1.0)),
    *(Goal("recall", target) for target in (0.0, 0.07, 0.5, 0.9, 1.0)),
    *(Goal("specificity", target) for target in (0.0, 0.07, 0.5, 0.9, 1.0)),
    *(Goal("budget", target) for target in (0.0, 1.0, 5.0, 1000.0)),
]

Counts = tuple[int, int, int]


IN_FORCE = 0.3


def chosen(batch: Batch, goal: Goal) -> list[tuple[Choice, np.ndarray, np.ndarray]]:
    """Each label's choice with its truth and its probabilities."""
    curves = threshold_curves(statistic_of(batch).histograms.filled())
    in_force = [
        Choice(IN_FORCE, False, *counted(*label, IN_FORCE)) for label in zip(batch[0].T, batch[1].T, strict=True)
    ]
    choices = [choose(curve, goal, stays) for curve, stays in zip(curves, in_force, strict=True)]
    return list(zip(choices, batch[0].T, batch[1].T, strict=True))


def counted(truth: np.ndarray, scores: np.ndarray, threshold: float) -> Counts:
    """Records predicted, and true and false positives, by the rule that `score` applies."""
    predicted = predict_labels(scores[:, None], [threshold])[:, 0]
    return int(predicted.sum()), int((predicted & (truth == 1)).sum()), int((predicted & (truth == 0)).sum())


def possible(truth: np.ndarray, scores: np.ndarray) -> list[Counts]:
    """The counts at every threshold that separates two bins."""
    cuts = lowest_of(np.unique(bin_of(np.abs(scores), MOST_PRECISION)), MOST_PRECISION)
    return [counted(truth, scores, float(cut)) for cut in cuts[::-1]]


@given(batches(unknown=True, fewest=0), st.sampled_from(GOALS))
def test_the_counts_of_a_choice_are_those_of_the_raw_predictions(batch: Batch, goal: Goal) -> None:
    for choice, truth, scores in chosen(batch, goal):
        assert 0 <= choice.threshold <= 1
        assert (choice.predicted, choice.true_positives, choice.false_positives) == counted(
            truth, scores, choice.threshold
        )


@given(batches(unknown=True, fewest=0), st.sampled_from(GOALS))
def test_a_goal_is_reached_as_well_as_can_be(batch: Batch, goal: Goal) -> None:
    target = goal.target or 0.0
    for choice, truth, scores in chosen(batch, goal):
        cuts = possible(truth, scores)
        support = int((truth == 1).sum())
        predicted, true, false = choice.predicted, choice.true_positives, choice.false_positives
        if goal.kind == "f1":
            assert choice.reached == bool(support)
            best = max([2 * t / (support + t + f) for _, t, f in cuts if support], default=None)
            assert best is None or 2 * true / (support + true + false) == best
        elif goal.kind == "recall":
            assert choice.reached == bool(support)
            if support:
                assert true / support >= target
                assert predicted == min(p for p, t, _ in cuts if t / support >= target)
        elif goal.kind == "precision":
            good = [t for _, t, f in cuts if t and t / (t + f) >= target]
            assert choice.reached == bool(good)
            if good:
                assert true / (true + false) >= target
                assert true == max(good)
        elif goal.kind == "specificity":
            absent = int((truth == 0).sum())
            good = [t for _, t, f in cuts if absent and (absent - f) / absent >= target]
            assert choice.reached == bool(absent and (absent - false) / absent >= target)
            assert choice.reached or not good
            assert not good or true == max(good)
        else:
            assert choice.reached == (predicted <= target)
            good = [p for p, _, _ in cuts if p <= target]
            assert not good or predicted == max(good)
        if not choice.reached:
            telling = {"f1": truth == 1, "recall": truth == 1, "specificity": truth == 0, "precision": truth != -1}
            silent = goal.kind in telling and not telling[goal.kind].any()
            assert choice.threshold == (IN_FORCE if silent else 1)


@pytest.mark.parametrize("seed", range(3))
def test_the_best_f1_is_that_of_brute_force_on_raw_data(seed: int) -> None:
    batch = logistic_batch(np.random.default_rng(seed), 200, 2)
    for choice, truth, scores in chosen(batch, Goal()):
        every = [oracle.f1_score(truth, scores >= cut) for cut in scores]
        assert oracle.f1_score(truth, scores >= np.float32(choice.threshold)) == pytest.approx(max(every), abs=5e-3)
    apart = np.linspace(0.1, 0.9, 200, dtype=np.float32)  # so that each has a bin of its own
    apart = np.random.default_rng(seed).permutation(apart)[:, None]
    for choice, truth, scores in chosen((batch[0][:, :1], apart), Goal()):
        every = [oracle.f1_score(truth, scores >= cut) for cut in scores]
        assert oracle.f1_score(truth, scores >= np.float32(choice.threshold)) == max(every)


def test_of_equally_good_thresholds_the_highest_is_chosen() -> None:
    truth = np.array([[1], [0], [0], [1]], np.int8)
    batch = (truth, np.array([[0.9], [0.7], [0.3], [0.2]], np.float32))
    found = {(goal.kind, goal.target): chosen(batch, goal)[0][0] for goal in GOALS}
    assert found["f1", None].predicted == 1  # one of one is as good as two of four
    assert found["recall", 0.5].predicted == 1
    assert found["recall", 0.9].predicted == 4
    assert found["precision", 0.5].predicted == 4
    assert found["precision", 0.9].threshold == pytest.approx(0.8, abs=1e-3)


def test_a_budget_counts_records_of_unknown_truth_as_well() -> None:
    truth = np.array([[-1], [-1], [1], [0]], np.int8)
    scores = np.array([[0.9], [0.8], [0.7], [0.6]], np.float32)
    choice = chosen((truth, scores), Goal("budget", 3))[0][0]
    assert (choice.predicted, choice.true_positives, choice.false_positives) == (3, 1, 0)


def test_a_budget_that_certain_answers_exceed_is_not_reached() -> None:
    batch = (np.ones((3, 1), np.int8), np.array([[1.0], [1.0], [0.2]], np.float32))
    assert chosen(batch, Goal("budget", 1))[0][0] == Choice(1.0, False, 2, 2, 0)
    assert chosen(batch, Goal("budget", 2))[0][0].predicted == 2
    equal = (batch[0], np.full((3, 1), 0.7, np.float32))
    assert chosen(equal, Goal("budget", 1))[0][0] == Choice(1.0, True, 0, 0, 0)


def test_a_share_that_is_no_binary_number_is_reached_exactly() -> None:
    truth = np.ones((100, 1), np.int8)
    scores = np.linspace(0.1, 0.9, 100, dtype=np.float32)[:, None]
    assert chosen((truth, scores), Goal("recall", 0.07))[0][0].predicted == 7
    assert 0.07 * 100 > 7  # which is why


@given(batches(unknown=True), st.sampled_from(GOALS))
def test_a_thresholds_file_gives_the_suggested_predictions(batch: Batch, goal: Goal) -> None:
    found: dict[str, Any] = metrics_of_statistic(statistic_of(batch), goal)
    promised = found["thresholds"].pop("suggested")
    assert found["thresholds"] == {"goal": goal.kind, "target": goal.target}
    names = [row["label"] for row in found["per_label"]]
    thresholds = read_thresholds(json.dumps(thresholds_file(found)).encode(), names, "thresholds.json")
    for row, truth, scores, threshold in zip(found["per_label"], batch[0].T, batch[1].T, thresholds, strict=True):
        suggested = row["suggested"]
        known = truth != -1
        predicted, true, false = counted(truth, scores, threshold)
        assert suggested["threshold"] == threshold
        assert (suggested["predicted"], suggested["tp"], suggested["fp"]) == (predicted, true, false)
        if known.any():
            expected = oracle.precision_recall_fscore_support(
                truth[known] == 1, scores[known] >= np.float32(threshold), average="binary", zero_division=0
            )[:3]
            assert [suggested[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected, abs=1e-12)
        else:
            assert (true, false) == (0, 0)
            assert [suggested[name] for name in ("precision", "recall", "f1")] == [None] * 3
            assert goal.kind == "budget" or threshold == row["threshold"]
    table = records_table(range(len(batch[0])))
    again = compute_metrics(Statistic.from_batch(*batch, thresholds, table), names, thresholds, goal)
    assert promised == {name: again["overall"][name] for name in promised}


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=30))
def test_no_threshold_has_a_higher_f1_than_the_tuned_one(pairs: list[tuple[bool, float]]) -> None:
    truth = np.array([[present] for present, _ in pairs], np.int8)
    scores = np.array([[score] for _, score in pairs], np.float32)
    tuned = tune_thresholds(truth, scores)
    best = max(oracle.f1_score(truth, scores >= cut, zero_division=0) for cut in [*scores[:, 0], 0.5])
    assert oracle.f1_score(truth, predict_labels(scores, tuned), zero_division=0) == pytest.approx(best)


def test_a_label_that_never_occurs_keeps_the_default_threshold() -> None:
    assert tune_thresholds(np.zeros((3, 1), np.int8), np.full((3, 1), 0.9, np.float32)) == (0.5,)


def tuned_by_scikit_learn(truth: np.ndarray, scores: np.ndarray) -> float:
    """The highest cut of the best F1, half-way to the next lower probability."""
    known = truth >= 0
    present, scores = truth[known] == 1, scores[known]
    if not present.any():
        return 0.5
    precision, recall, cuts = oracle.precision_recall_curve(present, scores)
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)[:-1]
    cut = float(cuts[np.flatnonzero(f1 == f1.max())[-1]])
    below = max(scores[scores < cut].tolist(), default=0.0)
    middle = float(np.float32((below + cut) / 2))
    return middle if middle > below else cut


@given(batches(unknown=True, fewest=0))
def test_tuned_thresholds_are_scikit_learns_to_the_last_bit(batch: Batch) -> None:
    assert tune_thresholds(*batch) == tuple(map(tuned_by_scikit_learn, batch[0].T, batch[1].T))


def test_labels_with_few_records_share_the_threshold_that_is_best_for_all_of_them() -> None:
    truth = np.array([[1, 1, 0], [0, 1, 1], [0, 1, 0], [0, 0, 0]], np.int8)
    scores = np.array([[0.9, 0.8, 0.1], [0.1, 0.7, 0.2], [0.3, 0.6, 0.3], [0.4, 0.2, 0.4]], np.float32)
    own, shared = tune_thresholds(truth, scores), tune_thresholds(truth, scores, enough=3)
    assert own[1] == shared[1]
    assert shared[0] == shared[2] == tuned_by_scikit_learn(truth[:, [0, 2]].ravel(), scores[:, [0, 2]].ravel())
    assert own[0] != own[2]


def test_thresholds_are_not_tuned_on_what_a_diverged_network_answers() -> None:
    with pytest.raises(ValueError, match="NaN"):
        tune_thresholds(np.array([[1], [0]], np.int8), np.array([[0.5], [np.nan]], np.float32))


@pytest.mark.parametrize("records", [10, 200, 1000])
def test_tuned_thresholds_of_ordinary_data_are_scikit_learns(records: int) -> None:
    truth, scores = logistic_batch(np.random.default_rng(records), records, 200)
    for probabilities in (scores, scores.round(1)):  # without ties and with many
        assert tune_thresholds(truth, probabilities) == tuple(map(tuned_by_scikit_learn, truth.T, probabilities.T))
