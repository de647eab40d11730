"""The answers of an earlier run made into this one's: the same probabilities, with this run's thresholds and layout."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.errors import StoreError, UserError
from model.predictions import REJECTED as REJECTED_ROWS
from model.predictions import predictions_table, probabilities_of
from transforms import files
from transforms.parts import PREDICTIONS, REJECTED, PartStamp, read_part
from transforms.paths import raise_if_the_store_failed
from transforms.plan import Recipe
from transforms.records import Shard
from transforms.rows import clean


def taken_over(shard: Shard, recipe: Recipe) -> tuple[pa.Table, pa.Table]:
    """The predictions and the rejected rows of a shard with `reused`, as if they had been made for this recipe.

    Raises:
        StoreError: if a part of the earlier run is missing or damaged.
    """
    table = _wanted(_rows(PREDICTIONS, shard, recipe), shard)
    records = table.select([name for name in recipe.columns.schema.names if name != "image"])
    probabilities = probabilities_of(table, recipe.labels)
    predictions = predictions_table(records, probabilities, recipe.thresholds, recipe.labels, recipe.layout)
    rejected = _wanted(_rows(REJECTED, shard, recipe), shard).cast(REJECTED_ROWS)
    return predictions.combine_chunks(), rejected.combine_chunks()


def _rows(kind: str, shard: Shard, recipe: Recipe) -> pa.Table:
    if shard.reused is None:
        raise ValueError(f"shard {shard.index} is not an earlier run's")
    run, there = recipe.since[shard.reused[0]], replace(shard, index=shard.reused[1])
    stamp = PartStamp(run.plan_digest, recipe.model_digest, run.shards)
    part = read_part(run.place, kind, there, stamp)
    if part is None:
        raise StoreError(lost(run.place, stamp.name(kind, there)))
    return part.table


def lost(run: str, name: str) -> str:
    """What to say of a part of a finished run that cannot be read."""
    mended = f"delete {run}/_SUCCESS and run its command again to mend it"
    return f"{files.join(run, name)} is missing or damaged; {mended}, or score without --since {run}."


def _wanted(table: pa.Table, shard: Shard) -> pa.Table:
    """The rows of the files that are wanted: of an image folder's shard perhaps not all."""
    if not shard.names:
        return table
    sources = pa.array([clean(files.join(shard.source, name)) for name in shard.names], pa.string())
    return table.filter(pc.is_in(table.column("source"), value_set=sources))


def rows_of_sources(run: str, name: str, shard: Shard) -> int:
    """How many rows of a part are of the files of a shard; reads nothing but where its rows come from.

    Raises:
        UserError: if it is missing or damaged.
    """
    try:
        with files.open_file(files.join(run, name)) as source:
            return len(_wanted(pq.ParquetFile(source).read(["source"]), shard))
    except (pa.ArrowException, OSError) as error:
        if not isinstance(error, FileNotFoundError):
            raise_if_the_store_failed(error)
        raise UserError(lost(run, name)) from error
