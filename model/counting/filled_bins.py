"""Lists the bins of many histograms that hold any answers, so that what is empty costs nothing."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bulklabel.model.counting.bins import EXACT, Bins, bin_of, bins_count, coarser
from bulklabel.model.counting.block import Block
from bulklabel.model.counting.tally import Counts

Keys = npt.NDArray[np.uint32]
SmallestCounts = npt.NDArray[Any]

PLANES = 3
"""Of truth: absent is 0, present 1, and unknown the last, so that truth itself is the index of its plane."""

PLANE_BITS, BIN_MASK = 30, np.uint32(2**30 - 1)
"""A bin has at most 30 bits: those of 1, the largest probability, are 0x3F800000."""

CHUNK = 2**18
"""So many bins are worked on at a time, which bounds the memory that this takes besides, and stays in the cache."""


@dataclass(frozen=True, eq=False)
class FilledBins:
    """Holds the bins of L labels' histograms that any answers are in, and how many.

    A key is a plane of truth and the bin of a precision, `plane << 30 | bin`. Those of the label i are
    `keys[starts[i] : starts[i + 1]]`, ascending. `counts` are in the smallest type that holds them.

    >>> counts = np.zeros((1, 2, 48), np.int64)
    >>> counts[0, 1, [3, 40]] = [5, 7]
    >>> bins = FilledBins.of_counts(counts)
    >>> len(bins), bins.plane(1).bins.tolist(), bins.plane(1).counts.tolist()
    (2, [3, 40], [5, 7])
    """

    precision: int
    starts: Counts
    keys: Keys
    counts: SmallestCounts

    @staticmethod
    def none(labels: int) -> "FilledBins":
        """Returns no bins at all of so many labels."""
        return FilledBins(EXACT, np.zeros(labels + 1, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.uint8))

    @staticmethod
    def of_block(block: Block) -> "FilledBins":
        """Returns a block's answers by their very probabilities."""
        plane = np.where(block.known, block.present, np.uint32(PLANES - 1))
        keys = plane << np.uint32(PLANE_BITS) | bin_of(block.probabilities, EXACT).view(np.uint32)
        keys.sort(axis=1)
        first = np.ones(keys.shape, np.bool_)
        np.not_equal(keys[:, 1:], keys[:, :-1], out=first[:, 1:])
        places = np.flatnonzero(first)
        counts = _smallest(np.diff(places, append=keys.size))
        return FilledBins(EXACT, _starts(first.sum(axis=1)), keys.ravel()[places], counts)

    @staticmethod
    def of_counts(counts: Counts) -> "FilledBins":
        """Returns the filled bins of whole histograms, L×2×bins or L×3×bins."""
        labels, planes, bins = counts.shape
        places = np.flatnonzero(counts)
        rows, keys = np.divmod(places, bins)
        label, plane = np.divmod(rows, planes)
        keys = keys.astype(np.uint32) | plane.astype(np.uint32) << np.uint32(PLANE_BITS)
        starts = _starts(np.bincount(label, minlength=labels))
        return FilledBins(_precision_of(bins), starts, keys, _smallest(counts.ravel()[places]))

    def __len__(self) -> int:
        """The number of bins that are filled."""
        return len(self.keys)

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same bins of one precision, equally often."""
        return (
            isinstance(other, FilledBins)
            and self.precision == other.precision
            and np.array_equal(self.starts, other.starts)
            and np.array_equal(self.keys, other.keys)
            and np.array_equal(self.counts, other.counts)
        )

    @property
    def labels(self) -> int:
        """The number of labels, L."""
        return len(self.starts) - 1

    @cached_property
    def label(self) -> Counts:
        """The label of each bin."""
        return np.repeat(np.arange(self.labels), np.diff(self.starts))

    def plane(self, plane: int) -> "Plane":
        """Returns the bins of one truth: absent, present or unknown."""
        chosen = np.flatnonzero(self.keys >> np.uint32(PLANE_BITS) == plane)
        counts = self.counts[chosen].astype(np.int64)
        return Plane((self.keys[chosen] & BIN_MASK).view(np.int32), counts, np.searchsorted(chosen, self.starts))

    def of_labels(self, labels: slice) -> "FilledBins":
        """Returns the histograms of some labels that follow each other."""
        starts = self.starts[labels.start : labels.stop + 1]
        chosen = slice(starts[0], starts[-1])
        return FilledBins(self.precision, starts - starts[0], self.keys[chosen], self.counts[chosen])

    def in_chunks(self) -> Iterator["FilledBins"]:
        """Yields the histograms of labels that follow each other, about `CHUNK` bins at a time."""
        return map(self.of_labels, _label_chunks([self]))

    def coarser(self, precision: int) -> "FilledBins":
        """Returns the same answers in bins of at most a precision."""
        if precision >= self.precision:
            return self
        return joined([chunk._coarser(precision) for chunk in self.in_chunks()])

    def within(self, most: int) -> "FilledBins":
        """Returns the same answers in the finest bins of which at most so many are filled; of precision 0, any number.

        >>> answers = np.zeros((1, 2, 96), np.int64)
        >>> answers[0, 0, [10, 11, 14]] = 1
        >>> bins = FilledBins.of_counts(answers)
        >>> [(bins.within(most).precision, len(bins.within(most))) for most in (3, 2, 1)]
        [(1, 3), (0, 2), (0, 2)]
        """
        if len(self) <= most:
            return self

        def too_many(precision: int) -> bool:
            return sum(int(chunk._firsts(chunk._keys_at(precision)).sum()) for chunk in self.in_chunks()) > most

        return self.coarser(max(0, bisect_left(range(self.precision), True, key=too_many) - 1))

    def _coarser(self, precision: int) -> "FilledBins":
        keys = self._keys_at(precision)
        places = np.flatnonzero(self._firsts(keys))
        counts = self.counts if len(places) == len(self) else np.add.reduceat(self.counts, places, dtype=np.int64)
        return FilledBins(precision, np.searchsorted(places, self.starts), keys[places], counts)

    def _keys_at(self, precision: int) -> Keys:
        """Returns the keys of the bins of a lower precision; of those of a label, equal ones follow each other."""
        bins = coarser((self.keys & BIN_MASK).view(np.int32), self.precision, precision)
        return self.keys & ~BIN_MASK | bins.view(np.uint32)

    def _firsts(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Returns which keys are not the same as the one before them of the same label."""
        first = np.ones(len(keys), np.bool_)
        np.not_equal(keys[1:], keys[:-1], out=first[1:])
        first[self.starts[self.starts < len(keys)]] = True
        return first

    def __sub__(self, others: "FilledBins") -> "FilledBins":
        """Returns these answers without others that are among them, in the coarser bins of both.

        >>> two = FilledBins.of_counts(np.eye(48, dtype=np.int64)[np.newaxis, 3:5])
        >>> one = FilledBins.of_counts(np.eye(48, dtype=np.int64)[np.newaxis, 3:4])
        >>> len(two), len(two - one), len(two - two)
        (2, 1, 0)
        """
        precision = min(self.precision, others.precision)
        all_bins, part = self.coarser(precision), others.coarser(precision)
        return joined(
            [
                _difference(all_bins.of_labels(labels), part.of_labels(labels))
                for labels in _label_chunks([all_bins, part])
            ]
        )

    def whole(self, precision: int) -> Counts:
        """Returns the whole histograms, L×3×bins, of a precision that these bins have at least."""
        bins = self.coarser(precision)
        counts = np.zeros((self.labels, PLANES, bins_count(precision)), np.int64)
        counts[bins.label, bins.keys >> np.uint32(PLANE_BITS), bins.keys & BIN_MASK] = bins.counts
        return counts

    def pooled(self) -> "FilledBins":
        """Returns the answers of all labels together, as of one label."""
        keys, counts = _counted(self.keys.copy(), self.counts)
        return FilledBins(self.precision, np.array([0, len(keys)]), keys, _smallest(counts))


@dataclass(frozen=True, eq=False)
class Plane:
    """Holds the filled bins of one truth; those of the label i are from `starts[i]` to before `starts[i + 1]`."""

    bins: Bins
    counts: Counts
    starts: Counts


def merged(parts: Sequence[FilledBins]) -> FilledBins:
    """Returns the answers of all parts, of which there is one at least, in the coarsest bins that a part has."""
    precision = min(part.precision for part in parts)
    parts = [part.coarser(precision) for part in parts]
    if len(parts) == 1:
        return parts[0]
    return joined([_merged(parts, labels) for labels in _label_chunks(parts)])


def joined(parts: Sequence[FilledBins]) -> FilledBins:
    """Returns the histograms of labels that follow each other, some in each part, all of one precision."""
    sizes, keys, counts = (
        np.concatenate(columns)
        for columns in zip(*((np.diff(part.starts), part.keys, part.counts) for part in parts), strict=True)
    )
    return FilledBins(parts[0].precision, _starts(sizes), keys, _smallest(counts))


def _label_chunks(parts: Sequence[FilledBins]) -> Iterator[slice]:
    """Yields labels that follow each other, whose parts have about `CHUNK` bins together; one label may have more."""
    ends = np.sum([part.starts for part in parts], axis=0)
    first = 0
    while first < len(ends) - 1:
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + CHUNK, side="right")) - 1)
        yield slice(first, last)
        first = last


def _merged(parts: Sequence[FilledBins], labels: slice) -> FilledBins:
    """Returns the answers of all parts to some labels that follow each other; the parts have one precision."""
    parts = [part.of_labels(labels) for part in parts]
    keys = np.concatenate([_labelled_keys(part) for part in parts])
    both, added = _counted(keys, np.concatenate([part.counts for part in parts]))
    starts = np.searchsorted(both, np.arange(labels.stop - labels.start + 1, dtype=np.uint64) << np.uint64(32))
    return FilledBins(parts[0].precision, starts, both.astype(np.uint32), added)


def _difference(bins: FilledBins, others: FilledBins) -> FilledBins:
    """Returns the answers without others that are among them; both have one precision."""
    counts = bins.counts.astype(np.int64)
    counts[np.searchsorted(_labelled_keys(bins), _labelled_keys(others))] -= others.counts.astype(np.int64)
    places = np.flatnonzero(counts)
    return FilledBins(
        bins.precision, np.searchsorted(places, bins.starts), bins.keys[places], _smallest(counts[places])
    )


def _labelled_keys(bins: FilledBins) -> npt.NDArray[np.uint64]:
    """Returns the keys of all bins, ascending, with the number of the label above their 32 bits."""
    return bins.label.astype(np.uint64) << np.uint64(32) | bins.keys


def _counted(keys: npt.NDArray[Any], counts: SmallestCounts) -> tuple[npt.NDArray[Any], Counts]:
    """Returns the keys sorted, each once, with the sums of their counts; `keys` is sorted in place.

    Most keys of many answers are counted once. So it is the keys alone that are sorted, and counted by how often they
    occur; what counts as more is added afterwards.
    """
    more = np.flatnonzero(counts > 1)
    keys_of_more = keys[more]
    keys.sort()
    first = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    places = np.flatnonzero(first)
    distinct, sums = keys[places], np.diff(places, append=len(keys))
    if len(more):
        np.add.at(sums, np.searchsorted(distinct, keys_of_more), counts[more].astype(np.int64) - 1)
    return distinct, sums


def _smallest(counts: SmallestCounts) -> SmallestCounts:
    return counts.astype(np.min_scalar_type(counts.max(initial=0)), copy=False)


def _starts(sizes: Counts) -> Counts:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


def _precision_of(bins: int) -> int:
    return next(precision for precision in range(EXACT) if bins_count(precision) == bins)
