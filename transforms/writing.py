"""WriteParts: every part under the name that the plan gives it; writing one twice is harmless."""

import apache_beam as beam

from transforms import files
from transforms.parts import PREDICTIONS, Part
from transforms.scoring import ShardResult


class WriteParts(beam.PTransform):  # type: ignore[misc]
    """From results to the manifest's entries of their parts of one kind, `predictions` or `rejected`."""

    def __init__(self, output: str, kind: str) -> None:
        super().__init__()
        self._output = output
        self._kind = kind

    def expand(self, results: beam.PCollection[ShardResult]) -> beam.PCollection[dict[str, str | int]]:
        """One entry a part, after the part was committed."""
        return results | beam.Map(_write, self._output, self._kind)


def _write(result: ShardResult, output: str, kind: str) -> dict[str, str | int]:
    part: Part = result.predictions if kind == PREDICTIONS else result.rejected
    if not result.committed:
        files.write(files.join(output, part.name), part.content)
    return part.entry
