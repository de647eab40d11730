"""Prints how much memory the statistic of many labels takes to merge and to make metrics of, and how long that lasts.

    python benchmarks/statistic_memory.py [LABELS] [SHARDS] [RECORDS]

Shards of records are merged in place into two accumulators, as runners do, these into one, and it into metrics. Each
row shows the peak so far of the whole process, the interpreter and its modules included.
"""

import resource
import sys
import time

import numpy as np
import pyarrow as pa

from bulklabel.model.metrics import Goal, compute_metrics
from bulklabel.model.statistic import Statistic


def shard(number: int, records: int, labels: int) -> Statistic:
    random = np.random.default_rng(number)
    logits = random.normal(-4, 2, (records, labels)).astype(np.float32)
    truth = (random.random(logits.shape, np.float32) < 1 / (1 + np.exp(-logits))).astype(np.int8)
    places = range(number * records, (number + 1) * records)
    columns = {"id": [f"r{place}" for place in places], "source": ["file"] * records, "position": list(places)}
    probabilities = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return Statistic.from_batch(truth, probabilities, [0.5] * labels, pa.table(columns))


def report(what: str, since: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:20} {time.perf_counter() - since:6.1f} s  peak {peak:6.0f} MB", flush=True)


def main(labels: int = 10_000, shards: int = 4, records: int = 512) -> None:
    start = time.perf_counter()
    report("modules", start)
    accumulators = [Statistic.zero(labels), Statistic.zero(labels)]
    for number in range(shards):
        accumulators[number % 2] += shard(number, records, labels)
    report("shards", start)
    start = time.perf_counter()
    total = accumulators.pop(0)
    total += accumulators.pop()
    report("accumulators", start)
    start = time.perf_counter()
    compute_metrics(total, [f"label {index}" for index in range(labels)], [0.5] * labels, Goal())
    report("metrics", start)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
