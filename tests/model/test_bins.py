"""The bins of probability: in order, with known ends, coarse ones made of fine ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bulklabel.model.counting.bins import (
    EXACT,
    bin_of,
    bins_count,
    coarser,
    coarser_counts,
    finest,
    lowest_of,
    single_valued,
)
from tests.support.synthetic import NASTY

PRECISIONS = [0, 1, 2, 4, 7, 12]

probabilities = npst.arrays(
    np.float32, st.integers(1, 30), elements=st.one_of(st.sampled_from(NASTY), st.floats(0, 1, width=32))
).map(np.abs)


def every_bin(precision: int) -> np.ndarray:
    return np.arange(bins_count(precision), dtype=np.int32)


def neighbours(precision: int) -> np.ndarray:
    """The numbers at and next to the lowest of each bin, and those next to 0 and 1."""
    lowest = lowest_of(every_bin(precision), precision)
    near_one = np.float32(1) - np.arange(200, dtype=np.float32) * np.float32(2**-24)
    around = [lowest, np.nextafter(lowest, np.float32(0)), np.nextafter(lowest, np.float32(1)), near_one]
    return np.unique(np.concatenate([*around, np.array(NASTY[2:], np.float32), np.zeros(1, np.float32)]))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_lowest_of_a_bin_says_who_is_in_it_or_above(precision: int) -> None:
    scores = neighbours(precision)
    bins, lowest = bin_of(scores, precision), lowest_of(every_bin(precision), precision)
    assert len(lowest) == bins_count(precision)
    assert (np.diff(bins) >= 0).all()
    assert bins.min() == 0
    assert bins.max() == len(lowest) - 1
    assert np.array_equal(np.searchsorted(lowest, scores, side="right") - 1, bins)


@given(probabilities, st.sampled_from([*PRECISIONS, 22, EXACT]))
def test_bins_of_any_probabilities_are_in_order(scores: np.ndarray, precision: int) -> None:
    bins = bin_of(scores, precision)
    order = np.argsort(scores, kind="stable")
    assert (np.diff(bins[order]) >= 0).all()
    last = bin_of(np.ones(1, np.float32), precision)
    chosen = np.unique(np.concatenate([bins, bins + 1, bins - 1]).clip(0, last))
    above = scores[:, None] >= lowest_of(chosen, precision)
    assert np.array_equal(above, bins[:, None] >= chosen)


@given(probabilities, st.integers(0, EXACT), st.integers(0, EXACT))
def test_coarse_bins_are_made_of_fine_ones(scores: np.ndarray, first: int, second: int) -> None:
    coarse, fine = sorted((first, second))
    assert np.array_equal(coarser(bin_of(scores, fine), fine, coarse), bin_of(scores, coarse))


@given(probabilities, st.sampled_from(PRECISIONS), st.sampled_from(PRECISIONS))
def test_whole_histograms_of_coarse_bins_are_sums_of_fine_ones(scores: np.ndarray, first: int, second: int) -> None:
    coarse, fine = sorted((first, second))
    bins = bin_of(scores, fine)
    counts = np.bincount(bins, minlength=bins_count(fine))
    found = coarser_counts(counts, coarse)
    assert np.array_equal(found, np.bincount(bin_of(scores, coarse), minlength=bins_count(coarse)))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_bin_with_a_single_number_has_no_other(precision: int) -> None:
    scores = neighbours(precision)
    distinct = np.bincount(bin_of(scores, precision), minlength=bins_count(precision))
    single = single_valued(every_bin(precision), precision)
    assert single[-1]
    assert (distinct[single] == 1).all()
    inner = slice(1, None)  # of the first bin, from 0 on, nearly all numbers are missing here
    assert (distinct[~single][inner] != 1).all()


def test_the_finest_precision_that_fits() -> None:
    assert [finest(3 * labels, 2**25, 12) for labels in (1, 10, 1000, 10_000, 10**9)] == [12, 12, 7, 4, 0]
