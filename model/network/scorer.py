"""Runs a model's network on batches of one fixed shape, which is halved where memory is short."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.config_pb2 import ConfigProto
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.eager import context as eager

from bulklabel.model.errors import OutOfMemoryError
from bulklabel.model.images.decode import batch_size_for
from bulklabel.model.images.resize import Pixels
from bulklabel.model.model_directory import DESCRIPTION_FILE, NETWORK_FILE, Model
from bulklabel.model.network.keras_archive import check_shapes, load_network
from bulklabel.model.network.precision import FLOAT32, Probabilities

BATCHES_AT_ONCE = 2
"""The second batch fills the cores that the first leaves idle (by 16 % on two); more would only take memory."""

SMALLEST_BATCH = 2
"""A single image goes through other kernels (a vector, not a matrix), and its last bits are others. Batches
of 2 to 256 gave the same bits in all networks that were tried: ours, VGG, ResNet, MobileNet, EfficientNet.
"""

log = logging.getLogger("bulklabel")

RunBatch = Callable[[Pixels], tf.Tensor]
"""The network, compiled for one batch shape."""


@contextlib.contextmanager
def _computing_in(precision: str) -> Iterator[None]:
    """Has graphs that this thread runs compute in a precision, and leaves all else in the process as it is.

    TensorFlow's public option is the whole process's: a network that is trained after a run would be rounded by it.
    """
    if precision == FLOAT32:
        yield
        return
    context = eager.context()
    before = context.function_call_options
    config = ConfigProto.FromString(before.config_proto_serialized)
    config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = RewriterConfig.ON
    context.function_call_options = eager.FunctionCallOptions(before.executor_type, config)
    try:
        yield
    finally:
        context.function_call_options = before


class Scorer:
    """Runs a model's network, checked, loaded and compiled for one batch shape. Threads may share it."""

    def __init__(self, model: Model, place: str, trusted: bool = False) -> None:
        """Loads the network; `place` is the model directory, for messages, `trusted` lets code in it run.

        Raises:
            UserError: if it cannot or must not be loaded, or its shapes are not those of the images and labels.
        """
        self._path = f"{place}/{NETWORK_FILE}"
        self._network = load_network(model.network, self._path, trusted)
        check_shapes(
            self._network, self._path, model.preprocessing, len(model.labels), (DESCRIPTION_FILE, DESCRIPTION_FILE)
        )
        self._image_shape = (model.preprocessing.height, model.preprocessing.width, 3)
        self._turn = threading.Semaphore(BATCHES_AT_ONCE)
        self._halving = threading.Lock()
        self.batch_size = batch_size_for(model.preprocessing)
        """Images a batch of the plan."""
        self.precision = FLOAT32
        """`FLOAT32`, or `BFLOAT16` on a processor that computes in it."""
        self._compiled = self._compile(self.batch_size)

    @property
    def images_at_once(self) -> int:
        """How many images go through the network together: a batch of the plan, or less since memory ran out."""
        return self._compiled[0]

    def predict(self, pixels: Pixels) -> Probabilities:
        """Returns the probabilities of images, of any number but 0: N×H×W×3 uint8 in, N×L float32 out.

        What is missing to a whole batch is padded with black images, whose probabilities are dropped. Where the memory
        does not suffice the images go through the network in halves, for as long as the process lives; the answers are
        the same.

        Raises:
            OutOfMemoryError: if it does not suffice for `SMALLEST_BATCH` images.
        """
        while True:
            size, run = self._compiled
            starts = range(0, len(pixels), size)
            try:
                with self._turn, _computing_in(self.precision):
                    answers = [self._predict(pixels[start : start + size], size, run) for start in starts]
                    return answers[0] if len(answers) == 1 else np.concatenate(answers)
            except (MemoryError, tf.errors.ResourceExhaustedError, tf.errors.AbortedError) as error:
                if isinstance(error, tf.errors.AbortedError) and "a primitive" not in str(error):
                    raise  # oneDNN says so where it finds no memory for its code or its scratch space
                self._halve(size)

    def _predict(self, pixels: Pixels, size: int, run: RunBatch) -> Probabilities:
        count = len(pixels)
        if count < size:
            padded = np.zeros((size, *self._image_shape), np.uint8)
            padded[:count] = pixels
            pixels = padded
        result: Probabilities = run(pixels).numpy()
        return result[:count]

    def _halve(self, size: int) -> None:
        """Makes the batch smaller than `size`, unless another thread did that meanwhile."""
        with self._halving:
            if self.images_at_once < size:
                return
            if size <= SMALLEST_BATCH:
                raise OutOfMemoryError(
                    f"{self._path}: out of memory with a batch of {size}; give the process more memory, "
                    "or use fewer workers, and run the same command again to continue."
                )
            log.warning("out of memory with a batch of %d images; going on with %d", size, size // 2)
            self._compiled = self._compile(size // 2)

    def _compile(self, size: int) -> tuple[int, RunBatch]:
        """Compiles one graph for one shape: TensorFlow would warn of tracing too many of a process's networks."""
        network = self._network
        graph = tf.function(
            lambda images: tf.cast(network(tf.cast(images, tf.float32), training=False), tf.float32),
            input_signature=[tf.TensorSpec((size, *self._image_shape), tf.uint8)],
        ).get_concrete_function()
        return size, lambda images: graph(tf.constant(images))
