"""The statistic's laws: whatever the order, the sharding and the grouping, nothing differs."""

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulklabel.model.counting import block
from bulklabel.model.counting.block import BLOCK_RECORDS, row_blocks
from bulklabel.model.counting.tally import SPARSE_UP_TO, Tally
from bulklabel.model.statistic import MAX_NAMES, Statistic, merge, slices
from bulklabel.model.statistic.pairs import CONFUSED, PREDICTED, TRUTH
from bulklabel.model.statistic.slices import most_values
from tests.support.synthetic import Batch, batches, logistic_batch, metrics_of_statistic, records_table, statistic_of

COUNTRIES = ["no", "se", "ø", "", None]

FEW_CELLS = 2**18
"""Answers of a block, fewer than `BLOCK_CELLS`: what is counted is the same, in a sixteenth of the time."""


def published(statistic: Statistic) -> str:
    return json.dumps(metrics_of_statistic(statistic))


def sliced(batch: Batch, values: np.ndarray, rows: Any = slice(None)) -> Statistic:
    """Some of a batch's records, with their values of one column."""
    truth, probabilities = batch
    places = np.arange(len(truth))[rows]
    table = records_table(places, country=[COUNTRIES[value] for value in values[rows]])
    thresholds = [0.25] * truth.shape[1]
    return Statistic.from_batch(truth[rows], probabilities[rows], thresholds, table, slice_by=["country"])


@settings(max_examples=25)
@given(batches(unknown=True, fewest=0), st.data())
def test_any_split_in_any_order_and_grouping_gives_the_same_to_the_last_byte(batch: Batch, data: st.DataObject) -> None:
    records, labels = batch[0].shape
    values = np.array(data.draw(st.lists(st.integers(0, 4), min_size=records, max_size=records)), np.int64)
    order = np.array(data.draw(st.permutations(range(records))), np.int64)
    cuts = sorted(data.draw(st.lists(st.integers(0, records), max_size=4)))
    parts = [sliced(batch, values, rows) for rows in np.split(order, cuts)]
    middle = data.draw(st.integers(0, len(parts)))
    before = pickle.dumps(parts)

    whole = sliced(batch, values)
    left, right = merge(parts[:middle], labels), merge(parts[middle:], labels)
    in_place = Statistic.zero(labels)
    for part in reversed(parts):
        in_place += part
    for found in (merge(parts, labels), right + left, left + right, in_place):
        assert found == whole
    assert published(in_place) == published(whole)
    left += right
    assert left == whole
    assert pickle.dumps(parts) == before


@settings(max_examples=25)
@given(batches(unknown=True, fewest=0))
def test_zero_is_the_identity_and_inputs_stay_as_they_are(batch: Batch) -> None:
    values = np.arange(len(batch[0])) % len(COUNTRIES)
    statistic, other = sliced(batch, values), sliced(batch, values[::-1])
    statistic.rejected, statistic.unknown_labels = {("decode", "damaged_image"): 3}, {"zebra": 2}
    before = pickle.dumps((statistic, other))
    zero = Statistic.zero(statistic.labels)
    assert statistic + zero == statistic == zero + statistic
    zero += Statistic.zero(statistic.labels)
    _ = statistic + other
    changed = copy.deepcopy(statistic)
    changed += other
    changed += other
    assert pickle.dumps((statistic, other)) == before
    assert Statistic.zero(statistic.labels) == zero
    assert pickle.loads(before)[0] == statistic  # noqa: S301


def test_a_sum_shares_no_memory_that_changes_later() -> None:
    batch = logistic_batch(np.random.default_rng(0), 4000, 3)  # so many that tallies are arrays
    values = np.arange(4000) % len(COUNTRIES)
    first, second = sliced(batch, values, slice(0, 3000)), sliced(batch, values, slice(3000, 4000))
    total = Statistic.zero(3)
    total += first
    before = pickle.dumps((first, second))
    total += second
    assert total == sliced(batch, values)
    assert pickle.dumps((first, second)) == before


def test_a_difference_in_any_count_is_a_difference() -> None:
    batch = (np.array([[1, 0]], np.int8), np.array([[0.9, 0.1]], np.float32))
    assert statistic_of(batch) == statistic_of(batch)
    assert statistic_of(batch) != statistic_of((batch[0], 1 - batch[1]))
    assert statistic_of(batch) != statistic_of(batch, unknown_labels={"zebra": 1})
    assert statistic_of(batch) != statistic_of(batch, rejected={("read", "empty_image"): 1})
    assert sliced(batch, np.array([0])) != sliced(batch, np.array([1]))
    assert sliced(batch, np.array([0])) != statistic_of(batch)


def test_records_without_truth_are_scored_and_nothing_else() -> None:
    batch = (np.full((4, 2), -1, np.int8), np.ones((4, 2), np.float32))
    found = statistic_of(batch)
    assert (found.scored, int(found.sums["with_truth"].sum())) == (4, 0)
    assert found.sums == Statistic.zero(2).sums
    assert found.histograms.filled().whole(0).sum(axis=(0, 2)).tolist() == [0, 0, 8]
    assert found.histograms_by_group.counts().sum() == found.pairs.counts()[[TRUTH, CONFUSED]].sum() == 0
    assert found.pairs.counts()[PREDICTED].tolist() == [[4, 4], [4, 4]]


def test_records_of_one_id_are_in_one_group() -> None:
    batch = (np.ones((50, 1), np.int8), np.ones((50, 1), np.float32))
    assert np.count_nonzero(statistic_of(batch, [7] * 50).sums["with_truth"]) == 1
    assert np.count_nonzero(statistic_of(batch).sums["with_truth"]) > 10


@pytest.mark.parametrize("labels", [3, 700])
def test_many_blocks_are_as_one(labels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block, "BLOCK_CELLS", FEW_CELLS)
    records = 2 * min(BLOCK_RECORDS, FEW_CELLS // labels) + 5
    random = np.random.default_rng(labels)
    batch = logistic_batch(random, records, labels)
    batch[0][random.random(batch[0].shape) < 0.1] = -1
    values = random.integers(0, len(COUNTRIES), records)
    whole = sliced(batch, values)
    assert len(row_blocks(records, labels)) == 3
    parts = [sliced(batch, values, rows) for rows in np.array_split(np.arange(records), 7)]
    assert merge(parts, labels) == whole


def test_a_tally_is_the_same_as_list_and_as_array() -> None:
    random = np.random.default_rng(3)
    size = 4 * 16
    lists = [random.integers(0, size, count, np.int32) for count in (0, 3, size // SPARSE_UP_TO, 1, 5, 200)]
    expected = np.bincount(np.concatenate(lists), minlength=size).reshape(4, 16)
    tallies = [Tally((4, 16), [cells]) for cells in lists]
    arrays = [Tally((4, 16), [], tally.counts().ravel().astype(np.uint32)) for tally in tallies]
    assert tallies == arrays
    for several in (tallies, arrays, [*tallies[:3], *arrays[3:]], [*arrays[:3], *tallies[3:]], arrays[::-1]):
        before = pickle.dumps(several)
        total = Tally((4, 16), [])
        for tally in several:
            total += tally
        assert np.array_equal(total.counts(), expected)
        assert total == total.copy()
        assert pickle.dumps(several) == before
    assert Tally((4, 16), [np.zeros(1, np.int32)]) != Tally((4, 16), [np.ones(1, np.int32)])


def test_what_is_counted_can_be_neither_lost_nor_changed_by_reading_it() -> None:
    cells = np.array([1, 1, 6], np.int32)
    tally = Tally((2, 4), [cells])
    for _ in range(3):
        counts = tally.counts() + 0
        assert counts.tolist() == [[0, 2, 0, 0], [0, 0, 1, 0]]
    tally += Tally((2, 4), [cells])
    assert tally.counts().tolist() == [[0, 4, 0, 0], [0, 0, 2, 0]]


def test_values_of_a_column_beyond_the_most_are_dropped_exactly() -> None:
    labels = 200
    kept = most_values(labels)
    records = 3 * kept
    random = np.random.default_rng(1)
    batch = logistic_batch(random, records, labels)
    names = [None, *(f"v{value:04d}" for value in range(records - 1))]
    shuffled = random.permutation(records)

    def part(rows: np.ndarray) -> Statistic:
        table = records_table(rows, camera=[names[row] for row in rows])
        return Statistic.from_batch(batch[0][rows], batch[1][rows], [0.25] * labels, table, slice_by=["camera"])

    whole = part(np.arange(records))
    assert list(whole.slices["camera"]) == names[:kept]
    parts = [part(rows) for rows in np.array_split(shuffled, 5)]
    grouped = (parts[4] + parts[2]) + (parts[0] + (parts[1] + parts[3]))
    assert merge(parts, labels).slices == grouped.slices == whole.slices
    found = metrics_of_statistic(whole)["slices"]["camera"]
    assert sum(row["counts"]["records"] for row in found) == records
    assert [row["other"] for row in found] == [False] * 20 + [True]
    assert found[0]["value"] is None


@pytest.mark.parametrize("most", [None, 100])
def test_each_slice_is_what_its_records_alone_would_be(most: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if most:  # so that answers are too many to be counted one by one
        monkeypatch.setattr(slices, "most_filled_of_slice", lambda *_: most)
    random = np.random.default_rng(2)
    batch = logistic_batch(random, 500, 3)
    batch[0][random.random(batch[0].shape) < 0.2] = -1
    values = random.choice(30, 500, p=np.arange(1, 31) / np.arange(1, 31).sum())
    names = [None if value == 3 else f"v{value}" for value in values.tolist()]
    table = records_table(range(500), camera=names)
    whole = Statistic.from_batch(*batch, [0.25] * 3, table, slice_by=["camera"])
    found = metrics_of_statistic(whole)["slices"]["camera"]
    assert len(found) == 21
    assert sorted((row["counts"]["records"] for row in found[:-1]), reverse=True) == [
        row["counts"]["records"] for row in found[:-1]
    ]
    named = [row["value"] for row in found[:-1]]
    for row in found:
        chosen = [name not in named if row["other"] else name == row["value"] for name in names]
        places = np.flatnonzero(chosen)
        alone = metrics_of_statistic(statistic_of((batch[0][places], batch[1][places]), places))
        assert row["counts"] == {"records": len(places), "with_truth": alone["counts"]["with_truth"]}
        for name, value in row["overall"].items():
            is_area = "roc_auc" in name or "average_precision_" in name
            if not (most and is_area):
                assert value == alone["overall"][name], name
            if not is_area:
                assert row["intervals"].get(name) == alone["intervals"].get(name), name
        assert [label["f1"] for label in row["per_label"]] == [label["f1"] for label in alone["per_label"]]
        for name in ("roc_auc_macro", "average_precision_micro"):
            low, high = row["overall"][f"{name}_bounds"]
            assert low <= row["overall"][name] <= high
            assert low <= alone["overall"][f"{name}_bounds"][0] <= alone["overall"][f"{name}_bounds"][1] <= high


def test_sums_do_not_overflow_or_lose_small_addends() -> None:
    total = statistic_of((np.array([[1], [0]], np.int8), np.array([[0], [0.75]], np.float32)))
    for _ in range(29):
        total += copy.deepcopy(total)
    found = metrics_of_statistic(total)
    assert found["counts"]["scored"] == 2**30
    assert found["overall"]["log_loss"] == pytest.approx((-np.log(2.0**-52) + np.log(4)) / 2, abs=1e-9)
    assert found["overall"]["brier"] == (1 + 0.75**2) / 2


def test_names_of_unknown_labels_are_bounded_and_their_merge_exact() -> None:
    names = {f"n{i:05d}": 1 for i in range(3 * MAX_NAMES)}
    nothing = (np.zeros((0, 1), np.int8), np.zeros((0, 1), np.float32))
    whole = statistic_of(nothing, unknown_labels=names)
    parts = [statistic_of(nothing, unknown_labels=dict(list(names.items())[start::3])) for start in range(3)]
    assert merge(parts, 1) == merge(parts[::-1], 1) == whole
    assert list(whole.unknown_labels) == sorted(names)[:MAX_NAMES]


def test_rejected_records_are_counted_by_stage_and_reason() -> None:
    nothing = (np.zeros((0, 1), np.int8), np.zeros((0, 1), np.float32))
    first = statistic_of(nothing, rejected={("read", "bad_labels"): 2, ("decode", "damaged_image"): 1})
    second = statistic_of(nothing, rejected={("decode", "damaged_image"): 3})
    assert published(first + second) == published(second + first)
    assert metrics_of_statistic(first + second)["rejected"] == [
        {"stage": "decode", "reason": "damaged_image", "records": 4},
        {"stage": "read", "reason": "bad_labels", "records": 2},
    ]


def test_a_label_confused_with_another_is_counted_as_a_pair() -> None:
    random = np.random.default_rng(4)
    truth = random.integers(-1, 2, (300, 5)).astype(np.int8)
    scores = random.choice(np.array([0.1, 0.9], np.float32), truth.shape)
    present, absent, predicted = truth == 1, truth == 0, scores >= 0.25
    missed, invented = present & ~predicted, absent & predicted
    expected = [present.T.astype(int) @ present, predicted.T.astype(int) @ predicted, missed.T.astype(int) @ invented]
    assert np.array_equal(statistic_of((truth, scores)).pairs.counts(), expected)
    rare = np.zeros((300, 5), np.int8)  # so rare that pairs are looked up one by one
    rare[3, [1, 2]] = 1
    low = np.full((300, 5), 0.1, np.float32)
    low[3, [1, 4]] = 0.9
    counts = statistic_of((rare, low)).pairs.counts()
    assert np.argwhere(counts).tolist() == [
        *([0, i, j] for i in (1, 2) for j in (1, 2)),
        *([1, i, j] for i in (1, 4) for j in (1, 4)),
        [2, 2, 4],
    ]
