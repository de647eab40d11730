"""Lets a network learn from batches: the step, the mean of its weights, and its answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bulklabel.model.images.resize import Pixels
from bulklabel.model.labels.truth import UNKNOWN, Truth
from bulklabel.model.network.keras_engine import answers_of
from bulklabel.model.training.augment import augmenter
from bulklabel.model.training.losses import Loss
from bulklabel.model.training.recipe import Recipe
from bulklabel.model.training.residual import LAST_LAYER

ANSWERED = 256
"""Images in a batch that is answered, and not learnt from."""

UNDECAYED = ["bias", "gamma", "beta"]
"""Weights that are shifts and scales: to draw them to zero would only shift and scale."""

Weights = list[npt.NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class Samples:
    """Holds images, N×H×W×3, and their truth, N×L, of which something is known in each."""

    images: Pixels
    truth: Truth

    def __len__(self) -> int:
        """Returns the number of images, N."""
        return len(self.truth)

    @cached_property
    def known(self) -> float:
        """The share (0 to 1) of N×L that is known."""
        return float((self.truth != UNKNOWN).mean())

    def batches(self, size: int, seed: int, epoch: int) -> Iterator[npt.NDArray[np.int64]]:
        """Yields all rows once, in an order by the seed and the epoch, in the fewest batches of at most `size`.

        They are of equal size, give or take one: a last batch of one image would have no variance to normalise by.

        >>> samples = Samples(np.zeros((5, 1, 1, 3), np.uint8), np.zeros((5, 2), np.int8))
        >>> [len(rows) for rows in samples.batches(4, seed=0, epoch=0)]
        [3, 2]
        """
        order = np.random.default_rng([seed, epoch]).permutation(len(self))
        yield from np.array_split(order, self.steps(size))

    def steps(self, size: int) -> int:
        """Returns the number of batches of an epoch."""
        return -(-len(self) // size)


class Learner:
    """Holds a network that learns by a recipe, and the mean of its weights over the last steps.

    The mean is a network of its own (`kept`), so that nothing is ever swapped: it alone is judged and saved. It learns
    faster than the network forgets in the first steps. Without averaging it is the network itself.
    """

    def __init__(self, network: keras.Model, kept: keras.Model, recipe: Recipe, loss: Loss) -> None:
        self.network, self.kept, self.recipe = network, kept, recipe
        self._variables = (network.get_layer(LAST_LAYER) if recipe.head_only else network).trainable_variables
        self.optimizer = keras.optimizers.Adam(recipe.rate, weight_decay=recipe.decay or None)  # decoupled, as AdamW's
        self.optimizer.exclude_from_weight_decay(var_names=UNDECAYED)
        self.optimizer.build(self._variables)
        self._loss = loss
        self._step = tf.function(self._learn, reduce_retracing=True)

    @property
    def variables(self) -> list[keras.Variable]:
        """All that a step changes."""
        kept = self.kept.variables if self.kept is not self.network else []
        return [*self.network.variables, *kept, *self.optimizer.variables]

    def learn(self, images: tf.Tensor, truth: tf.Tensor, known: float, step: int, rate: float) -> tf.Tensor:
        """Takes a step, and returns the loss of its batch: the mean over N×L, divided by the share that is known."""
        self.optimizer.learning_rate.assign(rate)
        keeping = min(self.recipe.averaging, (1 + step) / (10 + step))
        return self._step(images, truth, tf.constant(1 / known, tf.float32), tf.constant(keeping, tf.float32))

    def _learn(self, images: tf.Tensor, truth: tf.Tensor, weight: tf.Tensor, keeping: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            answers = self.network(tf.cast(images, tf.float32), training=True)
            loss = tf.reduce_mean(self._loss(tf.cast(truth, tf.float32), answers)) * weight
        self.optimizer.apply(tape.gradient(loss, self._variables), self._variables)
        if self.kept is not self.network:
            for mean, now in zip(self.kept.weights, self.network.weights, strict=True):
                mean.assign(mean + (now - mean) * (1 - keeping))
        return loss


class Feeder:
    """Yields the batches of one epoch after the other, changed by the recipe while the network learns from others."""

    def __init__(self, samples: Samples, batch_size: int, seed: int, augmented: bool, flip: bool) -> None:
        self._samples, self._batch_size, self._seed = samples, batch_size, seed
        self._epoch = 0
        (height, width), labels = samples.images.shape[1:3], samples.truth.shape[1]
        dataset = tf.data.Dataset.from_generator(
            self._chosen,
            output_signature=(
                tf.TensorSpec((None, height, width, 3), tf.uint8),
                tf.TensorSpec((None, labels), tf.int8),
                tf.TensorSpec(2, tf.int32),
            ),
        )
        augment = augmenter(flip) if augmented else lambda images, _: images
        self._dataset = dataset.map(lambda images, truth, seed: (augment(images, seed), truth)).prefetch(2)

    def epoch(self, number: int) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """Yields the batches of an epoch (0, 1, …): images in 0…255, N×H×W×3, and truth, N×L."""
        self._epoch = number
        yield from self._dataset

    def _chosen(self) -> Iterator[tuple[Pixels, Truth, tuple[int, int]]]:
        for step, rows in enumerate(self._samples.batches(self._batch_size, self._seed, self._epoch)):
            yield self._samples.images[rows], self._samples.truth[rows], _image_seed(self._seed, self._epoch, step)


def _image_seed(seed: int, epoch: int, step: int) -> tuple[int, int]:
    low, high = np.random.SeedSequence([seed, epoch, step]).generate_state(2) >> 1
    return int(low), int(high)


class Answering:
    """Asks a network, compiled once, for its answers to any number of images."""

    def __init__(self, network: keras.Model) -> None:
        self._graph = tf.function(answers_of(network), reduce_retracing=True)

    def __call__(self, images: Pixels) -> npt.NDArray[np.float32]:
        """Returns the probabilities of images, N×H×W×3 in 0…255."""
        starts = range(0, len(images), ANSWERED)
        return np.concatenate([self._graph(images[start : start + ANSWERED]).numpy() for start in starts])
