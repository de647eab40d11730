"""The answers of an earlier run made into this one's: the same probabilities, with this run's thresholds and layout."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bulklabel.model.errors import StoreError
from bulklabel.model.labels.predictions import KIND_COLUMN, kinds_of, predictions_table, probabilities_of, with_kinds
from bulklabel.transforms.files import files
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.finished_run import FinishedRun
from bulklabel.transforms.run_directory.part_tables import rejected_schema
from bulklabel.transforms.run_directory.parts import PART_KINDS, PASSING_REASONS, PREDICTIONS, REJECTED, PartStamp
from bulklabel.transforms.run_directory.plan import EarlierRun, Recipe
from bulklabel.transforms.run_directory.run_directory import RunDirectory


def carried_over(shard: Shard, recipe: Recipe) -> tuple[pa.Table, pa.Table]:
    """Returns predictions and rejected rows of a shard with `reused`, as if they had been made for this recipe.

    Raises:
        StoreError: if a part of the earlier run is missing or damaged.
    """
    earlier = _rows(PREDICTIONS, shard, recipe)
    table = _wanted(with_kinds(earlier, kinds_of(earlier)), shard)
    records = table.select([*recipe.schema.names, KIND_COLUMN.name])
    probabilities = probabilities_of(table, recipe.labels)
    predictions = predictions_table(records, probabilities, recipe.thresholds, recipe.labels, recipe.layout)
    schema = rejected_schema(recipe)  # the earlier run may have known its images by their bytes, and this one not
    rejected = _wanted(_rows(REJECTED, shard, recipe), shard).select(schema.names).cast(schema)
    return predictions, rejected


def _rows(kind: str, shard: Shard, recipe: Recipe) -> pa.Table:
    if shard.reused is None:
        raise ValueError(f"shard {shard.index} is not an earlier run's")
    number, index = shard.reused
    return earlier_part(recipe.since[number], recipe.model_digest, kind, index)


def earlier_part(run: EarlierRun, model_digest: str, kind: str, index: int) -> pa.Table:
    """Returns the rows of one kind, `predictions` or `rejected`, of the shard with this index of an earlier run.

    Raises:
        StoreError: if its part is missing or damaged.
    """
    directory = RunDirectory(run.place, PartStamp(run.plan_digest, model_digest, run.shards))
    part = directory.read_part(kind, Shard(index, run.place, 0, None, 0, None))
    if part is None:
        raise _lost(run.place, directory.stamp.name_of(kind, index))
    return part.table


def read_column(run: str, part: str, column: str) -> pa.Table:
    """Returns one column of a part of a run.

    Raises:
        StoreError: if the part is missing or damaged.
    """
    try:
        with files.open_file(files.join(run, part)) as source:
            return pq.ParquetFile(source).read([column])
    except (pa.ArrowException, OSError) as error:
        if not isinstance(error, FileNotFoundError):
            raise_if_store_failed(error)
        raise _lost(run, part) from error


def _lost(run: str, part: str) -> StoreError:
    mended = f"delete {run}/_SUCCESS and run its command again to repair it"
    return StoreError(f"{files.join(run, part)} is missing or damaged; {mended}, or score without --since {run}.")


def _wanted(table: pa.Table, shard: Shard) -> pa.Table:
    """Returns the rows of a shard's files: of an image folder the part may have more."""
    if not shard.names:
        return table
    sources = pa.array([escape_surrogates(files.join(shard.source, name)) for name in shard.names], pa.string())
    return table.filter(pc.is_in(table.column("source"), value_set=sources))


def sources_of(run: FinishedRun, shard: Shard) -> set[str]:
    """Returns the files of which a run's parts of a shard have a row.

    Raises:
        StoreError: if a part is missing or damaged.
    """
    names = [run.plan.stamp.name(kind, shard) for kind in PART_KINDS]
    columns = [read_column(run.directory.path, name, "source").column(0).to_pylist() for name in names]
    return {source for column in columns for source in column}


def passing_sources_of(run: FinishedRun, shard: Shard) -> set[str]:
    """Returns the files of a run's shard of which records were rejected that another try may score.

    Raises:
        StoreError: if its part of rejected records is missing or damaged.
    """
    name = run.plan.stamp.name(REJECTED, shard)
    sources, reasons = (read_column(run.directory.path, name, column)[0].to_pylist() for column in ("source", "reason"))
    return {source for source, reason in zip(sources, reasons, strict=True) if reason in PASSING_REASONS}


def rows_of_sources(run: str, name: str, shard: Shard) -> int:
    """Counts the rows of a part that are of a shard's files; reads nothing but the column `source`.

    Raises:
        StoreError: if it is missing or damaged.
    """
    return len(_wanted(read_column(run, name, "source"), shard))
