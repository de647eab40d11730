"""Runs a model's network on batches of one fixed shape."""

import threading

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.archive import check_shapes, load_network
from model.directory import DESCRIPTION_FILE, NETWORK_FILE, Model
from model.images import batch_size_for
from model.resizing import Pixels

Probabilities = npt.NDArray[np.float32]
"""N×L, 0…1: how probable the network finds each label of each record."""


BATCHES_AT_ONCE = 2
"""The second batch fills the cores that the first leaves idle (by 16 % on two); more would only take memory."""


class Scorer:
    """A model's network, checked, loaded and compiled for one batch shape. Safe to share by threads."""

    def __init__(self, model: Model, place: str, trusted: bool = False) -> None:
        """Load the network; `place` is the model directory, for messages, `trusted` lets code in it run.

        Raises:
            UserError: if it cannot or must not be loaded, or its shapes are not those of the images and labels.
        """
        path = f"{place}/{NETWORK_FILE}"
        network = load_network(model.network, path, trusted)
        check_shapes(network, path, model.preprocessing, len(model.labels), (DESCRIPTION_FILE, DESCRIPTION_FILE))
        self._shape = (batch_size_for(model.preprocessing), model.preprocessing.height, model.preprocessing.width, 3)
        self._turn = threading.Semaphore(BATCHES_AT_ONCE)
        self._run = tf.function(
            lambda images: tf.cast(network(tf.cast(images, tf.float32), training=False), tf.float32),
            input_signature=[tf.TensorSpec(self._shape, tf.uint8)],
        )

    @property
    def batch_size(self) -> int:
        """Images a batch."""
        return self._shape[0]

    def predict(self, pixels: Pixels) -> Probabilities:
        """Probabilities of at most one batch of images: N×H×W×3 uint8 in, N×L float32 out.

        A shorter batch is padded with black images, whose probabilities are dropped.
        """
        count = len(pixels)
        if count < self.batch_size:
            padded = np.zeros(self._shape, np.uint8)
            padded[:count] = pixels
            pixels = padded
        with self._turn:
            result: Probabilities = self._run(pixels).numpy()
        return result[:count]
