"""PlannedShards: the shards of a run, from the `plan.json` at its output, so that no graph grows with its plan."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from bulklabel.model.errors import StoreError
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.file_names import PLAN_FILE
from bulklabel.transforms.run_directory.ownership import read_claimed
from bulklabel.transforms.run_directory.plan import read_plan


class PlannedShards(beam.PTransform):  # type: ignore[misc]
    """The shards of the plan of a digest, which is at an output: in order, and the same however often it is read.

    Elements of a graph travel inside of the job, and runners refuse large ones: Dataflow those of 10 MB, Flink's job
    server those that exceed a message.
    """

    def __init__(self, output: str, digest: str) -> None:
        super().__init__()
        self._output = output
        self._digest = digest

    def expand(self, start: beam.PCollection[Any]) -> beam.PCollection[Shard]:
        """One element in, whatever it is: it says that it is time."""
        return start | "Read" >> beam.ParDo(_Read(self._output, self._digest))


class _Read(beam.DoFn):  # type: ignore[misc]
    def __init__(self, output: str, digest: str) -> None:
        self._output = output
        self._digest = digest

    def process(self, element: Any) -> Iterator[Shard]:  # noqa: ARG002
        digest = self._digest
        content = read_claimed(self._output, digest, PLAN_FILE)
        try:
            plan = read_plan(content)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{self._output}/{PLAN_FILE} is damaged ({error}); delete it and run the same command with --overwrite."
            ) from error
        if plan.digest != digest:  # it was replaced between two looks
            raise StoreError(f"{self._output}: another run replaced this one's plan; give each plan its own --output.")
        yield from plan.shards
