"""EndAtDeadline: fails a run some of whose shards were left, since its deadline had passed."""

import apache_beam as beam

from bulklabel.model.errors import DeadlineError
from bulklabel.model.statistic import Statistic
from bulklabel.transforms.concurrency.deadline import Deadline


class EndAtDeadline(beam.PTransform):  # type: ignore[misc]
    """Passes the statistic on if every shard is in it, and fails the run in one line if some were left.

    Failing where the first shard is left would end other workers in the middle of theirs. Here all shards in hand have
    been written, and nothing has been published yet.
    """

    def __init__(self, left: beam.PCollection[int], shards: int, deadline: Deadline | None) -> None:
        super().__init__()
        self._left = left
        self._shards = shards
        self._deadline = deadline

    def expand(self, statistic: beam.PCollection[Statistic]) -> beam.PCollection[Statistic]:
        """One statistic in, the same out."""
        left = self._left | beam.combiners.Count.Globally()
        return statistic | beam.Map(_of_all, beam.pvalue.AsSingleton(left), self._shards, self._deadline)


def _of_all(statistic: Statistic, left: int, shards: int, deadline: Deadline | None) -> Statistic:
    if left and deadline is not None:
        raise DeadlineError(
            f"the deadline of {deadline.words} has passed; {shards - left:,} of {shards:,} shards are finished; "
            "run the same command again to continue."
        )
    return statistic
