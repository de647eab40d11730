"""Histograms: which bins are kept follows from the answers alone, in any order of merging, and never too many are."""

import itertools
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulklabel.model.counting import histograms
from bulklabel.model.counting.bins import EXACT, bin_of, bins_count
from bulklabel.model.counting.block import Block
from bulklabel.model.counting.filled_bins import PLANES, FilledBins, joined, merged
from bulklabel.model.counting.histograms import LEAST_PRECISION, Histograms, most_filled
from tests.support.synthetic import Batch, batches, logistic_batch


@pytest.fixture(scope="module", params=[1, 3, 10, 1000])
def most(request: pytest.FixtureRequest) -> int:
    """Filled bins of all labels together, at most."""
    return int(request.param)


def filled_of(batch: Batch, rows: np.ndarray | slice = slice(None)) -> FilledBins:
    truth, probabilities = (side[rows] for side in batch)
    return FilledBins.of_block(Block.of(truth, probabilities, [0.5] * truth.shape[1]))


def histograms_of(batch: Batch, rows: np.ndarray | slice = slice(None), most: int = 2**20) -> Histograms:
    return Histograms(batch[0].shape[1], most, [filled_of(batch, rows)])


def counted(batch: Batch, precision: int) -> Counter[tuple[int, int, int]]:
    """Answers by label, plane and bin, one by one."""
    bins = bin_of(batch[1] + np.float32(0), precision)
    return Counter(
        (label, int(batch[0][row, label]) % PLANES, int(bins[row, label]))
        for row, label in itertools.product(*map(range, bins.shape))
    )


def as_counter(filled: FilledBins) -> Counter[tuple[int, int, int]]:
    found: Counter[tuple[int, int, int]] = Counter()
    for number in range(PLANES):
        plane = filled.plane(number)
        label = np.repeat(np.arange(filled.labels), np.diff(plane.starts)).tolist()
        found.update(
            {
                (of, number, place): count
                for of, place, count in zip(label, plane.bins.tolist(), plane.counts.tolist(), strict=True)
            }
        )
    assert len(found) == len(filled)
    return found


@given(batches(unknown=True, fewest=0), st.sampled_from([0, 2, 12, 22, EXACT]))
def test_answers_are_counted_by_label_truth_and_bin(batch: Batch, precision: int) -> None:
    filled = filled_of(batch).coarser(precision)
    assert as_counter(filled) == counted(batch, precision)
    if precision <= 12:
        whole = filled.whole(precision)
        assert whole.sum() == batch[0].size
        assert FilledBins.of_counts(whole) == filled
    everything = as_counter(filled.pooled())
    assert everything == sum(
        (Counter({(0, plane, place): count}) for (_, plane, place), count in counted(batch, precision).items()),
        Counter[tuple[int, int, int]](),
    )


@given(st.data())
def test_the_bins_follow_from_the_answers_in_any_order_of_merging(most: int, data: st.DataObject) -> None:
    batch = data.draw(batches(unknown=True, fewest=0))
    records, labels = batch[0].shape
    order = np.array(data.draw(st.permutations(range(records))), np.int64)
    cuts = sorted(data.draw(st.lists(st.integers(0, records), max_size=5)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histograms, "WAITING", data.draw(st.sampled_from([0, 5, 1000])))
        patch.setattr(histograms, "PART_BINS", data.draw(st.sampled_from([0, 1000])))
        expected = histograms_of(batch, most=most).filled()
        parts = [histograms_of(batch, rows, most) for rows in np.split(order, cuts)]
        before = pickle.dumps(parts)
        while len(parts) > 1:  # any two of those that there are
            first = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
            second = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
            if data.draw(st.booleans()):
                first = pickle.loads(pickle.dumps(first))  # noqa: S301
            total, seen = first.copy(), pickle.dumps((first, second))
            total += second
            assert pickle.dumps((first, second)) == seen
            parts.append(total)
        assert parts[0] == histograms_of(batch, most=most)
        assert pickle.loads(before)[0] == histograms_of(batch, np.split(order, cuts)[0], most)  # noqa: S301
    found = parts[0].filled()
    assert found == expected
    assert as_counter(found) == counted(batch, found.precision)
    assert len(found) <= most or found.precision == 0
    finer = [len(counted(batch, precision)) for precision in range(found.precision + 1, EXACT + 1)]
    assert all(filled > most for filled in finer), labels


def test_many_labels_are_merged_in_chunks() -> None:
    random = np.random.default_rng(0)
    batch = logistic_batch(random, 600, 700)
    batch[1][:, 5:9] = 1  # equal ones, more than a byte counts
    batch[0][:, 400] = -1
    parts = [filled_of(batch, rows) for rows in np.array_split(random.permutation(600), 3)]
    whole = filled_of(batch)
    assert sum(map(len, parts)) > 2**18
    assert merged(parts) == merged(parts[::-1]) == whole
    assert merged([merged(parts[:2]).coarser(7), parts[2]]) == whole.coarser(7)
    assert as_counter(whole)[6, 1, int(np.float32(1).view(np.int32))] == batch[0][:, 6].sum()
    ends = [0, 3, 500, 700]
    slices = [(batch[0][:, first:last], batch[1][:, first:last]) for first, last in itertools.pairwise(ends)]
    assert joined([filled_of(part) for part in slices]) == whole


def test_counts_add_up_beyond_their_type() -> None:
    total = histograms_of((np.ones((200, 1), np.int8), np.full((200, 1), 0.75, np.float32)))
    for _ in range(26):
        total += total.copy()
    assert total.filled().counts.tolist() == [200 << 26]
    assert total.filled().counts.dtype == np.uint64
    assert len(total.filled() - total.filled()) == 0
    assert len(pickle.dumps(total)) < 1000


@pytest.mark.parametrize("labels", [1, 10, 26, 1000, 10_000, 200_000])
def test_the_least_bins_always_fit(labels: int) -> None:
    assert PLANES * bins_count(LEAST_PRECISION) * labels <= most_filled(labels) <= 2**20 * labels
    assert labels > 32 or most_filled(labels) == 2**20 * labels
    assert labels > 50_000 or most_filled(labels) <= 2**25


def test_answers_beyond_the_limit_are_in_bins() -> None:
    random = np.random.default_rng(1)
    total = Histograms(1, most_filled(1), [])
    for rows in range(5):
        batch = logistic_batch(random, 2**18, 1)
        total += histograms_of(batch)
        assert (total.filled().precision == EXACT) == (rows < 4) or len(total.filled()) > 2**19
    assert LEAST_PRECISION < total.filled().precision < EXACT
    assert 2**19 < len(total.filled()) <= 2**20
    assert int(total.filled().counts.sum()) == 5 * 2**18
