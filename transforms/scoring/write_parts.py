"""WriteParts: writes every part under the name that the plan gives it; writing one twice is harmless."""

import apache_beam as beam

from bulklabel.transforms.concurrency.stage_clock import WRITING, StageClock
from bulklabel.transforms.run_directory.manifest import Written
from bulklabel.transforms.run_directory.parts import PREDICTIONS, Part
from bulklabel.transforms.run_directory.places import places_digest
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.scoring.score_shards import ShardResult


class WriteParts(beam.PTransform):  # type: ignore[misc]
    """Writes the parts of one kind, `predictions` or `rejected`, and passes on what the manifest says of each."""

    def __init__(self, directory: RunDirectory, kind: str) -> None:
        super().__init__()
        self._directory = directory
        self._kind = kind

    def expand(self, results: beam.PCollection[ShardResult]) -> beam.PCollection[Written]:
        """Adds the one step; what comes out of it waits for the part to be written, and so `_SUCCESS` does."""
        return results | beam.Map(write_part, self._directory, self._kind)


def write_part(result: ShardResult, directory: RunDirectory, kind: str) -> Written:
    """Writes a shard's part unless it was committed earlier; the shard's seconds are counted with its predictions."""
    part: Part = result.predictions if kind == PREDICTIONS else result.rejected
    clock = StageClock()
    if not result.committed:
        with clock.measure(WRITING):
            if part.is_passing:  # it may replace the part of a run of this plan that has finished meanwhile
                directory.withdraw()
            directory.write(part.name, part.content)
    for stage, seconds in result.seconds.items() if kind == PREDICTIONS else ():
        clock.add(stage, seconds)
    return Written(part.entry, clock.seconds, places_digest(part.table), result.answered)
