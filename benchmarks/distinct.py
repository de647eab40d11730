"""Prints what it costs to count the ids that repeat, and the groups, of so many records.

    python benchmarks/distinct.py RECORDS…

A graph makes shards of 1,024 records and counts them, then does it again and counts ids and groups as well. The cost is
the difference of the processor's seconds, and of the memory's peak, each in a process of its own.
"""

import resource
import subprocess
import sys

import apache_beam as beam
import pyarrow as pa

from bulklabel.transforms.evaluating.count_distinct import PARTITION_HASHES, CountDistinct
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.parts import Part
from bulklabel.transforms.scoring.score_shards import ShardResult

RECORDS_A_SHARD = 1024
RECORDS_A_PATIENT = 4


def result_of(index: int) -> ShardResult:
    first = index * RECORDS_A_SHARD
    ids = [f"films/2026/film-{number:09d}.png" for number in range(first, first + RECORDS_A_SHARD)]
    patients = [f"patient {number // RECORDS_A_PATIENT}" for number in range(first, first + RECORDS_A_SHARD)]
    table = pa.table({"id": ids, "patient": patients})
    part = Part("part", table, b"")
    shard = Shard(index, "films", 0, 0, first, RECORDS_A_SHARD)
    return ShardResult(shard, part, part, committed=True)


def records_in(result: ShardResult) -> int:
    return len(result.predictions.table)


def main(records: list[int]) -> None:
    print(f"{'records':>12}{'µs per record':>14}{'with groups':>14}{'more MB':>10}{'with groups':>14}")
    for number in records:
        plain, ids, groups = (measure(number, what) for what in ("nothing", "ids", "groups"))
        microseconds = [1e6 * (seconds - plain[0]) / number for seconds, _ in (ids, groups)]
        memory = [peak - plain[1] for _, peak in (ids, groups)]
        print(f"{number:>12,}{microseconds[0]:>14.2f}{microseconds[1]:>14.2f}{memory[0]:>10,.0f}{memory[1]:>14,.0f}")


def measure(records: int, what: str) -> tuple[float, float]:
    """Seconds of the processor and megabytes at the peak."""
    command = [sys.executable, __file__, "--run", what, str(records)]
    seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(peak)


def run(what: str, records: int) -> None:
    shards = records // RECORDS_A_SHARD
    with beam.Pipeline(argv=[]) as root:
        indices = root | beam.Create([0]) | beam.FlatMap(lambda _: range(shards)) | beam.Reshuffle()
        results = indices | "Result" >> beam.Map(result_of)
        _ = results | "Count" >> beam.Map(records_in) | "Sum" >> beam.CombineGlobally(sum)
        if what != "nothing":
            _ = results | CountDistinct(1 + records // PARTITION_HASHES, "patient" if what == "groups" else None)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2], int(sys.argv[3]))
    else:
        main([int(number) for number in sys.argv[1:]] or [1_000_000, 10_000_000])
