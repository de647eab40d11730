"""A finished run read again: its parts, and truth from elsewhere put in place of what they hold."""

from collections.abc import Iterator
from dataclasses import replace

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.errors import UserError
from bulklabel.model.labels.predictions import LABELS_COLUMN, TRUTH_COLUMNS
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.evaluating.truth_table import TruthTable
from bulklabel.transforms.files import files
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.parts import KINDS, PREDICTIONS, REJECTED, Part
from bulklabel.transforms.run_directory.plan import Plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.scoring.score_shards import ShardResult


def truth_used(directory: RunDirectory, plan: Plan, truth: TruthTable) -> int:
    """How many rows of the truth are of records in a run, be they scored or rejected; reads nothing but their ids."""
    used = np.zeros(len(truth.rows), bool)
    names = [files.join(directory.path, directory.stamp.name(kind, shard)) for shard in plan.shards for kind in KINDS]
    for ids in map_in_threads(_ids, names):
        used[[truth.rows[record_id] for record_id in ids if record_id in truth.rows]] = True
    return int(used.sum())


def _ids(part: str) -> list[str]:
    """Those in a part; none if it cannot be read, which `ReadParts` says."""
    try:
        with files.open_file(part) as source:
            ids: list[str] = pq.ParquetFile(source).read(["id"]).column("id").to_pylist()
    except FileNotFoundError:
        return []
    except (pa.ArrowException, OSError) as error:
        raise_if_store_failed(error)
        return []
    return ids


class ReadParts(beam.DoFn):  # type: ignore[misc]
    """From a shard to what it became."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory

    def process(self, shard: Shard) -> Iterator[ShardResult]:
        """One shard, one result.

        Raises:
            UserError: if one of its parts is missing or damaged.
        """
        yield ShardResult(shard, self._read(PREDICTIONS, shard), self._read(REJECTED, shard), committed=True)

    def _read(self, kind: str, shard: Shard) -> Part:
        part = self._directory.read_part(kind, shard)
        if part is None:
            name = files.join(self._directory.path, self._directory.stamp.name(kind, shard))
            raise UserError(f"{name} is missing or damaged; run the same `bulklabel score` again to mend it.")
        return part


class JoinTruth(beam.DoFn):  # type: ignore[misc]
    """Puts truth from elsewhere in place of a result's own; null for the ids that are not in it."""

    def __init__(self, truth: OncePerProcess[TruthTable]) -> None:
        self._truth = truth

    def process(self, result: ShardResult) -> Iterator[ShardResult]:
        """One result, one result."""
        part = result.predictions
        place = part.table.column_names.index(LABELS_COLUMN)
        table = part.table.drop_columns([name for name in TRUTH_COLUMNS if name in part.table.column_names])
        for name, column in reversed(self._truth.get().of(table.column("id").to_pylist()).items()):
            table = table.add_column(place, name, column)
        yield replace(result, predictions=replace(part, table=table))
