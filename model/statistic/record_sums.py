"""The sums that are of whole records: how many of a record's labels are right, and how they rank."""

import numpy as np

from bulklabel.model.statistic.block import Block, in_threads, record_chunks
from bulklabel.model.statistic.grouping import Grouping
from bulklabel.model.statistic.ranking import rank_sums
from bulklabel.model.statistic.tally import Counts


def record_sums(block: Block, grouping: Grouping) -> dict[str, Counts]:
    """The fields of `Sums` that have no axis of labels, by name, and the sums by size."""
    hits, trues, guesses = (rows.sum(axis=0) for rows in (block.hits, block.present, block.predicted))
    wrong = block.present != block.predicted  # neither is set where truth is unknown
    fractions = {
        "precision_by_size": (hits, guesses, block.labels),
        "recall_by_size": (hits, trues, block.labels),
        "f1_by_size": (2 * hits, trues + guesses, 2 * block.labels),
        "jaccard_by_size": (hits, trues + guesses - hits, block.labels),
    }
    chunks = in_threads(lambda records: rank_sums(block.of_records(records)), record_chunks(block))
    ranked = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    return {
        "with_truth": grouping.by_record(block.with_truth),
        "all_correct": grouping.by_record(block.with_truth & ~wrong.any(axis=0)),
        **{name: _by_size(*fraction, grouping) for name, fraction in fractions.items()},
        **{name: grouping.by_record(values) for name, values in ranked.items()},
    }


def _by_size(numerators: Counts, denominators: Counts, largest: int, grouping: Grouping) -> Counts:
    size = grouping.count * (largest + 1)
    sums = np.bincount(grouping.groups * (largest + 1) + denominators, weights=numerators, minlength=size)
    return sums.astype(np.int64).reshape(grouping.count, largest + 1)
