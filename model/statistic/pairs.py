"""Counts pairs of labels that occur together: in truth, in predictions, and where one was taken for the other."""

import numpy as np
import scipy.sparse

from bulklabel.model.counting.block import Block, Flags
from bulklabel.model.counting.tally import Tally

MOST_LABELS = 1000
"""Pairs are counted among so many labels, the model's first: a table of all of 10,000 would have 100 million cells."""

SPARSE_PAIRS = 400
"""Where of so many pairs hardly one occurs they are looked up; else it is faster to multiply whole matrices."""

TRUTH, PREDICTED, CONFUSED = range(3)


def paired(labels: int) -> int:
    """Returns M, the number of labels whose pairs are counted."""
    return min(labels, MOST_LABELS)


def no_pairs(labels: int) -> Tally:
    """Returns a tally of no records, of 3×M×M cells.

    They count the records by [TRUTH, i, j] both present, [PREDICTED, i, j] both predicted, with truth or without, and
    [CONFUSED, i, j] i present and not predicted, j predicted and absent.
    """
    return Tally((3, paired(labels), paired(labels)), [])


def pairs_of(block: Block) -> Tally:
    """Returns the tally of the pairs in a block's records."""
    tally = no_pairs(block.labels)
    first = slice(paired(block.labels))
    present, predicted, given = block.present[first], block.predicted[first], block.given[first]
    sides = {TRUTH: (present, present), PREDICTED: (given, given)}
    sides[CONFUSED] = (present & ~predicted, predicted & ~present)
    for kind, (rows, columns) in sides.items():
        tally += _counted(rows, columns, kind, tally.shape)
    return tally


def _counted(first: Flags, second: Flags, kind: int, shape: tuple[int, ...]) -> Tally:
    labels = shape[1]
    pairs = int((first.sum(axis=0) * second.sum(axis=0)).sum())
    if not pairs:
        return Tally(shape, [])
    if pairs * SPARSE_PAIRS <= labels * labels * first.shape[1]:
        products = (_sparse(first) @ _sparse(second).T).tocoo()
        cells = (kind * labels + products.row.astype(np.int64)) * labels + products.col
        return Tally(shape, [np.repeat(cells, products.data).astype(np.int32)])
    dense = np.zeros(shape, np.uint32)
    dense[kind] = np.rint(first.astype(np.float32) @ second.astype(np.float32).T)
    return Tally(shape, [], dense.ravel())


def _sparse(rows: Flags) -> scipy.sparse.csr_array:
    row, column = np.divmod(np.flatnonzero(rows), rows.shape[1])
    return scipy.sparse.csr_array((np.ones(len(row), np.int64), (row, column)), shape=rows.shape)
