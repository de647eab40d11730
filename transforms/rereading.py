"""A finished run read again: its parts, and truth from elsewhere put in place of what they hold."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.errors import UserError
from bulklabel.model.labels.predictions import LABELS, TRUTH
from bulklabel.transforms import files
from bulklabel.transforms.once import OncePerProcess
from bulklabel.transforms.parts import KINDS, PREDICTIONS, REJECTED, Part, PartStamp, read_part
from bulklabel.transforms.paths import in_threads, raise_if_the_store_failed
from bulklabel.transforms.plan import Plan, read_plan
from bulklabel.transforms.planning import MANIFEST_FILE, PLAN_FILE
from bulklabel.transforms.records import Shard
from bulklabel.transforms.scoring import ShardResult
from bulklabel.transforms.truth import TruthTable


def load_run(output: str) -> Plan:
    """The plan of a run that was published.

    Raises:
        UserError: if there is none, or it has not finished.
    """
    place = files.absolute(output)
    for name in (MANIFEST_FILE, PLAN_FILE):
        if not files.exists(files.join(place, name)):
            raise UserError(
                f"{output} is not a finished run: {name} is missing; give an --output of `bulklabel score`."
            )
    try:
        return read_plan(files.read(files.join(place, PLAN_FILE)))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{output}/{PLAN_FILE} cannot be read ({error}); score again with --overwrite.") from error


@dataclass(frozen=True)
class Run:
    """A run that was published: the path as the user named it, where that is, its plan, and its manifest."""

    path: str
    place: str
    plan: Plan
    manifest: dict[str, Any]

    @property
    def scored(self) -> int:
        """How many records it scored."""
        return int(self.manifest["counts"]["scored"])


def find_run(output: str) -> Run:
    """A run that was published.

    Raises:
        UserError: if there is none, it has not finished, or its manifest cannot be read.
    """
    plan, place = load_run(output), files.absolute(output)
    try:
        run = Run(output, place, plan, json.loads(files.read(files.join(place, MANIFEST_FILE))))
        _ = run.scored
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{output}/{MANIFEST_FILE} cannot be read ({error}); score again with --overwrite.") from error
    return run


def truth_used(output: str, plan: Plan, truth: TruthTable) -> int:
    """How many rows of the truth are of records in a run, be they scored or rejected; reads nothing but their ids."""
    used = np.zeros(len(truth.rows), bool)
    names = [files.join(output, plan.stamp.name(kind, shard)) for shard in plan.shards for kind in KINDS]
    for ids in in_threads(_ids, names):
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
        raise_if_the_store_failed(error)
        return []
    return ids


class ReadParts(beam.DoFn):  # type: ignore[misc]
    """From a shard to what it became."""

    def __init__(self, output: str, stamp: PartStamp) -> None:
        self._output = output
        self._stamp = stamp

    def process(self, shard: Shard) -> Iterator[ShardResult]:
        """One shard, one result.

        Raises:
            UserError: if one of its parts is missing or damaged.
        """
        yield ShardResult(shard, self._read(PREDICTIONS, shard), self._read(REJECTED, shard), committed=True)

    def _read(self, kind: str, shard: Shard) -> Part:
        part = read_part(self._output, kind, shard, self._stamp)
        if part is None:
            name = files.join(self._output, self._stamp.name(kind, shard))
            raise UserError(f"{name} is missing or damaged; run the same `bulklabel score` again to mend it.")
        return part


class JoinTruth(beam.DoFn):  # type: ignore[misc]
    """Puts truth from elsewhere in place of a result's own; null for the ids that are not in it."""

    def __init__(self, truth: OncePerProcess[TruthTable]) -> None:
        self._truth = truth

    def process(self, result: ShardResult) -> Iterator[ShardResult]:
        """One result, one result."""
        part = result.predictions
        place = part.table.column_names.index(LABELS)
        table = part.table.drop_columns([name for name in TRUTH if name in part.table.column_names])
        for name, column in reversed(self._truth.get().of(table.column("id").to_pylist()).items()):
            table = table.add_column(place, name, column)
        yield replace(result, predictions=replace(part, table=table))
