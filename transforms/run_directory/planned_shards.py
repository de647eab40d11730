"""PlannedShards: the shards of a run, from the `plan.json` in its folder, so that no graph grows with its plan."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from bulklabel.model.errors import StoreError
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.file_names import PLAN_FILE
from bulklabel.transforms.run_directory.plan import read_plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory


class PlannedShards(beam.PTransform):  # type: ignore[misc]
    """Yields the shards of a run's plan: in order, and the same however often it is read.

    Elements of a graph travel inside of the job, and runners refuse large ones: Dataflow those of 10 MB, Flink's job
    server those that exceed a message.
    """

    def __init__(self, directory: RunDirectory) -> None:
        super().__init__()
        self._directory = directory

    def expand(self, start: beam.PCollection[Any]) -> beam.PCollection[Shard]:
        """Takes one element, whatever it is: the shards are read when it comes."""
        return start | "Read" >> beam.ParDo(_Read(self._directory))


class _Read(beam.DoFn):  # type: ignore[misc]
    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory

    def process(self, element: Any) -> Iterator[Shard]:  # noqa: ARG002
        yield from planned_shards(self._directory)


def planned_shards(directory: RunDirectory) -> Iterator[Shard]:
    """Yields the shards of the plan in a run's folder, with the files that they are read from.

    Raises:
        StoreError: if the folder is another plan's, or the plan is damaged.
    """
    path = directory.path
    content = directory.read(PLAN_FILE)
    try:
        plan = read_plan(content)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path}/{PLAN_FILE} is damaged ({error}); delete it and run the same command with --overwrite."
        ) from error
    if plan.digest != directory.stamp.plan_digest:  # replaced after `read` had checked whose it is
        raise StoreError(f"{path}: another run replaced this one's plan; give each plan its own --output.")
    yield from plan.sourced_shards()
