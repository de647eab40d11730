"""Runs a model's network on batches of one fixed shape."""

import os
import tempfile
import threading

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.directory import NETWORK_FILE, Model
from model.errors import UserError
from model.images import Pixels, batch_size_for

Probabilities = npt.NDArray[np.float32]
"""N×L, 0…1: how probable the network finds each label of each record."""


BATCHES_AT_ONCE = 2
"""The second batch fills the cores that the first leaves idle (by 16 % on two); more would only take memory."""


class Scorer:
    """A model's network, loaded with Keras' safe mode and compiled for one batch shape. Safe to share by threads."""

    def __init__(self, model: Model, place: str) -> None:
        """Load the network; `place` is the model directory, for messages.

        Raises:
            UserError: if Keras refuses it, or its shapes are not those of the model's images and labels.
        """
        network = _load_network(model, place)
        self._shape = (batch_size_for(model.preprocessing), model.preprocessing.height, model.preprocessing.width, 3)
        self._turn = threading.Semaphore(BATCHES_AT_ONCE)
        self._run = tf.function(
            lambda images: network(tf.cast(images, tf.float32), training=False),
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


def _load_network(model: Model, place: str) -> keras.Model:
    path = f"{place}/{NETWORK_FILE}"
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, NETWORK_FILE)  # Keras loads from files only
        with open(local, "wb") as file:
            file.write(model.network)
        try:
            network = keras.saving.load_model(local, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises many types on a damaged or an unsafe file
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(
                f"{path} cannot be loaded by Keras ({reason}); write the model directory again with `bulklabel train`."
            ) from error
    size = model.preprocessing
    inputs, outputs = tuple(network.input_shape), tuple(network.output_shape)
    if inputs not in ((None, size.height, size.width, 3), (None, None, None, 3)):
        raise UserError(
            f"{path} takes images of the shape {inputs[1:]}, but model.json says image_size "
            f"[{size.height}, {size.width}]; make them agree."
        )
    if outputs != (None, len(model.labels)):
        raise UserError(
            f"{path} has outputs of the shape {outputs[1:]}, but model.json lists {len(model.labels)} labels; "
            "list one label for each output, in the network's order."
        )
    return network
