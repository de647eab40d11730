"""Counts what was predicted of all scored records, whether anything is known of them or not."""

import numpy as np

from bulklabel.model.counting.block import Block
from bulklabel.model.counting.grouping import Grouping
from bulklabel.model.counting.sums import Sums
from bulklabel.model.counting.tally import Counts


def predicted_sums(block: Block, groups: Counts, count: int) -> Sums:
    """Returns sums over a block's N records, which are sorted by group.

    Args:
        block: of any records.
        groups: N; for each record its group, from 0 to `count` - 1.
        count: G.

    Returns:
        `records`, G; `labels`, the records that each label was predicted of, G×L; `predicted_sizes` and
        `present_sizes`, the records with so many labels, predicted ones of all records and present ones of those with
        truth, G×(L + 1).
    """
    grouping = Grouping.of(groups, count)
    all_records = np.ones(block.records, np.bool_)
    return Sums(
        {
            "records": np.bincount(groups, minlength=count),
            "labels": grouping.by_label(block.given) if block.records else np.zeros((count, block.labels), np.int64),
            "predicted_sizes": _by_size(block.given.sum(axis=0), all_records, block.labels, grouping),
            "present_sizes": _by_size(block.present.sum(axis=0), block.with_truth, block.labels, grouping),
        }
    )


def nothing_predicted(labels: int, count: int) -> Sums:
    """Returns the sums of no records: the zero of `+=`."""
    none = np.zeros((0, labels))
    block = Block.of(none.astype(np.int8), none.astype(np.float32), [0.5] * labels)
    return predicted_sums(block, np.zeros(0, np.int64), count)


def _by_size(sizes: Counts, counted: np.ndarray, labels: int, grouping: Grouping) -> Counts:
    cells = grouping.groups * (labels + 1) + sizes
    sums = np.bincount(cells[counted], minlength=grouping.count * (labels + 1))
    return sums.reshape(grouping.count, labels + 1)
