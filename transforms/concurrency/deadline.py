"""The moment after which a run begins no further shard; it decides no answer, so it is no part of the plan."""

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A moment in seconds of Unix time, and the words for it, such as `5h`."""

    moment: float
    words: str

    def __str__(self) -> str:
        """Returns the words for it, as the user gave them."""
        return self.words

    def has_passed(self) -> bool:
        """Tells whether it is that late, by this machine's clock.

        >>> Deadline(moment=0.0, words="since 1970").has_passed()
        True
        """
        return time.time() >= self.moment
