"""Many data sets of one population, to see how often intervals contain what is true of it."""

import numpy as np

from bulklabel.model.counting.bins import bin_of, bins_count, coarser_counts
from bulklabel.model.counting.block import Block
from bulklabel.model.counting.filled_bins import FilledBins
from bulklabel.model.metric_families.families import sums_of
from bulklabel.model.metrics.estimates import Evidence
from bulklabel.model.statistic import GROUPS
from tests.support.synthetic import Batch

LABELS = 4
FINE, COARSE = 8, 5
BIASES = np.array([-0.5, -1.0, -2.0, 1.0])
"""Of the labels, of which the third is rare."""


def sample(random: np.random.Generator, records: int) -> Batch:
    """A data set: labels that depend on each other, and probabilities that are too sure of themselves."""
    common = random.normal(0, 0.7, (records, 1))
    logits = BIASES + common + random.normal(0, 1.5, (records, LABELS))
    truth = (random.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.int8)
    noise = random.normal(0, 0.5, logits.shape)
    return truth, (1 / (1 + np.exp(-1.3 * logits - noise))).astype(np.float32)


def evidence_of(batch: Batch, groups: np.ndarray, coarse: int = COARSE) -> Evidence:
    """The evidence of a batch whose records are in given groups, as the statistic has it, of fewer bins."""
    truth, probabilities = batch
    block = Block.of(truth, probabilities, [0.5] * LABELS)
    bins = bin_of(block.probabilities, FINE)
    cells = ((groups * LABELS + np.arange(LABELS)[:, None]) * 2 + block.present) * bins_count(FINE) + bins
    size = GROUPS * LABELS * 2 * bins_count(FINE)
    scores = np.bincount(cells.ravel(), minlength=size).reshape(GROUPS, LABELS, 2, -1)
    sums = sums_of(block, groups, GROUPS)
    return Evidence(sums, FilledBins.of_counts(scores.sum(axis=0)), coarser_counts(scores, coarse))
