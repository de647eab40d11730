"""Lists the families of metrics, and goes through them for what they sum and for the numbers they make of it."""

import functools
import operator
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bulklabel.model.counting.block import Block, in_threads, label_chunks
from bulklabel.model.counting.grouping import Grouping
from bulklabel.model.counting.sums import Sums
from bulklabel.model.metric_families.areas import AREAS
from bulklabel.model.metric_families.averages import AVERAGES
from bulklabel.model.metric_families.calibration import CALIBRATION
from bulklabel.model.metric_families.confusion import CONFUSION
from bulklabel.model.metric_families.family import Estimate, Family, NamedSums, Totals
from bulklabel.model.metric_families.jackknife import Interval, share_interval
from bulklabel.model.metric_families.losses import LOSSES
from bulklabel.model.metric_families.ranking import RANKING
from bulklabel.model.metric_families.rates import RATES

FAMILIES = [CONFUSION, RATES, LOSSES, CALIBRATION, RANKING, AVERAGES, AREAS]
"""In the order in which their metrics are published."""


def sums_of(block: Block, groups: npt.NDArray[np.int64], count: int) -> Sums:
    """Returns all families' sums of a block's N records.

    Args:
        block: of records that all have truth.
        groups: N; for each record its group, from 0 to `count` - 1.
        count: G.
    """
    if not block.records:
        return no_sums(block.labels, count)
    grouping = Grouping.of(groups, count)
    if not grouping.is_sorted:
        block, grouping = block.take(grouping.order), Grouping.of(groups[grouping.order], count)
    return _sums_of(block, grouping)


def no_sums(labels: int, count: int) -> Sums:
    """Returns the sums of no records in `count` groups: the zero of `+=`."""
    return Sums({name: np.zeros(shape, np.int64) for name, shape in _shapes(tuple(FAMILIES), labels, count).items()})


def estimate(totals: Totals) -> Estimate:
    """Returns all families' metrics of some records."""
    return functools.reduce(operator.or_, (family.estimate(totals) for family in FAMILIES))


def interval_of(name: str) -> Interval:
    """Returns how the confidence interval of the metric of this name is drawn."""
    return next((family.intervals[name] for family in FAMILIES if name in family.intervals), share_interval)


def _sums_of(block: Block, grouping: Grouping) -> Sums:
    chunks = in_threads(
        lambda labels: _merged(block.of_labels(labels), grouping, [family.label_sums for family in FAMILIES]),
        label_chunks(block),
    )
    by_label = {name: np.concatenate([chunk[name] for chunk in chunks], axis=1) for name in chunks[0]}
    return Sums(by_label | _merged(block, grouping, [family.record_sums for family in FAMILIES]))


def _merged(block: Block, grouping: Grouping, parts: list[Callable[[Block, Grouping], NamedSums]]) -> NamedSums:
    return {name: values for part in parts for name, values in part(block, grouping).items()}


@functools.lru_cache(4)
def _shapes(families: tuple[Family, ...], labels: int, count: int) -> dict[str, tuple[int, ...]]:  # noqa: ARG001
    """Returns the shapes of the families' sums; the families are in the key since one may be added."""
    block = Block.of(np.zeros((0, labels), np.int8), np.zeros((0, labels), np.float32), [0.5] * labels)
    sums = _sums_of(block, Grouping.of(np.zeros(0, np.int64), count))
    return {name: values.shape for name, values in sums.values.items()}
