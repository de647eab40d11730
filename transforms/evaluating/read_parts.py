"""Reads the parts of a finished run, and replaces their truth by truth from other files."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.errors import UserError
from bulklabel.model.labels.predictions import LABELS_COLUMN, TRUTH_COLUMNS
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.files import files
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.parts import PART_KINDS, PREDICTIONS, REJECTED, Part
from bulklabel.transforms.run_directory.plan import Plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.scoring.score_shards import ShardResult
from bulklabel.transforms.truth.keys import JoinCount, nothing_joins
from bulklabel.transforms.truth.truth_table import TruthTable


def count_used_truth(directory: RunDirectory, plan: Plan, truth: TruthTable) -> int:
    """Counts the rows of the truth whose records are in a run, scored or rejected; reads the ids of the parts alone.

    Raises:
        UserError: if there is none, or one row would be the truth of several records.
    """
    names = [
        files.join(directory.path, directory.stamp.name(kind, shard)) for shard in plan.shards for kind in PART_KINDS
    ]

    def ids() -> Iterator[str]:
        return chain.from_iterable(map_in_threads(_ids, names))

    count = JoinCount(truth.rows, truth.key)
    count.add(ids())
    error = None if count.used else nothing_joins(truth.origin, truth.key, truth.ids, ids)
    if error is not None:
        raise error
    return count.used


def _ids(part: str) -> list[str]:
    """Reads the ids of a part; none if it cannot be read, which `ReadParts` reports."""
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
    """Reads the two parts of each shard."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory

    def process(self, shard: Shard) -> Iterator[ShardResult]:
        """Yields the shard's result.

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


class ReplaceTruth(beam.DoFn):  # type: ignore[misc]
    """Replaces a result's truth by that of other files; records whose ids are not in them have unknown truth."""

    def __init__(self, truth: OncePerProcess[TruthTable]) -> None:
        self._truth = truth

    def process(self, result: ShardResult) -> Iterator[ShardResult]:
        """Yields the result with the other truth, in the columns where its own was."""
        part = result.predictions
        index = part.table.column_names.index(LABELS_COLUMN)
        table = part.table.drop_columns([name for name in TRUTH_COLUMNS if name in part.table.column_names])
        for name, column in reversed(self._truth.get().columns_for(table.column("id").to_pylist()).items()):
            table = table.add_column(index, name, column)
        yield replace(result, predictions=replace(part, table=table))
