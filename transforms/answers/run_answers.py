"""Reads the answers of a finished run from its parts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.errors import UserError
from bulklabel.transforms.answers.answers import Answers
from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.files import files
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.finished_run import FinishedRun
from bulklabel.transforms.run_directory.manifest import provenance_of
from bulklabel.transforms.run_directory.parts import PREDICTIONS, REJECTED, Part
from bulklabel.transforms.run_directory.planned_shards import planned_shards
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.scoring.score_shards import ShardResult

RUN, PLAN = "run", "plan"
"""What an evaluation's manifest keeps of a run: its folder, absolute, and the digest of its plan."""


@dataclass(frozen=True)
class PartReader:
    """Reads the two parts of each shard of a run."""

    directory: RunDirectory

    def carrying(self, columns: Sequence[str]) -> "PartReader":  # noqa: ARG002
        """Returns itself: parts are read whole."""
        return self

    def shards(self) -> Iterator[Shard]:
        """Yields the shards of the run's plan."""
        return planned_shards(self.directory)

    def read(self, shard: Shard) -> Iterator[ShardResult]:
        """Yields the shard's result.

        Raises:
            UserError: if one of its parts is missing or damaged.
        """
        yield ShardResult(shard, self._part(PREDICTIONS, shard), self._part(REJECTED, shard), committed=True)

    def ids(self) -> Iterator[str]:
        """Yields the ids in the parts, and reads nothing else of them."""
        return chain.from_iterable(
            map_in_threads(_ids, [self.directory.path_of(name) for name in self.directory.stamp.names])
        )

    def scored_ids(self, shard: int) -> list[str]:
        """Returns the ids in a shard's part of predictions; none if it cannot be read."""
        part = self.directory.read_part(PREDICTIONS, Shard(shard, self.directory.path, 0, None, 0, None))
        return [] if part is None else list(part.table.column("id").to_pylist())

    def _part(self, kind: str, shard: Shard) -> Part:
        part = self.directory.read_part(kind, shard)
        if part is None:
            name = self.directory.path_of(self.directory.stamp.name(kind, shard))
            raise UserError(f"{name} is missing or damaged; run the same `bulklabel score` again to repair it.")
        return part


def run_answers(run: FinishedRun) -> Answers:
    """Returns the answers of a run, by its own thresholds and truth."""
    recipe, manifest = run.plan.recipe, run.manifest
    return Answers(
        path=run.path,
        labels=recipe.labels,
        thresholds=recipe.thresholds,
        reader=PartReader(run.directory),
        records=int(manifest["counts"]["records"]),
        origin={RUN: run.directory.path, PLAN: run.plan.digest},
        about=provenance_of(run.plan, manifest["model"]),
        carried=recipe.columns.carry,
        counts=manifest["counts"],
        truth_words=run.plan.truth,
        tuned_thresholds=recipe.tuned_thresholds,
        group_by=run.group_by,
        recipe=recipe,
    )


def _ids(part: str) -> list[str]:
    """Reads the ids of a part; none if it cannot be read, which is reported when it is read as a whole."""
    try:
        with files.open_file(part) as source:
            ids: list[str] = pq.ParquetFile(source).read(["id"]).column("id").to_pylist()
    except FileNotFoundError:
        return []
    except (pa.ArrowException, OSError) as error:
        raise_if_store_failed(error)
        return []
    return ids
