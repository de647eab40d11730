"""Trains the network on what is known of streamed samples, and tunes its thresholds."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bulklabel.model.images.resize import Pixels, Preprocessing
from bulklabel.model.labels.thresholds import DEFAULT_THRESHOLD
from bulklabel.model.labels.truth import PRESENT, UNKNOWN, Truth
from bulklabel.model.metrics.threshold_goals import tune_thresholds
from bulklabel.model.network.keras_archive import network_bytes
from bulklabel.model.training.textbook import build_network

PATIENCE = 3

Samples = tuple[Pixels, Truth]
"""Images to learn from, N×H×W×3, and their truth, N×L."""

Epochs = Callable[[int], Iterator[Samples]]
"""From the number of an epoch to its batches."""


@dataclass(frozen=True)
class Side:
    """Holds the batches of one side of the data, and which share of its truth is known (above 0, to 1)."""

    epochs: Epochs
    known: float


@dataclass(frozen=True)
class Trained:
    """Holds the bytes of `model.keras`, tuned thresholds, and metrics by name; the last two of validation samples.

    Without such samples there are no thresholds (None), nor metrics.
    """

    network: bytes
    thresholds: tuple[float, ...] | None
    evaluation: dict[str, float]


def train_network(
    training: Side,
    validation: Side | None,
    preprocessing: Preprocessing,
    labels: int,
    epochs: int,
    seed: int,
    verbose: int,
) -> Trained:
    """Fits the network, stopping early, and keeps the weights of the lowest validation loss.

    Truth that is unknown counts in none of loss, gradients, metrics and thresholds.

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
    learner = _learner(network)
    learner.fit(
        _dataset(training, *shapes), validation_data=watched, epochs=epochs, callbacks=[stopping], verbose=verbose
    )
    if validation is None:
        return Trained(network_bytes(network), None, {})
    truth = np.concatenate([truth for _, truth in validation.epochs(0)])
    probabilities = learner.predict(watched, verbose=0)
    return Trained(network_bytes(network), tune_thresholds(truth, probabilities), evaluate(truth, probabilities))


def _learner(network: keras.Model) -> keras.Model:
    """Returns a model of the same layers and optimizer that leaves unknown truth out.

    The network itself is saved as it was compiled, with Keras' own loss and metrics: anyone can load it without us.
    """
    learner = keras.Model(network.inputs, network.outputs)
    learner.compile(
        optimizer=network.optimizer,
        loss=masked_crossentropy,
        metrics=[KnownAccuracy("label_accuracy"), KnownF1("f1_micro")],
    )
    return learner


def masked_crossentropy(truth: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """Returns the sum of each record's losses where its truth is known, divided by L.

    The divisor is not the number of known labels, or a label would weigh more where others are unknown.

    >>> truth, probabilities = tf.constant([[1.0, -1.0], [0.0, 1.0]]), tf.fill([2, 2], 0.5)
    >>> [round(loss, 3) for loss in masked_crossentropy(truth, probabilities).numpy().tolist()]
    [0.347, 0.693]
    """
    known = truth != UNKNOWN
    losses = keras.ops.binary_crossentropy(keras.ops.maximum(truth, 0), probabilities)
    return keras.ops.mean(keras.ops.where(known, losses, 0), axis=-1)


class KnownAccuracy(keras.metrics.BinaryAccuracy):  # type: ignore[misc]
    """Averages over the cells of N×L truth that are known."""

    def update_state(self, truth: tf.Tensor, probabilities: tf.Tensor, sample_weight: None = None) -> None:  # noqa: ARG002
        """Adds a batch: its cells, and not its records, are weighted."""
        super().update_state(truth, probabilities, sample_weight=truth != UNKNOWN)


class KnownF1(keras.metrics.F1Score):  # type: ignore[misc]
    """Counts the cells of N×L truth that are known."""

    def __init__(self, name: str) -> None:
        super().__init__("micro", DEFAULT_THRESHOLD, name)

    def update_state(self, truth: tf.Tensor, probabilities: tf.Tensor, sample_weight: None = None) -> None:  # noqa: ARG002
        """Adds a batch; a cell that is neither present nor predicted adds nothing."""
        super().update_state(truth == PRESENT, keras.ops.where(truth != UNKNOWN, probabilities, 0))


def evaluate(truth: Truth, probabilities: npt.NDArray[np.float32]) -> dict[str, float]:
    """Returns the means over all that is known of N×L truth, under the names that they have while the network learns.

    >>> evaluate(np.array([[1, -1, 0]], np.int8), np.array([[0.75, 0.75, 0.75]], np.float32))["f1_micro"]
    0.6666666666666666
    """
    known = truth != UNKNOWN
    present, predicted = truth[known] == PRESENT, probabilities[known] > DEFAULT_THRESHOLD
    loss = keras.losses.binary_crossentropy(present, probabilities[known])
    either = present.sum() + predicted.sum()
    return {
        "f1_micro": float(2 * (present & predicted).sum() / either) if either else 0.0,
        "label_accuracy": float((present == predicted).mean()),
        "loss": float(loss),
    }


def _dataset(side: Side, height: int, width: int, labels: int) -> tf.data.Dataset:
    """Returns the samples as Keras takes them: the losses are weighted so that their mean is one over what is known."""
    epoch = itertools.count()
    signature = (
        tf.TensorSpec((None, height, width, 3), tf.uint8),
        tf.TensorSpec((None, labels), tf.int8),
    )
    dataset = tf.data.Dataset.from_generator(lambda: side.epochs(next(epoch)), output_signature=signature)
    return dataset.map(
        lambda images, truth: (
            tf.cast(images, tf.float32),
            tf.cast(truth, tf.float32),
            tf.fill([tf.shape(truth)[0]], 1 / side.known),
        )
    ).prefetch(2)
