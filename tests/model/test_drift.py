"""Distributions and drift: exact counts, and divergences that agree with scipy."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from scipy.spatial.distance import jensenshannon

from bulklabel.model.images.decode import decode_with_kind
from bulklabel.model.images.kinds import Kind, kinds_from_json, kinds_to_json
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.metrics.distributions import NEAR
from bulklabel.model.metrics.drift import OVERALL, divergence, drift_between
from bulklabel.model.statistic import merge
from tests.conftest import png
from tests.support.synthetic import THRESHOLD, Batch, batches, logistic_batch, metrics_of_statistic, statistic_of

histograms = st.integers(1, 20).flatmap(
    lambda bins: st.tuples(*[st.lists(st.integers(0, 10**12), min_size=bins, max_size=bins)] * 2)
)


@given(histograms)
def test_the_divergence_is_scipys(pair: tuple[list[int], list[int]]) -> None:
    first, second = pair
    found = divergence(first, second)
    if not (any(first) and any(second)):
        assert found is None
        return
    assert found is not None
    assert 0 <= found <= 1
    expected = jensenshannon(first, second, base=2) ** 2
    assert found == pytest.approx(expected, abs=1e-9)
    assert found == divergence(second, first)
    assert divergence(first, first) == 0


def test_divergences_by_hand() -> None:
    assert divergence([5, 0], [0, 2]) == 1
    assert divergence([1, 1], [10, 10]) == 0
    assert divergence([2, 0], [1, 1]) == pytest.approx(0.311278124459)


@given(batches(unknown=True))
def test_distributions_are_counted_exactly(batch: Batch) -> None:
    truth, probabilities = batch
    found = metrics_of_statistic(statistic_of(batch))["distributions"]
    for row, scores in zip(found["labels"], probabilities.T, strict=True):
        lower = np.floor(16 * scores.astype(np.float64))  # ends belong to the bin that is nearer to one half
        upper = np.ceil(16 * scores.astype(np.float64)) - 1
        bins = np.where(scores > 0.5, upper, lower).astype(int)
        assert row["histogram"] == np.bincount(bins, minlength=16).tolist()
        assert row["predicted"] == (scores >= np.float32(THRESHOLD)).sum()
        assert row["label_rate"] == row["predicted"] / len(truth)
        assert row["near_threshold"] == (np.abs(scores - np.float32(THRESHOLD)) <= np.float32(NEAR)).sum()
    sizes = (probabilities >= np.float32(THRESHOLD)).sum(axis=1)
    known = (truth == 1).sum(axis=1)[(truth >= 0).any(axis=1)]
    assert found["labels_per_record"] == {
        "predicted": np.bincount(sizes).tolist(),
        "present": np.bincount(known).tolist(),
    }


def test_the_rate_of_a_label_has_an_interval_without_truth() -> None:
    """Wilson's where records are independent, and a wider one where those of a group are alike."""
    random = np.random.default_rng(2)
    probabilities = (random.random((2000, 2)) < [0.2, 0]).astype(np.float32)
    unknown = np.full(probabilities.shape, -1, np.int8)
    alone, none = metrics_of_statistic(statistic_of((unknown, probabilities)))["distributions"]["labels"]
    low, high = alone["label_rate_interval"]
    expected = stats.binomtest(alone["predicted"], 2000).proportion_ci(method="wilson")
    assert low < alone["label_rate"] < high
    assert high - low == pytest.approx(expected.high - expected.low, rel=0.4)
    assert none["label_rate_interval"] == pytest.approx([0, 0.0019], abs=1e-4)
    alike = np.repeat(probabilities[:100], 20, axis=0)
    hashes = np.repeat(np.arange(100, dtype=np.uint64), 20)
    grouped = metrics_of_statistic(statistic_of((unknown, alike), grouped_by=hashes))["distributions"]["labels"][0]
    assert grouped["label_rate_interval"][1] - grouped["label_rate_interval"][0] > 2.5 * (high - low)


def test_many_labels_are_counted_too() -> None:
    truth, probabilities = logistic_batch(np.random.default_rng(3), 40, 1500)
    found = metrics_of_statistic(statistic_of((truth, probabilities)))["distributions"]["labels"]
    expected, _ = np.histogram(probabilities[:, 700], 16, (0, 1))
    assert found[700]["histogram"] == expected.tolist()


def test_records_can_be_merged_in_any_order() -> None:
    truth, probabilities = logistic_batch(np.random.default_rng(1), 90, 3)
    kinds = [
        {Kind("PNG", 32): 20, Kind("JPEG", 512): 10},
        {Kind("PNG", 32): 25, Kind("PNG", 64, truncated=True): 5},
        {Kind("GIF", 1): 30},
    ]
    parts = [
        statistic_of(
            (truth[at : at + 30], probabilities[at : at + 30]),
            range(at, at + 30),
            kinds=some,
            rejected={("read", "x"): at, ("decode", "x"): 1},
        )
        for at, some in zip((0, 30, 60), kinds, strict=True)
    ]
    every = [metrics_of_statistic(merge(order, 3)) for order in itertools.permutations(parts)]
    assert all(metrics == every[0] for metrics in every)
    found = every[0]["distributions"]
    assert found["labels"] == metrics_of_statistic(statistic_of((truth, probabilities)))["distributions"]["labels"]
    assert found["formats"] == {"GIF": 30, "JPEG": 10, "PNG": 50}
    assert list(found["sizes"].items()) == [("1", 30), ("32", 45), ("64", 5), ("512", 10)]
    assert found["rejected"] == {"x": 93 / 183}
    assert every[0]["counts"]["truncated"] == 5


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize(("width", "height", "bucket"), [(32, 20, 32), (31, 31, 16), (7, 100, 64), (1, 1, 1)])
def test_an_image_is_of_a_kind(format_name: str, width: int, height: int, bucket: int) -> None:
    image = png(np.zeros((height, width, 3), np.uint8), format=format_name)
    pixels, kind = decode_with_kind(image, Preprocessing(8, 8))
    assert pixels.shape == (8, 8, 3)
    assert kind == Kind(format_name, bucket)


def test_turning_an_image_changes_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = png(np.zeros((20, 70, 3), np.uint8), format="JPEG", exif=exif)
    assert decode_with_kind(image, Preprocessing(8, 8))[1] == Kind("JPEG", 64)


def test_kinds_are_kept_in_order() -> None:
    kinds = [Kind("PNG", 32)] * 3 + [Kind("JPEG", 2048)] + [Kind("PNG", 32)] * 2
    assert kinds_from_json(kinds_to_json(kinds)) == kinds
    assert kinds_to_json(kinds) == '[["PNG",32,false,3],["JPEG",2048,false,1],["PNG",32,false,2]]'


def metrics_of(probabilities: np.ndarray, kinds: dict[Kind, int], rejected: int) -> dict[str, Any]:
    """Of records without truth."""
    truth = np.full(probabilities.shape, -1, np.int8)
    return metrics_of_statistic(statistic_of((truth, probabilities), kinds=kinds, rejected={("read", "x"): rejected}))


def test_drift_by_hand() -> None:
    before = np.array([[0.9, 0.1, 0.1]] * 5 + [[0.1, 0.1, 0.9]] * 5, np.float32)
    now = np.array([[0.9, 0.1, 0.1]] * 9 + [[0.1, 0.9, 0.1]], np.float32)
    earlier = metrics_of(before, {Kind("PNG", 32): 10}, 0)
    later = metrics_of(now, {Kind("PNG", 32): 5, Kind("PNG", 64): 5}, 10)
    found = drift_between(earlier, later)
    rows = found["per_label"]
    assert [row["drift_label_rate"] for row in rows] == pytest.approx([0.4, 0.1, 0.5])
    expected = [jensenshannon(*pair, base=2) ** 2 for pair in (([5, 5], [9, 1]), ([10, 0], [9, 1]), ([5, 5], [10, 0]))]
    assert [row["drift_probabilities"] for row in rows] == pytest.approx(expected, abs=1e-9)
    assert found["most"] == {"drift_probabilities_max": "l2", "drift_label_rate_max": "l2"}
    assert found["overall"] == pytest.approx(
        {
            "drift_probabilities_max": expected[2],
            "drift_probabilities_mean": sum(expected) / 3,
            "drift_label_rate_max": 0.5,
            "drift_formats": 0.0,
            "drift_sizes": 0.311278124459,
            "drift_rejected_fraction": 0.5,
        },
        abs=1e-9,
    )
    assert tuple(found["overall"]) == OVERALL
    assert set(drift_between(later, later)["overall"].values()) == {0}


def test_labels_meet_by_name() -> None:
    probabilities = logistic_batch(np.random.default_rng(1), 50, 3)[1]
    now = metrics_of(probabilities, {}, 0)
    before = now | {"distributions": now["distributions"] | {"labels": now["distributions"]["labels"][::-1]}}
    assert drift_between(before, now)["overall"]["drift_probabilities_max"] == 0


def test_without_records_drift_is_undefined() -> None:
    some = metrics_of(logistic_batch(np.random.default_rng(1), 50, 2)[1], {Kind("PNG", 32): 50}, 0)
    none = metrics_of(np.zeros((0, 2), np.float32), {}, 50)
    for found in (drift_between(none, some), drift_between(some, none)):
        overall = found["overall"]
        assert overall.pop("drift_rejected_fraction") == 1
        assert set(overall.values()) == {None}
        assert set(found["most"].values()) == {None}
