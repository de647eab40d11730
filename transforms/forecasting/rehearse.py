"""Scores some of a plan's records as a run would, from reading to metrics, and writes nothing."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.errors import UserError
from bulklabel.model.network.scorer import Scorer
from bulklabel.model.statistic import Statistic
from bulklabel.model.statistic.distinct import Distinct
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.evaluating.acceptance import check_acceptance
from bulklabel.transforms.evaluating.evaluate import Evaluation
from bulklabel.transforms.evaluating.publication import Publication
from bulklabel.transforms.evaluating.publish import metrics_files
from bulklabel.transforms.forecasting.count_records import bytes_a_record
from bulklabel.transforms.forecasting.forecast import Rehearsal
from bulklabel.transforms.planning.first_records import spread, usable_shards
from bulklabel.transforms.run_directory.file_names import CURVES_FILE
from bulklabel.transforms.run_directory.plan import Plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.scoring.score_shards import ScoreShards, ShardResult

MOST_RECORDS = 4096
"""So many records of a shard are scored at most."""

WARM_UP_RECORDS = 1024
"""So many go through first, and are not counted: the first batches take longer than all others."""

ENOUGH_SECONDS = 8.0
"""No further shard is begun after so many seconds."""


@dataclass
class _Sums:
    """Adds up what the results of shards took."""

    evaluation: Evaluation
    statistic: Statistic
    records: int = 0
    whole: Counter[str] = field(default_factory=Counter)
    part_bytes: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0
    stages: Counter[str] = field(default_factory=Counter)

    def add(self, result: ShardResult, started: float, processor_started: float) -> None:
        """Adds a result that was begun at a time of the monotonic clock, and at one of this process' own."""
        self.statistic += self.evaluation.statistic(result)
        self.seconds += time.monotonic() - started
        self.processor_seconds += time.process_time() - processor_started
        self.stages.update(result.seconds)
        records = len(result.predictions.table) + len(result.rejected.table)
        self.records += records
        shard = result.shard
        if shard.records is None and shard.stop is None and records < MOST_RECORDS:
            self.whole += Counter(records=records, bytes=shard.planned[shard.source].size - shard.start)
        self.part_bytes += len(result.predictions.content) + len(result.rejected.content)

    @property
    def bytes_a_record(self) -> float | None:
        """Returns the bytes of a file for each record, of those files that were read to their end and not counted."""
        return self.whole["bytes"] / self.whole["records"] if self.whole["records"] else None


def rehearse(
    plan: Plan, left: Sequence[int], scorer: OncePerProcess[Scorer], publication: Publication, directory: RunDirectory
) -> Rehearsal:
    """Scores some of the records of the shards that are left, spread over all of them.

    Raises:
        UserError: if none of the shards has a record.
    """
    recipe, wanted = plan.recipe, set(left)
    shards = usable_shards([shard for shard in plan.sourced_shards() if shard.index in wanted])
    evaluation = Evaluation(recipe.labels, recipe.thresholds, publication.slice_by, publication.group_by)
    sums = _Sums(evaluation, Statistic.zero(len(recipe.labels)))
    score_shards = ScoreShards(directory, recipe, scorer)
    score_shards.setup()
    try:
        for shard in shards[:1]:
            score_shards.score(shard, WARM_UP_RECORDS)
        for shard in spread(shards):
            started, processor_started = time.monotonic(), time.process_time()
            sums.add(score_shards.score(shard, MOST_RECORDS), started, processor_started)
            if sums.seconds > ENOUGH_SECONDS:
                break
    finally:
        score_shards.teardown()
    if not sums.records:
        raise UserError("no record was found in a sample of the input, so there is nothing to forecast from.")
    started, processor_started = time.monotonic(), time.process_time()
    published = metrics_files(
        sums.statistic, publication, check_acceptance(sums.statistic, Distinct(), publication, None), []
    )
    return Rehearsal(
        sums.records,
        sum(sums.statistic.rejected.values()),
        sums.seconds,
        sums.processor_seconds,
        sums.stages,
        sums.part_bytes,
        {name: len(content) for name, content in published.items()},
        pq.read_metadata(pa.BufferReader(published[CURVES_FILE])).num_rows,
        time.monotonic() - started,
        time.process_time() - processor_started,
        len(sums.statistic.examples.table),
        peak_memory(),
        sums.bytes_a_record or bytes_a_record(shards, recipe.read_spec),
    )


def peak_memory() -> int:
    """Returns the most bytes that this process has had in memory, as Linux counts them."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
