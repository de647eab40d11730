"""Changes of metrics between two sets of answers: their intervals by numpy alone, their laws, and their coverage."""

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from bulklabel.model.metrics import Change, Evidence, paired_changes
from bulklabel.model.statistic import GROUPS, Statistic
from tests.browser.sample_comparison import records_table, sample_joined

THRESHOLD = 0.5
Rows = np.ndarray
Metric = Callable[[Rows, Rows], float]


def ids_of(records: int) -> list[str]:
    return [f"photo-{row:05d}" for row in range(records)]


def group_of(record_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(record_id.encode(), digest_size=8).digest(), "big") % GROUPS


def answers(records: int, labels: int, seed: int = 0) -> tuple[Rows, Rows, Rows]:
    """Truth, with unknown labels in it, and the probabilities of both sides: the later one's are better."""
    random = np.random.default_rng(seed)
    truth = random.choice([-1, 0, 1], (records, labels), p=[0.1, 0.5, 0.4]).astype(np.int8)
    noise = random.normal(0, 1.5, truth.shape)
    sides = [skill * (2 * (truth == 1) - 1) + noise + random.normal(0, 0.5, truth.shape) for skill in (1, 1.4)]
    before, after = ((1 / (1 + np.exp(-side))).astype(np.float32) for side in sides)
    return truth, before, after


def changes(truth: Rows, before: Rows, after: Rows, ids: list[str]) -> tuple[dict[str, Change], dict[str, Change]]:
    records = records_table(ids)
    evidence = [
        Evidence.of(Statistic.from_batch(truth, side, [THRESHOLD] * truth.shape[1], records))
        for side in (before, after)
    ]
    return paired_changes(*evidence)


def subset_accuracy(truth: Rows, scores: Rows) -> float:
    known = truth != -1
    right = ((scores >= THRESHOLD) == (truth == 1)) | ~known
    return float(right.all(axis=1)[known.any(axis=1)].mean())


def precision_of(label: int) -> Metric:
    def precision(truth: Rows, scores: Rows) -> float:
        predicted = (scores[:, label] >= THRESHOLD) & (truth[:, label] != -1)
        return float((truth[predicted, label] == 1).mean())

    return precision


def f1_macro(truth: Rows, scores: Rows) -> float:
    known, predicted, present = truth != -1, scores >= THRESHOLD, truth == 1
    hits, given = (predicted & present).sum(axis=0), (predicted & known).sum(axis=0)
    return float((2 * hits / (given + present.sum(axis=0))).mean())


def check(
    found: Change, metric: Metric, truth: Rows, before: Rows, after: Rows, ids: list[str], place: int | tuple[()]
) -> None:
    """The delete-a-group jackknife, written down again."""
    groups = np.array([group_of(record_id) for record_id in ids])
    held = np.unique(groups[(truth != -1).any(axis=1)])
    without = [groups != group for group in held]
    moved = np.array([metric(truth[kept], after[kept]) - metric(truth[kept], before[kept]) for kept in without])
    error = np.sqrt((len(held) - 1) / len(held) * np.sum((moved - moved.mean()) ** 2))
    sides = [(truth != -1).any(axis=1)] if place == () else [truth[:, place] == answer for answer in (0, 1)]
    sizes = [np.bincount(groups[side]).astype(float) for side in sides]
    freedom = max(min(size.sum() ** 2 / (size**2).sum() for size in sizes) - 1, 1)
    spread = stats.t.ppf(0.975, freedom) * error
    change = metric(truth, after) - metric(truth, before)
    values = [value[place] for value in (found.before, found.after, found.change, found.low, found.high)]
    expected = [metric(truth, before), metric(truth, after), change, change - spread, change + spread]
    assert values == pytest.approx(expected, abs=1e-12)
    assert spread > 0


@pytest.mark.parametrize("records", [30, 400])
def test_intervals_are_what_numpy_finds(records: int) -> None:
    """With 30 records some groups are empty."""
    ids = ids_of(records)
    truth, before, after = answers(records, 3)
    overall, per_label = changes(truth, before, after, ids)
    check(overall["subset_accuracy"], subset_accuracy, truth, before, after, ids, ())
    check(overall["f1_macro"], f1_macro, truth, before, after, ids, ())
    for label in range(3):
        check(per_label["precision"], precision_of(label), truth, before, after, ids, label)


def test_every_metric_has_an_interval_around_its_change() -> None:
    joined = sample_joined(6, 600)
    both = changes(joined.truth, joined.before, joined.after, ids_of(600))
    assert {"roc_auc_macro", "log_loss", "ece", "coverage_error", "recall_at_5"} <= both[0].keys()
    assert {"f1", "roc_auc", "average_precision", "brier"} <= both[1].keys()
    for found in both:
        for name, change in found.items():
            assert (change.low <= change.change).all(), name
            assert (change.change <= change.high).all(), name
            assert (change.high - change.low >= 0).all(), name
            assert (change.change == change.after - change.before).all(), name


def test_the_other_way_round_every_change_is_the_opposite() -> None:
    truth, before, after = answers(300, 2)
    there, back = (changes(truth, *sides, ids_of(300)) for sides in ((before, after), (after, before)))
    for found, opposite in zip(there, back, strict=True):
        for name, change in found.items():
            assert change.low == pytest.approx(-opposite[name].high, abs=1e-12), name
            assert change.change == pytest.approx(-opposite[name].change), name


def test_equal_answers_do_not_change() -> None:
    truth, before, _ = answers(300, 4)
    for found in changes(truth, before, before, ids_of(300)):
        for name, change in found.items():
            assert {*np.ravel(change.change), *np.ravel(change.low), *np.ravel(change.high)} == {0}, name


def test_of_one_record_there_is_no_interval() -> None:
    truth, before, after = np.ones((1, 1), np.int8), np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
    overall, per_label = changes(truth, before, after, ids_of(1))
    assert overall["f1_micro"].change == 1
    assert per_label["f1"].change.tolist() == [1]
    assert np.isnan(overall["f1_micro"].low)
    assert np.isnan(per_label["f1"].high).all()


def test_without_truth_everything_is_undefined() -> None:
    truth, before, after = answers(20, 2)
    for found in changes(np.full_like(truth, -1), before, after, ids_of(20)):
        assert all(np.isnan(change.change).all() and np.isnan(change.low).all() for change in found.values())


def test_intervals_contain_the_true_change_as_often_as_they_say() -> None:
    """Of 150 seeded samples whose true change of accuracy follows from the normal distribution.

    For 95 % that is 90 to 100 %, three standard errors of 150 trials. An interval is narrower than it would be if both
    sides were taken for independent.
    """
    trials, records = 150, 400
    random, ids = np.random.default_rng(1), ids_of(records)
    true = stats.norm.cdf(1.0) - stats.norm.cdf(0.7)
    inside = narrower = 0
    for _ in range(trials):
        truth = (random.random((records, 1)) < 0.5).astype(np.int8)
        noise = random.normal(size=truth.shape)
        sides = [stats.norm.cdf(skill * (2 * truth - 1) + noise).astype(np.float32) for skill in (0.7, 1.0)]
        accuracy = changes(truth, sides[0], sides[1], ids)[0]["label_accuracy"]
        inside += bool(accuracy.low <= true <= accuracy.high)
        variances = [float(side * (1 - side)) / records for side in (accuracy.before, accuracy.after)]
        narrower += bool((accuracy.high - accuracy.low) / 2 < 1.96 * np.sqrt(sum(variances)))
    assert 0.9 <= inside / trials < 1
    assert narrower == trials
