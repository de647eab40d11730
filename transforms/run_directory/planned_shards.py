"""Lists shards in a worker, those of a run from the `plan.json` in its folder, so that no graph grows with its plan."""

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam

from bulklabel.model.errors import StoreError
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.file_names import PLAN_FILE
from bulklabel.transforms.run_directory.plan import read_plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory


class ListShards(beam.PTransform):  # type: ignore[misc]
    """Yields the shards that a function lists, in order and the same each time: a worker calls it.

    Elements of a graph travel inside of the job, and runners refuse large ones: Dataflow those of 10 MB, Flink's job
    server those that exceed a message.
    """

    def __init__(self, list_shards: Callable[[], Iterator[Shard]]) -> None:
        super().__init__()
        self._list_shards = list_shards

    def expand(self, start: beam.PCollection[Any]) -> beam.PCollection[Shard]:
        """Takes one element, whatever it is: the shards are listed when it comes."""
        return start | "List" >> beam.FlatMap(_listed, self._list_shards)


def _listed(element: Any, list_shards: Callable[[], Iterator[Shard]]) -> Iterator[Shard]:  # noqa: ARG001
    return list_shards()


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
