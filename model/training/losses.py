"""Defines what a network is judged by while it learns: losses and metrics over the truth that is known."""

from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bulklabel.model.labels.thresholds import DEFAULT_THRESHOLD
from bulklabel.model.labels.truth import PRESENT, UNKNOWN, Truth
from bulklabel.model.training import ASYMMETRIC, CROSSENTROPY

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""From truth and probabilities, N×L float32, to a loss a record, N."""

FOCUS, MARGIN = 4.0, 0.05
"""Of the asymmetric loss: how little easy absent labels weigh, and the probability up to which they weigh nothing."""


def masked_crossentropy(truth: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """Returns the sum of each record's losses where its truth is known, divided by L.

    The divisor is not the number of known labels, or a label would weigh more where others are unknown.

    >>> truth, probabilities = tf.constant([[1.0, -1.0], [0.0, 1.0]]), tf.fill([2, 2], 0.5)
    >>> [round(loss, 3) for loss in masked_crossentropy(truth, probabilities).numpy().tolist()]
    [0.347, 0.693]
    """
    losses = keras.ops.binary_crossentropy(keras.ops.maximum(truth, 0), probabilities)
    return _mean_of_known(truth, losses)


def asymmetric_loss(truth: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """Returns losses in which absent labels that were easy count little (Ridnik et al., 2021), over what is known.

    Such a network ranks rare labels better, and its probabilities are too high until they are calibrated.

    >>> truth, probabilities = tf.constant([[0.0, 0.0, 1.0]]), tf.constant([[0.04, 0.5, 0.5]])
    >>> round(float(asymmetric_loss(truth, probabilities)[0]), 3)
    0.239
    """
    present = tf.cast(truth == PRESENT, tf.float32)
    shifted = tf.maximum(probabilities - MARGIN, 0.0)
    losses = keras.ops.binary_crossentropy(present, present * probabilities + (1 - present) * shifted)
    return _mean_of_known(truth, losses * tf.where(truth == PRESENT, 1.0, shifted**FOCUS))


LOSS_OF: dict[str, Loss] = {CROSSENTROPY: masked_crossentropy, ASYMMETRIC: asymmetric_loss}


def _mean_of_known(truth: tf.Tensor, losses: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.where(truth != UNKNOWN, losses, 0.0), axis=-1)


def evaluate(truth: Truth, probabilities: npt.NDArray[np.float32]) -> dict[str, float]:
    """Returns the means over all that is known of N×L truth: the loss is the cross-entropy, whatever was minimised.

    >>> evaluate(np.array([[1, -1, 0]], np.int8), np.array([[0.75, 0.75, 0.75]], np.float32))["f1_micro"]
    0.6666666666666666
    """
    known = truth != UNKNOWN
    present, given = truth[known] == PRESENT, probabilities[known]
    predicted = given > DEFAULT_THRESHOLD
    wrong = np.maximum(np.where(present, 1 - given.astype(np.float64), given), 0)
    either = present.sum() + predicted.sum()
    return {
        "f1_micro": float(2 * (present & predicted).sum() / either) if either else 0.0,
        "label_accuracy": float((present == predicted).mean()),
        "loss": float(-np.log1p(-np.minimum(wrong, 1 - 1e-7)).mean()),
    }
