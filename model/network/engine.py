"""What the scorer asks of whatever runs a network, TensorFlow or ONNX Runtime."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from bulklabel.model.images.resize import Pixels
from bulklabel.model.network.precision import FLOAT32, Probabilities
from bulklabel.model.versions import processor

RunBatch = Callable[[Pixels], Probabilities]
"""A network for batches of one size: N×H×W×3 uint8 in, N×L float32 out. Threads may share it."""


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
