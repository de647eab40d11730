"""Forecasts a run's time and output from a rehearsal on some of its records."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bulklabel.model.metrics.curves import MOST_ROWS
from bulklabel.transforms.run_directory.file_names import CURVES_FILE
from bulklabel.transforms.run_directory.plan import Plan

GRAPH_SHARE = 0.1
"""What making the graph takes, and what its steps take besides the records, as a share of start-up."""


@dataclass(frozen=True)
class Rehearsal:
    """Says what some of a plan's records took, after a warm-up, from reading to their parts and statistic.

    Attributes:
        records: how many there were, `rejected` ones among them.
        rejected: those that cannot be scored.
        seconds: how long they took, by the clock.
        processor_seconds: how long the processor's cores took for them.
        stages: seconds by stage, over all threads.
        part_bytes: the size of their parts.
        published: by name the sizes of the files that would be published of them alone.
        curve_rows: the rows of their threshold curves.
        publishing_seconds: how long those files took, by the clock.
        publishing_processor_seconds: how long the processor's cores took for them.
        examples: how many records the report shows, each of which is read once more.
        memory: the most bytes that this process has had.
        bytes_a_record: what a record takes of a file whose records nobody has counted; None if there is no such file.
    """

    records: int
    rejected: int
    seconds: float
    processor_seconds: float
    stages: Mapping[str, float]
    part_bytes: int
    published: Mapping[str, int]
    curve_rows: int
    publishing_seconds: float
    publishing_processor_seconds: float
    examples: int
    memory: int
    bytes_a_record: float | None = None


@dataclass(frozen=True)
class Forecast:
    """Says what a run will take: seconds by the clock and of cores, bytes of output, and of memory in a process.

    `records` are those that are to be scored, and `counted` tells whether they were counted, and not estimated from the
    sizes of files. `startup` and `end` are the seconds before the first record and after the last one.
    """

    records: int
    counted: bool
    seconds: float
    startup: float
    end: float
    processor_seconds: float
    output_bytes: int
    memory_bytes: int

    @property
    def content(self) -> dict[str, Any]:
        """Returns it as JSON has it."""
        return asdict(self)


def forecast(
    plan: Plan, shards: Sequence[int], startup: float, startup_processor: float, rehearsal: Rehearsal
) -> Forecast:
    """Returns what the rest of a plan's run will take.

    Args:
        plan: what is to be done.
        shards: the indices of the shards that are left to score.
        startup: the seconds from the start of the command until the network was ready.
        startup_processor: those of processor cores until then.
        rehearsal: what some of the plan's records took; at least one.
    """
    counted, uncounted = records_and_bytes(plan, shards)
    records = counted + round(uncounted / (rehearsal.bytes_a_record or 1))
    times = records / rehearsal.records
    # Shards with examples for the report are read once more at the end, half of each on average.
    again = rehearsal.stages["reading"] * times * min(1, rehearsal.examples / len(shards)) / 2
    graph = GRAPH_SHARE * startup
    end = rehearsal.publishing_seconds + again
    published = sum(
        size * (min(times, max(1, MOST_ROWS / max(rehearsal.curve_rows, 1))) if name == CURVES_FILE else 1)
        for name, size in rehearsal.published.items()
    )
    return Forecast(
        records,
        not uncounted,
        startup + graph + rehearsal.seconds * times + end,
        startup + graph,
        end,
        (1 + GRAPH_SHARE) * startup_processor
        + rehearsal.processor_seconds * times
        + rehearsal.publishing_processor_seconds
        + again,
        round(rehearsal.part_bytes * times + published + len(plan.to_json())),
        rehearsal.memory,
    )


def records_and_bytes(plan: Plan, shards: Sequence[int]) -> tuple[int, int]:
    """Returns how many records some shards of a plan have, and the bytes of those that nobody has counted."""
    sizes = {file.path: max(file.size, 0) for file in plan.inputs}
    chosen = [plan.shards[index] for index in shards]
    unknown = [shard for shard in chosen if shard.records is None]
    stops = [(shard, sizes.get(shard.source, 0) if shard.stop is None else shard.stop) for shard in unknown]
    return sum(shard.records or 0 for shard in chosen), sum(stop - shard.start for shard, stop in stops)
