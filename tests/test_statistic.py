"""The statistic's laws, and every metric against scikit-learn on the raw predictions."""

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn import metrics as oracle

from model.metrics import compute_metrics
from model.statistic import MAX_NAMES, Statistic, merge

NAMES = ("precision", "recall", "f1", "jaccard")
AVERAGES = ("micro", "macro", "weighted", "samples")
THRESHOLD = 0.25

Batch = tuple[np.ndarray, np.ndarray]


@st.composite
def batches(draw: st.DrawFn, unknown: bool = False) -> Batch:
    """Truth and probabilities; often exactly at the threshold, saturated, empty, or of a label that never occurs."""
    records, labels = draw(st.integers(0 if unknown else 1, 30)), draw(st.integers(1, 6))
    truth = draw(npst.arrays(np.int8, (records, labels), elements=st.integers(-1 if unknown else 0, 1)))
    for label in draw(st.sets(st.integers(0, labels - 1))):
        truth[:, label] = 0
    score = st.one_of(st.sampled_from([0.0, THRESHOLD, 1.0]), st.floats(0, 1, width=32))
    return truth, draw(npst.arrays(np.float32, (records, labels), elements=score))


def statistic_of(batch: Batch, **more: Any) -> Statistic:
    truth, probabilities = batch
    return Statistic.from_batch(truth, probabilities, [THRESHOLD] * truth.shape[1], **more)


@given(batches())
def test_metrics_equal_scikit_learn(batch: Batch) -> None:
    truth, probabilities = batch
    predicted = (probabilities >= THRESHOLD).astype(int)
    labels = [f"l{i}" for i in range(truth.shape[1])]
    found = compute_metrics(statistic_of(batch), labels, [THRESHOLD] * len(labels))
    overall = found["overall"]
    if len(labels) == 1:  # as one column scikit-learn would take it for a binary target
        truth, predicted = truth[:, 0], predicted[:, 0]
    else:
        for name, function in zip(NAMES, functions(), strict=True):
            for average in AVERAGES:
                expected = function(truth, predicted, average=average, zero_division=0)
                assert overall[f"{name}_{average}"] == pytest.approx(expected, abs=1e-12)
    assert overall["subset_accuracy"] == pytest.approx(oracle.accuracy_score(truth, predicted), abs=1e-12)
    assert overall["hamming_loss"] == pytest.approx(oracle.hamming_loss(truth, predicted), abs=1e-12)
    assert overall["label_accuracy"] == pytest.approx(1 - oracle.hamming_loss(truth, predicted), abs=1e-12)
    expected = oracle.log_loss(truth.ravel(), probabilities.ravel().astype(float), labels=[0, 1])
    assert overall["log_loss"] == pytest.approx(expected, abs=1e-9)


def functions() -> list[Any]:
    # in the order of NAMES
    return [oracle.precision_score, oracle.recall_score, oracle.f1_score, oracle.jaccard_score]


@given(batches())
def test_per_label_metrics_equal_scikit_learn(batch: Batch) -> None:
    truth, probabilities = batch
    predicted = (probabilities >= THRESHOLD).astype(int)
    labels = [f"l{i}" for i in range(truth.shape[1])]
    for i, row in enumerate(compute_metrics(statistic_of(batch), labels, [THRESHOLD] * len(labels))["per_label"]):
        column, guess = truth[:, i], predicted[:, i]
        confusion = oracle.confusion_matrix(column, guess, labels=[0, 1]).ravel().tolist()
        assert [row["tn"], row["fp"], row["fn"], row["tp"]] == confusion
        assert row["support"] == int(column.sum())
        assert row["accuracy"] == pytest.approx(oracle.accuracy_score(column, guess), abs=1e-12)
        for name, function in zip(NAMES, functions(), strict=True):
            assert row[name] == pytest.approx(function(column, guess, zero_division=0), abs=1e-12)


@given(batches())
def test_binary_crossentropy_equals_keras(batch: Batch) -> None:
    import keras

    truth, probabilities = batch
    found = compute_metrics(statistic_of(batch), ["x"] * truth.shape[1], [THRESHOLD] * truth.shape[1])
    expected = np.mean(keras.losses.binary_crossentropy(truth.astype("float32"), probabilities))
    assert found["overall"]["binary_crossentropy"] == pytest.approx(float(expected), rel=1e-5, abs=1e-6)


@settings(max_examples=50)
@given(batches(unknown=True), st.data())
def test_any_split_in_any_order_gives_the_same_statistic(batch: Batch, data: st.DataObject) -> None:
    truth, probabilities = batch
    whole = statistic_of(batch)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(truth)), max_size=4)))
    bounds = zip([0, *cuts], [*cuts, len(truth)], strict=True)
    parts = [statistic_of((truth[a:b], probabilities[a:b])) for a, b in bounds]
    shuffled = data.draw(st.permutations(parts))
    assert merge(shuffled, truth.shape[1]) == whole
    left, right = shuffled[: len(parts) // 2], shuffled[len(parts) // 2 :]
    assert merge(right, truth.shape[1]) + merge(left, truth.shape[1]) == whole


@settings(max_examples=50)
@given(batches(unknown=True))
def test_zero_is_the_identity_and_inputs_stay_as_they_are(batch: Batch) -> None:
    statistic = statistic_of(batch, unknown_labels={"zebra": 2}, rejected={("decode", "damaged_image"): 3})
    before = pickle.dumps(statistic)
    zero = Statistic.zero(batch[0].shape[1])
    assert statistic + zero == statistic == zero + statistic
    _ = statistic + statistic
    assert pickle.dumps(statistic) == before
    assert pickle.loads(before) == statistic  # noqa: S301


def test_a_difference_in_any_count_is_a_difference() -> None:
    batch = (np.array([[1, 0]], np.int8), np.array([[0.9, 0.1]], np.float32))
    assert statistic_of(batch) != statistic_of((batch[0], 1 - batch[1]))
    assert statistic_of(batch) != statistic_of(batch, unknown_labels={"zebra": 1})
    assert statistic_of(batch) != statistic_of(batch, rejected={("read", "empty_image"): 1})


def test_unknown_truth_is_left_out() -> None:
    truth = np.array([[1, 0, -1], [-1, -1, -1], [0, -1, 1]], np.int8)
    probabilities = np.array([[0.9, 0.1, 0.9], [0.9, 0.9, 0.9], [0.9, 0.9, 0.9]], np.float32)
    found = compute_metrics(Statistic.from_batch(truth, probabilities, [0.5] * 3), ["a", "b", "c"], [0.5] * 3)
    assert found["counts"] == {"records": 3, "scored": 3, "rejected": 0, "with_truth": 2}
    assert found["overall"]["hamming_loss"] == 1 / 4
    assert found["overall"]["subset_accuracy"] == 1 / 2
    assert [row["tp"] + row["fp"] + row["fn"] + row["tn"] for row in found["per_label"]] == [2, 1, 1]


def test_without_truth_every_metric_is_none() -> None:
    statistic = Statistic.from_batch(np.full((4, 2), -1, np.int8), np.ones((4, 2), np.float32), [0.5, 0.5])
    found = compute_metrics(statistic, ["a", "b"], [0.5, 0.5])
    assert found["counts"]["scored"] == 4
    assert {name: value for name, value in found["overall"].items() if value is not None} == {"support": 0}
    assert found["per_label"][0]["f1"] is None


def test_sums_do_not_overflow_or_lose_small_addends() -> None:
    batch = (np.ones((1, 1), np.int8), np.zeros((1, 1), np.float32))
    total = statistic_of(batch)
    for _ in range(40):
        total = total + total
    found = compute_metrics(total, ["a"], [0.5])
    assert found["counts"]["scored"] == 2**40
    assert found["overall"]["log_loss"] == pytest.approx(36.0436533, abs=1e-6)


def test_names_of_unknown_labels_are_bounded_and_their_merge_exact() -> None:
    names = {f"n{i:05d}": 1 for i in range(3 * MAX_NAMES)}
    nothing = (np.zeros((0, 1), np.int8), np.zeros((0, 1), np.float32))
    whole = statistic_of(nothing, unknown_labels=names)
    parts = [statistic_of(nothing, unknown_labels=dict(list(names.items())[start::3])) for start in range(3)]
    assert merge(parts, 1) == merge(parts[::-1], 1) == whole
    assert list(whole.unknown_labels) == sorted(names)[:MAX_NAMES]
