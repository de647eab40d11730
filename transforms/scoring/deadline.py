"""EndAtDeadline: fails a run that did not begin all of its shards, since its deadline had passed."""

import apache_beam as beam

from bulklabel.model.errors import DeadlineError
from bulklabel.model.statistic import Statistic
from bulklabel.transforms.concurrency.deadline import Deadline


class EndAtDeadline(beam.PTransform):  # type: ignore[misc]
    """Passes the statistic on if every shard is in it, and fails the run in one line if some were not begun.

    Failing at the first shard that is not begun would end other workers in the middle of theirs. Here all shards that
    were begun have been written, and nothing has been published yet.
    """

    def __init__(self, not_begun: beam.PCollection[int], shards: int, deadline: Deadline | None) -> None:
        super().__init__()
        self._not_begun = not_begun
        self._shards = shards
        self._deadline = deadline

    def expand(self, statistic: beam.PCollection[Statistic]) -> beam.PCollection[Statistic]:
        """Adds the count of the shards that were not begun, and the step that checks it."""
        # The check waits for the count as a side input, and so for every shard to be either scored or not begun.
        count = self._not_begun | beam.combiners.Count.Globally()
        return statistic | beam.Map(_check_complete, beam.pvalue.AsSingleton(count), self._shards, self._deadline)


def _check_complete(statistic: Statistic, not_begun: int, shards: int, deadline: Deadline | None) -> Statistic:
    if not_begun and deadline is not None:
        raise DeadlineError(
            f"the deadline of {deadline.words} has passed; {shards - not_begun:,} of {shards:,} shards are finished; "
            "run the same command again to continue."
        )
    return statistic
