"""Defines what a family of metrics is: the sums it needs of a block of records, and the numbers it makes of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bulklabel.model.counting.block import Block
from bulklabel.model.counting.filled_bins import FilledBins
from bulklabel.model.counting.grouping import Grouping
from bulklabel.model.counting.sums import Sums
from bulklabel.model.counting.tally import Counts
from bulklabel.model.metric_families.jackknife import Interval

Values = npt.NDArray[np.float64]
NamedSums = dict[str, Counts]


@dataclass(frozen=True, eq=False)
class Totals:
    """Holds what was counted of some records: their sums, without groups, and each label's histogram of probabilities.

    `histograms` have bins of any precision; None where none were kept.
    """

    sums: Sums
    histograms: FilledBins | None = None


@dataclass(frozen=True, eq=False)
class Estimate:
    """Holds the metrics of some records: by name one number (`overall`), or one for each of L labels; NaN is undefined.

    `bounds` and `label_bounds` hold the low and high ends between which a metric certainly lies, for those metrics that
    are not exact.
    """

    overall: dict[str, float] = field(default_factory=dict)
    per_label: dict[str, Values] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    label_bounds: dict[str, tuple[Values, Values]] = field(default_factory=dict)

    def __or__(self, other: "Estimate") -> "Estimate":
        """The metrics of both, these first."""
        return Estimate(
            self.overall | other.overall,
            self.per_label | other.per_label,
            self.bounds | other.bounds,
            self.label_bounds | other.label_bounds,
        )


def no_sums(block: Block, grouping: Grouping) -> NamedSums:  # noqa: ARG001
    """Returns no sums: for a family that needs none of this sort."""
    return {}


@dataclass(frozen=True, eq=False)
class Family:
    """Describes metrics that are functions of the same sums.

    `estimate` makes the metrics of any set of records from their totals. It may use every family's sums. Metrics of no
    records must be there too, as NaN: requirements are checked by name before anything is scored.

    `record_sums` and `label_sums` add up a block's records within their groups, under names that no other family has.
    All records of the block have truth, and are sorted by group. `record_sums` is called once a block and returns
    arrays G×…; `label_sums` is called for some of the block's labels at a time, in several threads, and returns arrays
    G×L×….

    `intervals` says by a metric's name how its confidence interval is drawn, where it is not a share in 0…1.
    """

    estimate: Callable[[Totals], Estimate]
    record_sums: Callable[[Block, Grouping], NamedSums] = no_sums
    label_sums: Callable[[Block, Grouping], NamedSums] = no_sums
    intervals: Mapping[str, Interval] = field(default_factory=dict)
