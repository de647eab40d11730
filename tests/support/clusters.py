"""Films of patients: how often intervals contain what is true, with films grouped by patient and without.

    python -m tests.support.clusters SETS PATIENTS…

prints the share of data sets whose 95 % interval of F1 contains the F1 of 300,000 patients.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.optimize

from bulklabel.model.counting.block import Block
from bulklabel.model.counting.filled_bins import FilledBins
from bulklabel.model.counting.sums import Sums
from bulklabel.model.metric_families.averages import AVERAGES
from bulklabel.model.metric_families.confusion import CONFUSION
from bulklabel.model.metric_families.families import sums_of
from bulklabel.model.metric_families.family import Estimate, Totals
from bulklabel.model.metrics.estimates import Evidence
from bulklabel.model.metrics.intervals import label_intervals, overall_intervals
from bulklabel.model.statistic import GROUPS
from tests.support.synthetic import Batch

LABELS = 3
BIASES = np.array([-0.5, -2.0, 1.0])
"""Of the labels, of which the second is rare."""

FILMS, PATIENTS, MOST = 112_120, 30_805, 184
"""Of the chest films of the NIH, and the most films of one patient."""

Coverage = dict[str, float]


def shares_of_sizes() -> np.ndarray:
    """The share of patients with 1, 2, … films: a power law with the mean and the maximum of the NIH's films."""
    sizes = np.arange(1.0, MOST + 1)

    def mean(power: float) -> float:
        return float((sizes ** (1 - power)).sum() / (sizes**-power).sum())

    power = scipy.optimize.brentq(lambda power: mean(power) - FILMS / PATIENTS, 1.2, 3)
    shares: np.ndarray = sizes**-power / (sizes**-power).sum()
    return shares


SHARES = shares_of_sizes()


def films(random: np.random.Generator, patients: int) -> tuple[Batch, np.ndarray]:
    """Truth and probabilities of films, and whose they are; what a patient has, and is mistaken for, shows in all."""
    of = np.repeat(np.arange(patients), random.choice(np.arange(1, MOST + 1), patients, p=SHARES))
    logits = BIASES + random.normal(0, 1, (patients, LABELS))[of] + random.normal(0, 1, (len(of), LABELS))
    truth = (random.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.int8)
    noise = random.normal(0, 0.7, (patients, 1))[of] + random.normal(0, 0.5, logits.shape)
    return (truth, (1 / (1 + np.exp(-1.3 * logits - noise))).astype(np.float32)), of


def sums(batch: Batch, groups: np.ndarray) -> Sums:
    return sums_of(Block.of(*batch, [0.5] * LABELS), groups, GROUPS)


def f1_metrics(total: Sums) -> Estimate:
    """The metrics that are made of counts alone."""
    return CONFUSION.estimate(Totals(total)) | AVERAGES.estimate(Totals(total))


def f1_values(overall: Mapping[str, Any], per_label: Mapping[str, Any]) -> dict[str, Any]:
    """F1 of all labels together, and of each."""
    return {"f1_micro": overall["f1_micro"]} | {f"f1 {label}": per_label["f1"][label] for label in range(LABELS)}


def f1_intervals(by_group: Sums) -> dict[str, tuple[float, float]]:
    total = by_group.total()
    without = [f1_metrics(total - by_group.group(int(group))) for group in np.flatnonzero(by_group["with_truth"])]
    given = Evidence(by_group, FilledBins.none(LABELS)), f1_metrics(total), without
    lows, highs = (
        f1_values(
            {name: ends[side] for name, ends in overall_intervals(*given).items()},
            {name: ends[side] for name, ends in label_intervals(*given).items()},
        )
        for side in (0, 1)
    )
    return {name: (float(lows[name]), float(highs[name])) for name in lows}


def coverage(patients: int, sets: int, seed: int = 7) -> tuple[Coverage, Coverage]:
    """The share of data sets whose interval contains the truth: with films grouped by patient, and without."""
    random = np.random.default_rng(seed)
    true_sums = None
    for _ in range(10):
        batch, of = films(random, 30_000)
        part = sums(batch, np.zeros(len(of), np.int64))
        true_sums = part if true_sums is None else true_sums.__iadd__(part)
    assert true_sums is not None
    known = f1_metrics(true_sums.total())
    true = f1_values(known.overall, known.per_label)
    hits: list[dict[str, int]] = [defaultdict(int), defaultdict(int)]
    for _ in range(sets):
        batch, of = films(random, patients)
        for side, groups in enumerate((random.integers(0, GROUPS, patients)[of], random.integers(0, GROUPS, len(of)))):
            for name, (low, high) in f1_intervals(sums(batch, groups)).items():
                hits[side][name] += bool(low <= true[name] <= high)
    grouped, ungrouped = ({name: hit[name] / sets for name in true} for hit in hits)
    return grouped, ungrouped


if __name__ == "__main__":
    for number in map(int, sys.argv[2:]):
        for words, found in zip(("by patient", "by film   "), coverage(number, int(sys.argv[1])), strict=True):
            print(
                f"{number:>7,} patients, {words}  {'  '.join(f'{name} {share:.1%}' for name, share in found.items())}"
            )
