"""Trains the network on streamed samples, and tunes its thresholds."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from bulklabel.model.images.decode import Samples
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.metrics.threshold_goals import tune_thresholds
from bulklabel.model.network.cnn import build_network
from bulklabel.model.network.keras_archive import network_bytes

PATIENCE = 3

Epochs = Callable[[int], Iterator[Samples]]
"""From the number of an epoch to its batches: images N×H×W×3 uint8 and truth N×L of 1 and 0."""


@dataclass(frozen=True)
class Trained:
    """Holds the bytes of `model.keras`, tuned thresholds (None without validation samples), and Keras' own metrics."""

    network: bytes
    thresholds: tuple[float, ...] | None
    evaluation: dict[str, float]


def train_network(
    training: Epochs,
    validation: Epochs | None,
    preprocessing: Preprocessing,
    labels: int,
    epochs: int,
    seed: int,
    verbose: int,
) -> Trained:
    """Fits the network, stopping early, and keeps the weights of the lowest validation loss.

    Args:
        training: the samples to learn from.
        validation: those to judge by, or None.
        preprocessing: the size of the images.
        labels: L.
        epochs: at most so many passes over the training samples.
        seed: equal seeds on equal samples give equal networks, byte for byte, on one kind of machine.
        verbose: Keras' 0 (silent), 1 (a progress bar) or 2 (a line an epoch).
    """
    keras.utils.clear_session()  # or Keras counts on in the names of what it saves
    network = build_network(preprocessing.height, preprocessing.width, labels, seed)
    shapes = (preprocessing.height, preprocessing.width, labels)
    watched = None if validation is None else _dataset(validation, *shapes)
    stopping = keras.callbacks.EarlyStopping(
        monitor="loss" if watched is None else "val_loss", patience=PATIENCE, restore_best_weights=True
    )
    network.fit(
        _dataset(training, *shapes), validation_data=watched, epochs=epochs, callbacks=[stopping], verbose=verbose
    )
    if watched is None or validation is None:
        return Trained(network_bytes(network), None, {})
    evaluation = network.evaluate(watched, return_dict=True, verbose=0)
    truth = np.concatenate([targets for _, targets in validation(0)]).astype(np.int8)
    thresholds = tune_thresholds(truth, network.predict(watched, verbose=0))
    return Trained(network_bytes(network), thresholds, {name: float(value) for name, value in evaluation.items()})


def _dataset(batches: Epochs, height: int, width: int, labels: int) -> tf.data.Dataset:
    epoch = itertools.count()
    signature = (
        tf.TensorSpec((None, height, width, 3), tf.uint8),
        tf.TensorSpec((None, labels), tf.float32),
    )
    dataset = tf.data.Dataset.from_generator(lambda: batches(next(epoch)), output_signature=signature)
    return dataset.map(lambda images, truth: (tf.cast(images, tf.float32), truth)).prefetch(2)
