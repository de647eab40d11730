"""Makes probabilities true: fits a slope and an offset of their log-odds for each label that has enough records."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bulklabel.model.labels.truth import ABSENT, PRESENT, UNKNOWN, Truth
from bulklabel.model.metric_families.calibration import RELIABILITY_BINS, reliability_bins
from bulklabel.model.metrics.threshold_goals import ENOUGH

LOWEST, HIGHEST = np.float32(1e-30), np.float32(1 - 2**-24)
"""Probabilities whose log-odds are finite in float32."""

SLOPES = (0.05, 20.0)
"""Slopes outside of this range say that the answers are chance, or that there are too few."""

PULL = 1.0
"""By how much slope and offset are drawn to what changes nothing: as much as by one record that is off by one."""

MOST_STEPS, CLOSE = 100, 1e-9
"""Newton's method ends after so many steps, or with one as small as this."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Holds for each of L labels the slope (above 0) and the offset of its log-odds."""

    slopes: Values
    offsets: Values

    @property
    def changes_nothing(self) -> bool:
        """Tells whether there was too little truth for any label."""
        return bool((self.slopes == 1).all() and (self.offsets == 0).all())

    def apply(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Returns calibrated probabilities of N×L.

        >>> Calibration(np.array([2.0]), np.array([0.0])).apply(np.array([[0.75]], np.float32)).tolist()
        [[0.8999999761581421]]
        """
        odds = log_odds(probabilities) * self.slopes + self.offsets
        return (1 / (1 + np.exp(-odds))).astype(np.float32)


def log_odds(probabilities: npt.NDArray[np.float32]) -> Values:
    """Returns log(p / (1 - p)), finite also of 0 and 1."""
    inside = np.clip(probabilities, LOWEST, HIGHEST).astype(np.float64)
    odds: Values = np.log(inside) - np.log1p(-inside)
    return odds


def fit_calibration(truth: Truth, probabilities: npt.NDArray[np.float32]) -> Calibration:
    """Returns the calibration of least cross-entropy on what is known of N records with L labels.

    A label that is present in fewer than `ENOUGH` of them, or absent in fewer, has the slope and offset of all labels
    together (temperature scaling with a bias): its own would be chance. Where even all labels have too few, nothing
    changes.

    >>> truth = np.array([[1, 1, 1, 0] * 40 + [0, 0, 0, 1] * 40], np.int8).T
    >>> probabilities = np.repeat(np.array([[0.99], [0.01]], np.float32), 160, axis=0)
    >>> fitted = fit_calibration(truth, probabilities)
    >>> fitted.apply(probabilities[[0, 160]]).round(2).T.tolist()
    [[0.75, 0.25]]
    """
    odds = log_odds(probabilities)
    labels = truth.shape[1]
    known = truth != UNKNOWN
    shared = _platt(odds[known], truth[known]) if _has_enough(truth) else None
    slopes, offsets = (np.full(labels, value) for value in shared or (1.0, 0.0))
    for label in range(labels):
        rows = known[:, label]
        own = _platt(odds[rows, label], truth[rows, label]) if _has_enough(truth[:, label]) else None
        if own is not None:
            slopes[label], offsets[label] = own
    return Calibration(slopes, offsets)


def _has_enough(truth: Truth) -> bool:
    return int(min((truth == PRESENT).sum(), (truth == ABSENT).sum())) >= ENOUGH


def _platt(odds: Values, truth: Truth) -> tuple[float, float] | None:
    """Returns slope and offset of least cross-entropy, by Newton's method, or None where they are not to be trusted.

    Truth counts as Platt (1999) has it, a little less than certain, so that labels that can be told apart without an
    error have a finite slope.
    """
    present = truth == PRESENT
    target = np.where(present, (present.sum() + 1) / (present.sum() + 2), 1 / ((~present).sum() + 2))
    inputs = np.stack([odds, np.ones_like(odds)])
    unchanged = np.array([1.0, 0.0])

    def loss(values: Values) -> float:
        at = values @ inputs
        return float((np.logaddexp(0, at) - target * at).sum() + PULL * ((values - unchanged) ** 2).sum() / 2)

    best = unchanged
    for _ in range(MOST_STEPS):
        p = 1 / (1 + np.exp(-np.clip(best @ inputs, -500, 500)))
        slope_of_loss = inputs @ (p - target) + PULL * (best - unchanged)
        curvature = (inputs * (p * (1 - p))) @ inputs.T + PULL * np.eye(2)
        step = np.linalg.solve(curvature, slope_of_loss)
        while loss(best - step) > loss(best) and np.abs(step).max() > CLOSE:
            step = step / 2
        best = best - step
        if np.abs(step).max() <= CLOSE:
            break
    slope, offset = float(best[0]), float(best[1])
    return (slope, offset) if SLOPES[0] <= slope <= SLOPES[1] else None


@dataclass(frozen=True, eq=False)
class Reliability:
    """Holds how many answers lie in each tenth of the probabilities, and how true they are, where truth is known.

    `probability` and `frequency` are the mean of those answers and the share of them that is present; empty tenths are
    left out. `error` is the expected calibration error: the mean distance of the two.
    """

    records: npt.NDArray[np.int64]
    probability: Values
    frequency: Values

    @staticmethod
    def of(truth: Truth, probabilities: npt.NDArray[np.float32]) -> "Reliability":
        """Returns the reliability of N×L answers.

        >>> reliability = Reliability.of(np.array([[1], [0]], np.int8), np.array([[0.75], [0.75]], np.float32))
        >>> reliability.frequency.tolist(), reliability.error
        ([0.5], 0.25)
        """
        known = truth != UNKNOWN
        given, present = probabilities[known].astype(np.float64), truth[known] == PRESENT
        tenth = reliability_bins(probabilities[known])
        records = np.bincount(tenth, minlength=RELIABILITY_BINS)
        filled = records > 0
        means = [np.bincount(tenth, values, RELIABILITY_BINS)[filled] / records[filled] for values in (given, present)]
        return Reliability(records[filled], *means)

    @property
    def error(self) -> float:
        """The expected calibration error (0 to 1) of all answers together."""
        return float((np.abs(self.probability - self.frequency) * self.records).sum() / self.records.sum())

    def points(self) -> list[dict[str, float]]:
        """Returns a point for each tenth that has answers, to be drawn."""
        columns = {"records": self.records, "probability": self.probability, "frequency": self.frequency}
        return [{name: float(values[at]) for name, values in columns.items()} for at in range(len(self.records))]
