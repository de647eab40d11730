"""Every metric against scikit-learn on the raw predictions, and what scikit-learn has not against plain numpy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn import metrics as oracle
from sklearn.calibration import calibration_curve

from bulklabel.model.counting.bins import bin_of, bins_count
from bulklabel.model.counting.filled_bins import FilledBins
from bulklabel.model.metric_families.areas import areas
from bulklabel.model.metrics.estimates import Evidence
from bulklabel.model.metrics.report_curves import drawings
from bulklabel.model.statistic import Statistic
from tests.support.synthetic import NASTY, THRESHOLD, Batch, batches, logistic_batch, metrics_of_statistic, statistic_of

RATES: dict[str, Callable[..., float]] = {
    "precision": oracle.precision_score,
    "recall": oracle.recall_score,
    "f1": oracle.f1_score,
    "jaccard": oracle.jaccard_score,
}
AVERAGES = ("micro", "macro", "weighted", "samples")

ROUNDING = 1e-12
"""The same number, computed in another order."""


def same(expected: Any) -> Any:
    """But for the rounding of float64."""
    return pytest.approx(expected, rel=1e-12, abs=1e-12)


def near(expected: Any) -> Any:
    """But for fixed point."""
    return pytest.approx(expected, rel=0, abs=1e-9)


def metrics_of(batch: Batch) -> dict[str, Any]:
    return metrics_of_statistic(statistic_of(batch))


def overall_of(batch: Batch) -> dict[str, Any]:
    """What `metrics.json` has of all labels, without the work of intervals."""
    estimate = Evidence.of(statistic_of(batch)).estimate()
    values = estimate.overall | {f"{name}_bounds": list(bounds) for name, bounds in estimate.bounds.items()}
    return {name: None if np.isnan(value).any() else value for name, value in values.items()}


def known_columns(batch: Batch) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each label's truth and probabilities where its truth is known, the latter in float64."""
    truth, scores = batch
    return [
        (column[column >= 0], score[column >= 0].astype(float)) for column, score in zip(truth.T, scores.T, strict=True)
    ]


def area(name: str, truth: np.ndarray, scores: np.ndarray) -> float | None:
    """scikit-learn's, without its warnings where it is undefined."""
    if not len(truth) or (name == "roc_auc" and len(set(truth.tolist())) < 2):
        return None
    if name == "roc_auc":
        return float(oracle.roc_auc_score(truth, scores))
    return float(oracle.average_precision_score(truth, scores)) if truth.any() else 0.0


def calibration_error(truth: np.ndarray, scores: np.ndarray) -> float:
    ends = np.linspace(0, 1, 11)
    bins = np.clip(np.ceil(np.searchsorted(ends, scores, side="left")) - 1, 0, 9)
    gaps = [abs((truth[bins == b] - scores[bins == b]).sum()) for b in range(10)]
    return float(sum(gaps) / len(truth))


def mean_defined(values: list[float | None], weights: np.ndarray | None = None) -> float | None:
    chosen = [index for index, value in enumerate(values) if value is not None]
    if not chosen:
        return None
    if weights is not None and not weights[chosen].sum():
        return 0.0
    return float(np.average([values[i] or 0.0 for i in chosen], weights=None if weights is None else weights[chosen]))


@given(batches())
def test_rates_equal_scikit_learn(batch: Batch) -> None:
    truth, scores = batch
    predicted = (scores >= THRESHOLD).astype(int)
    overall = overall_of(batch)
    if truth.shape[1] == 1:  # as one column scikit-learn would take it for a binary target
        truth, predicted = truth[:, 0], predicted[:, 0]
    else:
        for name, function in RATES.items():
            for average in AVERAGES:
                expected = function(truth, predicted, average=average, zero_division=0)
                assert overall[f"{name}_{average}"] == same(expected)
    assert overall["subset_accuracy"] == same(oracle.accuracy_score(truth, predicted))
    assert overall["hamming_loss"] == same(oracle.hamming_loss(truth, predicted))
    assert overall["label_accuracy"] == same(1 - oracle.hamming_loss(truth, predicted))


@given(batches(unknown=True, fewest=0))
def test_each_label_equals_scikit_learn_where_its_truth_is_known(batch: Batch) -> None:
    rows = metrics_of(batch)["per_label"]
    for row, (truth, scores) in zip(rows, known_columns(batch), strict=True):
        guess = scores >= THRESHOLD
        assert row["known"] == len(truth)
        assert row["unknown"] == len(batch[0]) - len(truth)
        assert row["coverage"] == (len(truth) / len(batch[0]) if len(batch[0]) else None)
        assert row["support"] == truth.sum()
        if not len(truth):
            names = [*RATES, "accuracy", "log_loss", "brier", "ece", "roc_auc", "average_precision"]
            assert {row[name] for name in names} == {None}
            assert row["average_precision_bounds"] is row["roc_auc_bounds"] is None
            continue
        confusion = oracle.confusion_matrix(truth, guess, labels=[0, 1]).ravel().tolist()
        assert [row["tn"], row["fp"], row["fn"], row["tp"]] == confusion
        assert row["accuracy"] == same(oracle.accuracy_score(truth, guess))
        for name, function in RATES.items():
            assert row[name] == same(function(truth, guess, zero_division=0))
        assert row["log_loss"] == near(oracle.log_loss(truth, scores, labels=[0, 1]))
        assert row["brier"] == near(oracle.brier_score_loss(truth, scores, pos_label=1))
        assert row["ece"] == near(calibration_error(truth, scores))


@given(batches(unknown=True))
def test_losses_of_all_answers_equal_scikit_learn(batch: Batch) -> None:
    columns = known_columns(batch)
    truth, scores = (np.concatenate([column[side] for column in columns]) for side in (0, 1))
    overall = overall_of(batch)
    if not len(truth):
        assert overall["log_loss"] is overall["brier"] is overall["ece"] is None
        return
    assert overall["log_loss"] == near(oracle.log_loss(truth, scores, labels=[0, 1]))
    assert overall["brier"] == near(oracle.brier_score_loss(truth, scores, pos_label=1))
    assert overall["ece"] == near(calibration_error(truth, scores))


def test_the_log_loss_of_saturated_answers_is_scikit_learns_in_float64() -> None:
    """As docs/metrics.md says how to get the same: of float32 scikit-learn clips elsewhere."""
    truth, scores = np.array([1, 0, 1, 0], np.int8), np.array([0, 1, 1, 0.3], np.float32)
    found = metrics_of((truth[:, None], scores[:, None]))["overall"]["log_loss"]
    assert found == near(oracle.log_loss(truth, scores.astype("float64")))
    assert found * 4 == pytest.approx(2 * 36.04 - np.log(0.7), abs=0.01)
    assert oracle.log_loss(truth, scores) * 4 == pytest.approx(2 * 15.94 - np.log(0.7), abs=0.01)


@given(batches())
def test_binary_crossentropy_equals_keras(batch: Batch) -> None:
    import keras

    truth, scores = batch
    expected = np.mean(keras.losses.binary_crossentropy(truth.astype("float32"), scores))
    assert overall_of(batch)["binary_crossentropy"] == pytest.approx(float(expected), rel=1e-5, abs=1e-6)


@settings(max_examples=200)
@given(batches(unknown=True, fewest=0))
def test_areas_equal_scikit_learn_and_have_bounds_of_no_width(batch: Batch) -> None:
    found, columns = metrics_of(batch), known_columns(batch)
    overall = overall_of(batch)
    assert overall == {name: found["overall"][name] for name in overall}
    everything = [np.concatenate([column[side] for column in columns]) for side in (0, 1)]
    support = np.array([truth.sum() for truth, _ in columns])
    for name in ("roc_auc", "average_precision"):
        exact = [area(name, *column) for column in columns]
        expected = {
            "micro": area(name, *everything),
            "macro": mean_defined(exact),
            "weighted": mean_defined(exact, support),
        }
        rows = [(row, name, value) for row, value in zip(found["per_label"], exact, strict=True)]
        rows += [(found["overall"], f"{name}_{average}", value) for average, value in expected.items()]
        for row, key, value in rows:
            if value is None:
                assert row[key] is row[f"{key}_bounds"] is None
            else:
                assert row[key] == same(value), key
                assert row[f"{key}_bounds"] == [row[key], row[key]]


@pytest.mark.parametrize(("labels", "records", "present"), [(26, 1903, 0.045), (3, 50_000, 0.0005)])
def test_areas_of_rare_labels_are_exact(labels: int, records: int, present: float) -> None:
    random = np.random.default_rng(labels)
    truth = (random.random((records, labels)) < present).astype(np.int8)
    scores = (1 / (1 + np.exp(4 - 2 * truth - random.normal(0, 2, truth.shape)))).astype(np.float32)
    found = metrics_of((truth, scores))
    for row, column, score in zip(found["per_label"], truth.T, scores.T, strict=True):
        for name in ("roc_auc", "average_precision"):
            assert row[name] == same(area(name, column, score.astype(float)))
            assert row[f"{name}_bounds"] == [row[name], row[name]]


@given(batches(unknown=True))
def test_bounds_are_as_narrow_as_coarse_bins_allow_and_contain_the_value_still(batch: Batch) -> None:
    for truth, scores in known_columns(batch):
        score = np.abs(scores.astype(np.float32))
        for precision in (0, 1, 5):
            counts = np.zeros((1, 2, bins_count(precision)), np.int64)
            np.add.at(counts[0], (truth.astype(int), bin_of(score, precision)), 1)
            for name, (value, low, high) in areas(FilledBins.of_counts(counts)).items():
                exact = area(name, truth, scores)
                if exact is None:
                    assert np.isnan([value[0], low[0], high[0]]).all()
                else:
                    assert low[0] <= exact <= high[0] or value[0] == low[0] == high[0] == same(exact)
                    assert low[0] <= value[0] <= high[0]


def test_a_bin_of_present_records_alone_leaves_average_precision_open() -> None:
    truth, scores = np.array([1, 1, 0], np.int8), np.array([0.3, 0.4, 0.9], np.float32)
    filled = statistic_of((truth[:, None], scores[:, None])).histograms.filled().coarser(0)
    value, low, high = (part[0] for part in areas(filled)["average_precision"])
    exact = area("average_precision", truth, scores.astype(float))
    assert exact is not None
    assert low < exact < high
    assert low <= value <= high


@pytest.mark.parametrize("precision", [8, 11, 16])
def test_bounds_are_narrow_in_bins_of_ordinary_data(precision: int) -> None:
    truth, scores = (column[:, 0] for column in logistic_batch(np.random.default_rng(1), 20_000, 1))
    exact = statistic_of((truth[:, None], scores[:, None])).histograms.filled()
    for name, (value, low, high) in areas(exact.coarser(precision)).items():
        assert low[0] <= area(name, truth, scores.astype(float)) <= high[0]
        assert high[0] - low[0] < 0.3 / 2**precision, name
        assert value[0] == pytest.approx(area(name, truth, scores.astype(float)), abs=1e-4)


@given(batches())
def test_rankings_equal_scikit_learn(batch: Batch) -> None:
    truth, scores = batch
    overall = overall_of(batch)
    if truth.shape[1] == 1:  # of which scikit-learn takes no ranking; there is only one
        assert overall["label_ranking_average_precision"] == 1
        assert overall["label_ranking_loss"] == 0
        assert overall["coverage_error"] == truth.mean()
        return
    expected = oracle.label_ranking_average_precision_score(truth, scores)
    assert overall["label_ranking_average_precision"] == near(expected)
    assert overall["coverage_error"] == same(oracle.coverage_error(truth, scores))
    assert overall["label_ranking_loss"] == near(oracle.label_ranking_loss(truth, scores))


@given(batches(unknown=True))
def test_rankings_of_partly_known_truth_are_those_of_the_known_labels(batch: Batch) -> None:
    truth, scores = batch
    overall = overall_of(batch)
    alone = []
    for row, score in zip(truth, scores, strict=True):
        known = row >= 0
        if known.sum() > 1:
            one = (row[None, known], score[None, known])
            alone.append(
                [
                    float(oracle.label_ranking_average_precision_score(*one)),
                    float(oracle.coverage_error(*one)),
                    float(oracle.label_ranking_loss(*one)),
                ]
            )
        elif known.any():
            alone.append([1.0, float(row[known][0]), 0.0])
    names = ["label_ranking_average_precision", "coverage_error", "label_ranking_loss"]
    if alone:
        assert [overall[name] for name in names] == near(np.mean(alone, axis=0).tolist())
    else:
        assert {overall[name] for name in names} == {None}


@given(batches(unknown=True))
def test_the_first_labels_of_each_record_equal_plain_sorting(batch: Batch) -> None:
    truth, scores = batch
    overall = overall_of(batch)
    labels = truth.shape[1]
    assert [rank for rank in (1, 3, 5) if f"recall_at_{rank}" in overall] == [k for k in (1, 3, 5) if k <= labels]
    errors: list[bool] = []
    precision: dict[int, list[float]] = {1: [], 3: [], 5: []}
    recall: dict[int, list[float]] = {1: [], 3: [], 5: []}
    for row, score in zip(truth, scores, strict=True):
        known = np.flatnonzero(row >= 0)
        if not known.size:
            continue
        best = known[np.argsort(-score[known].astype(float), kind="stable")]
        errors.append(bool(row[best[0]] != 1))
        for rank in precision:
            hits = int((row[best[:rank]] == 1).sum())
            precision[rank].append(hits / rank)
            recall[rank].append(hits / max(1, int((row == 1).sum())))
    if not errors:
        assert overall["one_error"] is overall["recall_at_1"] is None
        return
    assert overall["one_error"] == same(np.mean(errors))
    for rank in precision:
        if rank <= labels:
            assert overall[f"precision_at_{rank}"] == same(np.mean(precision[rank]))
            assert overall[f"recall_at_{rank}"] == near(np.mean(recall[rank]))


def extreme_batch(seed: int) -> Batch:
    """Few or many labels that are common, rare, always or never there, and scores that are equal, nasty or ordinary."""
    random = np.random.default_rng(seed)
    records, labels = int(random.choice([1, 2, 7, 60, 300])), int(random.choice([2, 3, 5, 12]))
    truth = (random.random((records, labels)) < random.choice([0, 0.01, 0.5, 1], labels)).astype(np.int8)
    scores = [
        random.random(truth.shape),
        random.choice(NASTY, truth.shape),
        random.choice([0.0, 1.0], truth.shape),
        np.full(truth.shape, random.choice(NASTY)),
        1 / (1 + np.exp(-random.normal(0, 30, truth.shape))),
    ]
    return truth, scores[seed % len(scores)].astype(np.float32)


@pytest.mark.parametrize("start", range(0, 740, 74))
def test_extreme_cases_equal_scikit_learn(start: int) -> None:
    """Averages of ROC AUC and average precision, cross-entropy, calibration and the first labels of each record."""
    for seed in range(start, start + 74):
        truth, scores = extreme_batch(seed)
        overall, exact = overall_of((truth, scores)), scores.astype(np.float64)
        for name in ("roc_auc", "average_precision"):
            columns = [area(name, truth[:, label], exact[:, label]) for label in range(truth.shape[1])]
            expected = {
                "micro": area(name, truth.ravel(), exact.ravel()),
                "macro": mean_defined(columns),
                "weighted": mean_defined(columns, truth.sum(axis=0)),
            }
            for average, value in expected.items():
                found, bounds = overall[f"{name}_{average}"], overall[f"{name}_{average}_bounds"]
                assert (found is None) is (value is None), (seed, name, average)
                if value is not None:
                    assert bounds[0] - ROUNDING <= value <= bounds[1] + ROUNDING, (seed, name, average)
                    assert bounds[0] <= found <= bounds[1], (seed, name, average)
        assert overall["log_loss"] == near(oracle.log_loss(truth.ravel(), exact.ravel(), labels=[0, 1])), seed
        assert overall["ece"] == near(calibration_error(truth.ravel(), exact.ravel())), seed
        order = np.argsort(-exact, axis=1, kind="stable")
        for rank in (k for k in (1, 3, 5) if k <= truth.shape[1]):
            hits = np.take_along_axis(truth, order[:, :rank], axis=1).sum(axis=1)
            assert overall[f"precision_at_{rank}"] == same(hits.mean() / rank), seed
            assert overall[f"recall_at_{rank}"] == near((hits / np.maximum(truth.sum(axis=1), 1)).mean()), seed
        single = np.eye(truth.shape[1], dtype=np.int8)[np.arange(len(truth)) % truth.shape[1]]
        if truth.shape[1] > 2 and distinct(exact):
            found = overall_of((single, scores))["recall_at_1"]
            names = np.arange(truth.shape[1])
            assert found == near(oracle.top_k_accuracy_score(single.argmax(axis=1), exact, k=1, labels=names)), seed


def distinct(scores: np.ndarray) -> bool:
    """Whether no record has two equal scores, of which anybody may call either the first."""
    return all(len(set(row)) == len(row) for row in scores.tolist())


@given(batches(unknown=True))
def test_reliability_equals_scikit_learns_calibration_curve(batch: Batch) -> None:
    statistic = statistic_of(batch)
    drawn = drawings(statistic, metrics_of(batch)["per_label"])
    columns = known_columns(batch)
    everything = tuple(np.concatenate([column[side] for column in columns]) for side in (0, 1))
    drawn_rows = [*drawn["reliability"], drawn["all_reliability"]]
    for rows, (truth, scores) in zip(drawn_rows, [*columns, everything], strict=True):
        assert sum(row[0] for row in rows) == len(truth)
        filled = [row for row in rows if row[0]]
        assert all(row[1:] == [0, None] for row in rows if not row[0])
        if len(set(truth.tolist())) == 2:  # else scikit-learn refuses
            share, mean = calibration_curve(truth, scores, n_bins=10)
            assert [row[1] / row[0] for row in filled] == same(share.tolist())
            assert [row[2] for row in filled] == near(mean.tolist())


def test_every_float_at_the_end_of_a_tenth_is_in_scikit_learns_bin() -> None:
    tenths = np.linspace(0, 1, 11).astype(np.float32)
    below, above = (np.nextafter(tenths, np.float32(to)) for to in (0, 1))
    scores = np.concatenate([tenths, below, above])
    for score in scores.tolist():
        truth = np.array([[0], [1]], np.int8)
        statistic = statistic_of((truth, np.array([[score], [score]], np.float32)))
        rows = drawings(statistic, metrics_of_statistic(statistic)["per_label"])["all_reliability"]
        edges = np.linspace(0, 1, 11)
        expected = np.searchsorted(edges[1:-1], score)  # as `calibration_curve` does
        assert [index for index, row in enumerate(rows) if row[0]] == [expected]


def test_macro_averages_leave_out_labels_of_which_nothing_is_known() -> None:
    batch = logistic_batch(np.random.default_rng(5), 60, 3)
    batch[0][:, 1] = -1
    rest = (batch[0][:, [0, 2]], batch[1][:, [0, 2]])
    found, expected = metrics_of(batch)["overall"], metrics_of(rest)["overall"]
    for name in [*RATES, "roc_auc", "average_precision"]:
        for average in ("micro", "macro", "weighted"):
            assert found[f"{name}_{average}"] == pytest.approx(expected[f"{name}_{average}"], abs=1e-4)
        assert found[f"{name}_macro"] is not None
    assert found["f1_macro"] == oracle.f1_score(rest[0], rest[1] >= THRESHOLD, average="macro", zero_division=0)


def test_unknown_truth_is_left_out() -> None:
    truth = np.array([[1, 0, -1], [-1, -1, -1], [0, -1, 1]], np.int8)
    scores = np.array([[0.9, 0.1, 0.9], [0.9, 0.9, 0.9], [0.9, 0.9, 0.9]], np.float32)
    found = metrics_of((truth, scores))
    counts = {"records": 3, "scored": 3, "rejected": 0, "with_truth": 2, "truncated": 0, "duplicate_ids": 0}
    assert found["counts"] == counts
    assert found["overall"]["hamming_loss"] == 1 / 4
    assert found["overall"]["subset_accuracy"] == 1 / 2
    assert [row["known"] for row in found["per_label"]] == [2, 1, 1]


@pytest.mark.parametrize("records", [0, 4])
def test_without_truth_every_metric_is_none(records: int) -> None:
    found = metrics_of((np.full((records, 2), -1, np.int8), np.ones((records, 2), np.float32)))
    assert found["counts"] == {
        "records": records,
        "scored": records,
        "rejected": 0,
        "with_truth": 0,
        "truncated": 0,
        "duplicate_ids": 0,
    }
    assert {name: value for name, value in found["overall"].items() if value is not None} == {"support": 0}
    assert set(found["intervals"].values()) == {None}
    row = found["per_label"][0]
    assert row["f1"] is row["roc_auc"] is row["log_loss"] is None
    assert set(row["intervals"].values()) == {None}
    assert row["coverage"] == (0.0 if records else None)


def test_the_metrics_of_no_records_are_those_of_zero() -> None:
    nothing = (np.zeros((0, 2), np.int8), np.zeros((0, 2), np.float32))
    assert metrics_of(nothing) == metrics_of_statistic(Statistic.zero(2))
