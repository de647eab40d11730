"""Runs a model's network on batches of one fixed shape, which is halved where memory is short."""

import logging
import threading

import numpy as np

from bulklabel.model.errors import OutOfMemoryError
from bulklabel.model.images.decode import batch_size_for
from bulklabel.model.images.resize import Pixels
from bulklabel.model.model_directory import Model
from bulklabel.model.network.engine import BATCHES_AT_ONCE, Engine, RunBatch
from bulklabel.model.network.precision import Probabilities
from bulklabel.model.versions import KERAS

SMALLEST_BATCH = 2
"""A single image goes through other kernels (a vector, not a matrix), and its last bits are others.

With AVX-512, batches of 2 to 256 gave the same bits in all networks that were tried: ours, VGG, ResNet, MobileNet,
EfficientNet. With AVX2 alone, halves of a batch of ours and of ResNet's were up to 6e-8 apart.
"""

log = logging.getLogger("bulklabel")


class Scorer:
    """Runs a model's network, checked, loaded and compiled for one batch shape. Threads may share it."""

    def __init__(self, model: Model, place: str, trusted: bool = False) -> None:
        """Loads the network; `place` is the model directory, for messages, `trusted` lets code in it run.

        Raises:
            UserError: if it cannot or must not be loaded, or its shapes are not those of the images and labels.
        """
        self._path = f"{place}/{model.network_file}"
        self.engine = _load_engine(model, self._path, trusted)
        """What runs the network."""
        self._image_shape = (model.preprocessing.height, model.preprocessing.width, 3)
        self._turn = threading.Semaphore(BATCHES_AT_ONCE)
        self._halving = threading.Lock()
        size = self.engine.fixed_batch or batch_size_for(model.preprocessing)
        self._compiled: tuple[int, RunBatch] = size, self.engine.compile(size)

    @property
    def images_at_once(self) -> int:
        """How many images go through the network together: a batch of the plan, or less since memory ran out.

        A network that was made for batches of one size is given these.
        """
        return self._compiled[0]

    @property
    def precision(self) -> str:
        """What the network computes in: `FLOAT32`, or what a processor has besides."""
        return self.engine.precision

    @precision.setter
    def precision(self, precision: str) -> None:
        """Has the network compute in a precision from now on."""
        self.engine.compute_in(precision)

    def predict(self, pixels: Pixels) -> Probabilities:
        """Returns the probabilities of images, of any number but 0: N×H×W×3 uint8 in, N×L float32 out.

        What is missing to a whole batch is padded with black images, whose probabilities are dropped. Where the memory
        does not suffice the images go through the network in halves, for as long as the process lives; the answers are
        the same, on some processors but for the last bit.

        Raises:
            OutOfMemoryError: if it does not suffice for `SMALLEST_BATCH` images.
        """
        while True:
            size, run = self._compiled
            starts = range(0, len(pixels), size)
            try:
                with self._turn:
                    answers = [self._predict(pixels[start : start + size], size, run) for start in starts]
                    return answers[0] if len(answers) == 1 else np.concatenate(answers)
            except Exception as error:
                if not (isinstance(error, MemoryError) or self.engine.is_out_of_memory(error)):
                    raise
                self._halve(size)

    def _predict(self, pixels: Pixels, size: int, run: RunBatch) -> Probabilities:
        count = len(pixels)
        if count < size:
            padded = np.zeros((size, *self._image_shape), np.uint8)
            padded[:count] = pixels
            pixels = padded
        return run(pixels)[:count]

    def _halve(self, size: int) -> None:
        """Makes the batch smaller than `size`, unless another thread did that meanwhile."""
        with self._halving:
            if self.images_at_once < size:
                return
            if size <= SMALLEST_BATCH or self.engine.fixed_batch:
                raise OutOfMemoryError(
                    f"{self._path}: out of memory with a batch of {size}; give the process more memory, "
                    "or use fewer workers, and run the same command again to continue."
                )
            log.warning("out of memory with a batch of %d images; continuing with %d", size, size // 2)
            self._compiled = size // 2, self.engine.compile(size // 2)


def _load_engine(model: Model, path: str, trusted: bool) -> Engine:
    """Loads the network by the engine that its model names, and imports no other."""
    if model.engine == KERAS:
        from bulklabel.model.network.keras_engine import KerasEngine  # imports TensorFlow

        return KerasEngine(model, path, trusted)
    from bulklabel.model.network.onnx.onnx_engine import OnnxEngine

    return OnnxEngine(model, path)
