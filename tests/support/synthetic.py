"""Truth and probabilities that are made up, for tests of what is counted of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bulklabel.model.metrics import Goal, compute_metrics
from bulklabel.model.statistic import Statistic

THRESHOLD = 0.25

Batch = tuple[np.ndarray, np.ndarray]

NASTY = [
    *[0.0, -0.0, 1.0, 0.5, THRESHOLD, 1e-45, 1e-39, 2**-25, 2**-24],
    *[float(np.nextafter(np.float32(at), np.float32(to))) for at in (0.25, 0.5, 1, 0.1) for to in (0, 1)],
    *[1 - 2**-23, 1 - 3 * 2**-24, 0.1, 0.9],
]
"""Probabilities at the ends of bins, saturated, too small for the network's own arithmetic, one float32 apart."""


@st.composite
def batches(draw: st.DrawFn, unknown: bool = False, fewest: int = 1) -> Batch:
    """Truth and probabilities; often equal, nasty, of a label that never or always occurs."""
    records, labels = draw(st.integers(fewest, 30)), draw(st.integers(1, 6))
    truth = draw(npst.arrays(np.int8, (records, labels), elements=st.integers(-1 if unknown else 0, 1)))
    for label in draw(st.sets(st.integers(0, labels - 1), max_size=2)):
        truth[:, label] = draw(st.integers(-1 if unknown else 0, 1))
    few = st.sampled_from(draw(st.lists(st.sampled_from(NASTY), min_size=1, max_size=3)))
    score = draw(st.sampled_from([few, st.sampled_from(NASTY), st.floats(0, 1, width=32)]))
    return truth, draw(npst.arrays(np.float32, (records, labels), elements=score))


def records_table(places: Sequence[int] | np.ndarray, **columns: Any) -> pa.Table:
    """Records at places in one file, with ids of their own."""
    return pa.table(
        {"id": [f"r{place}" for place in places], "source": ["file"] * len(places), "position": list(places)}
        | {name: pa.array(list(values), pa.string()) for name, values in columns.items()},
        pa.schema(
            {"id": pa.string(), "source": pa.string(), "position": pa.int64()} | {name: pa.string() for name in columns}
        ),
    )


def statistic_of(batch: Batch, places: Sequence[int] | np.ndarray | None = None, **more: Any) -> Statistic:
    """The statistic of a batch, by one threshold."""
    truth, probabilities = batch
    table = records_table(range(len(truth)) if places is None else places)
    return Statistic.from_batch(truth, probabilities, [THRESHOLD] * truth.shape[1], table, **more)


def metrics_of_statistic(statistic: Statistic, goal: Goal | None = None) -> dict[str, Any]:
    """All metrics, of labels named l0, l1, …"""
    names = [f"l{index}" for index in range(statistic.labels)]
    return compute_metrics(statistic, names, [THRESHOLD] * len(names), goal or Goal())


def logistic_batch(random: np.random.Generator, records: int, labels: int, spread: float = 2.0) -> Batch:
    """Ordinary data: scores that overlap, and truth that follows them, though not quite."""
    logits = random.normal(-1, spread, (records, labels))
    truth = (random.random(logits.shape) < 1 / (1 + np.exp(-0.8 * logits))).astype(np.int8)
    return truth, (1 / (1 + np.exp(-logits))).astype(np.float32)
