"""What the scorer asks of whatever runs a network, TensorFlow or ONNX Runtime."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable

from bulklabel.model.images.resize import Pixels
from bulklabel.model.network.precision import FLOAT32, Probabilities
from bulklabel.model.versions import processor, processor_cores

BATCHES_AT_ONCE = 3
"""Two batches keep all cores busy, and the third is there when one of them is done. More would only take memory."""

THREADS = "TF_NUM_INTRAOP_THREADS"
"""The variable that says how many threads share a batch: TensorFlow's, and here that of every engine."""

RunBatch = Callable[[Pixels], Probabilities]
"""A network for batches of one size: N×H×W×3 uint8 in, N×L float32 out. Threads may share it."""


def threads_per_batch() -> int:
    """Returns how many threads share a batch: as many as `THREADS` says, or else half of this process' cores.

    Two batches at once need no more, and on two cores lose less time by waiting for each other: with one thread each,
    the textbook's network took 151 µs of the processor per image instead of 157, and ONNX Runtime 138 instead of 156.
    """
    told = os.environ.get(THREADS, "")
    return int(told) if told.isdigit() and int(told) else max(1, processor_cores() // 2)


class Engine(ABC):
    """Holds a model's network, checked and loaded, and makes it ready for batches of one size."""

    fixed_batch: int | None = None
    """The number of images that the network takes at once; None where it takes any."""

    precision: str = FLOAT32
    """What the network computes in, a name in `precision.py`."""

    @property
    def device(self) -> str:
        """The name of what computes: the processor."""
        return processor()

    @abstractmethod
    def compute_in(self, precision: str) -> None:
        """Has the network compute in a precision from now on.

        Raises:
            UserError: if it cannot.
        """

    @abstractmethod
    def compile(self, size: int) -> RunBatch:
        """Returns the network for batches of `size` images, which is `fixed_batch` where that is one."""

    @abstractmethod
    def is_out_of_memory(self, error: Exception) -> bool:
        """Tells whether an error of loading or running says that the memory does not suffice."""
