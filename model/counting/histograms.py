"""Counts answers by label, truth and probability, mergeably: exactly while they are few, in bins when they are many."""

from dataclasses import dataclass

from bulklabel.model.counting.bins import bins_count
from bulklabel.model.counting.filled_bins import PLANES, FilledBins, merged

MOST_OF_A_LABEL = 2**20
MOST_OF_ALL = 2**25
"""Limits of the bins that are filled: at 4 bytes each and 1 to 4 more for its count, some 200 MB."""

LEAST_PRECISION = 2
"""Bins that are reached in any case: the sixteenths in which drift is measured are made of them."""

WAITING = 2**22
"""So many filled bins may wait to be merged, or as many as there are already, but not more than are kept."""

PART_BINS = 2**8
"""Besides its bins, a part that waits takes the memory of about so many more."""


def most_filled(labels: int) -> int:
    """Returns how many filled bins the histograms of so many labels have at most.

    >>> most_filled(10) // 10, most_filled(1000) // 1000, most_filled(10_000) // 10_000
    (1048576, 33554, 3355)
    """
    return labels * max(PLANES * bins_count(LEAST_PRECISION), min(MOST_OF_A_LABEL, MOST_OF_ALL // labels))


@dataclass(eq=False)
class Histograms:
    """Counts the answers of L labels in the finest bins of which no more than `most` are filled.

    These follow from the answers alone, so a merge is exact in any order. For answers in bins of a precision that is
    too fine for them are too many together with any others, too: whoever made their bins coarser has lost nothing that
    a merge would keep. And coarse bins are made of fine ones, so it does not matter when.

    `parts` add up to what was counted: the first is in the right bins or not looked at, the others wait to be merged.
    """

    labels: int
    most: int
    parts: list[FilledBins]

    def filled(self) -> FilledBins:
        """Returns all that was counted, in the bins that follow from it."""
        if not self.parts:
            return FilledBins.none(self.labels)
        self.parts = [merged(self.parts).within(self.most)]
        return self.parts[0]

    def __iadd__(self, other: "Histograms") -> "Histograms":
        """Add what the other has counted to this, in place; the other stays as it is."""
        self.parts = [*self.parts, *filter(len, other.parts)]
        sizes = [len(part) for part in self.parts]
        if sum(sizes[1:]) + PART_BINS * len(sizes) > max([min(WAITING, self.most), *sizes[:1]]):
            self.filled()
        return self

    def __eq__(self, other: object) -> bool:
        """Whether both have counted the same."""
        return isinstance(other, Histograms) and self.most == other.most and self.filled() == other.filled()

    def __reduce__(self) -> tuple[type["Histograms"], tuple[int, int, list[FilledBins]]]:
        """Pickled it is as small as it can be."""
        return Histograms, (self.labels, self.most, [self.filled()])

    def copy(self) -> "Histograms":
        """Returns histograms that can be added to without changing these."""
        return Histograms(self.labels, self.most, list(self.parts))
