"""Measures rankings: how the labels of each record are ordered by their probabilities."""

import numpy as np
import numpy.typing as npt

from bulklabel.model.counting.block import Block, in_threads, record_chunks
from bulklabel.model.counting.fixed import FIXED_POINT, fixed
from bulklabel.model.counting.grouping import Grouping
from bulklabel.model.metric_families.family import Estimate, Family, NamedSums, Totals
from bulklabel.model.metric_families.jackknife import unbounded_interval
from bulklabel.model.metric_families.quotients import ratio

RANKS = (1, 3, 5)
"""Precision and recall are counted among so many labels with the highest probabilities."""


def ranks(labels: int) -> tuple[int, ...]:
    """Returns the `RANKS` that `labels` labels allow; of a single label, the first.

    >>> ranks(4)
    (1, 3)
    """
    return tuple(rank for rank in RANKS if rank <= labels)


def _record_sums(block: Block, grouping: Grouping) -> NamedSums:
    chunks = in_threads(lambda records: _addends(block.of_records(records)), record_chunks(block))
    return {name: grouping.by_record(np.concatenate([chunk[name] for chunk in chunks])) for name in chunks[0]}


def _addends(block: Block) -> dict[str, npt.NDArray[np.float64]]:
    """Returns each record's addends to the sums of these names, as whole numbers; 0 without truth.

    Only labels whose truth is known rank. `ranking_precision` and `ranking_loss` follow scikit-learn's
    `label_ranking_average_precision_score` and `label_ranking_loss` (a record where no label or every one is
    present counts 1, and 0), `coverage` its `coverage_error`; all three take labels with the same probability as
    ranking behind each other in the worst order. `hits_at` (N×K) counts the present labels among the first k, of
    equal probabilities the first in the model's order, and `recall_at` is their share of those present, 0 if none is.
    """
    # as integers floats above 0 keep their order
    ordered = np.ascontiguousarray(block.probabilities).view(np.int32) + 1
    keys = np.ascontiguousarray((ordered if block.all_known else np.where(block.known, ordered, 0)).T)
    known, present = block.known.sum(axis=0), block.present.sum(axis=0)
    mixed = (present > 0) & (present < known)
    rank, rank_among_present, record = _ranks_of_present(keys, block)
    precision = np.bincount(record, weights=fixed(rank_among_present / rank), minlength=block.records)
    pairs = np.where(mixed, present * (known - present), 1)
    wrong = np.bincount(record, weights=rank - rank_among_present, minlength=block.records)
    coverage = np.zeros(block.records, np.int64)
    np.maximum.at(coverage, record, rank)
    hits = _hits(keys, block)
    return {
        "ranking_precision": np.where(
            mixed, np.rint(precision / np.where(mixed, present, 1)), FIXED_POINT * block.with_truth
        ),
        "coverage": coverage.astype(np.float64),
        "ranking_loss": np.where(mixed, fixed(wrong / pairs), 0.0),
        "hits_at": hits.astype(np.float64),
        "recall_at": fixed(hits / np.maximum(present, 1)[:, None]),
    }


def _ranks_of_present(
    keys: npt.NDArray[np.int32], block: Block
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns for each present label of each record how many labels rank as high or higher.

    Beside them stand how many of these are present, and the record.

    The records' sorted keys, with the record's number above them, are one sorted array.
    """
    above = (np.arange(block.records) << 32)[:, None]
    ordered = (np.sort(keys, axis=1) + above).ravel()
    record, label = np.divmod(np.flatnonzero(block.present.T), block.labels)
    wanted = keys[record, label] + (record << 32)
    rank = (record + 1) * block.labels - np.searchsorted(ordered, wanted)
    among = np.sort(wanted)
    ends = np.cumsum(np.bincount(record, minlength=block.records))
    return rank, ends[record] - np.searchsorted(among, wanted), record


def _hits(keys: npt.NDArray[np.int32], block: Block) -> npt.NDArray[np.int64]:
    """Counts how many of the first k labels are present, N×K, by picking the first of the highest again and again."""
    wanted = ranks(block.labels)
    left = keys.copy()
    rows = np.arange(block.records)
    present = np.zeros((block.records, max(wanted)), np.int64)
    for position in range(max(wanted)):
        best = left.argmax(axis=1)
        present[:, position] = block.present[best, rows] & (left[rows, best] > 0)
        left[rows, best] = -1
    return np.cumsum(present, axis=1)[:, [rank - 1 for rank in wanted]]


def _estimate(totals: Totals) -> Estimate:
    sums, records = totals.sums, int(totals.sums["with_truth"])
    metrics = {
        "label_ranking_average_precision": ratio(int(sums["ranking_precision"]) / FIXED_POINT, records),
        "coverage_error": ratio(int(sums["coverage"]), records),
        "label_ranking_loss": ratio(int(sums["ranking_loss"]) / FIXED_POINT, records),
        "one_error": ratio(records - int(sums["hits_at"][0]), records),
    }
    for index, rank in enumerate(ranks(len(sums["true_positives"]))):
        metrics[f"precision_at_{rank}"] = ratio(int(sums["hits_at"][index]), rank * records)
        metrics[f"recall_at_{rank}"] = ratio(int(sums["recall_at"][index]) / FIXED_POINT, records)
    return Estimate(metrics)


RANKING = Family(_estimate, record_sums=_record_sums, intervals={"coverage_error": unbounded_interval})
"""Of whole records only: a single label has no rank."""
