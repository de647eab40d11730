"""Builds a small residual network whose size does not depend on that of its images."""

import keras
import numpy as np

from bulklabel.model.network.wrap import gray

STEM = 24
STAGES = (32, 64, 96, 160)
"""Channels; each stage halves the sides of what it is given."""

DROPOUT = 0.2

LAST_LAYER = "logits"
"""The layer of `head` that has weights."""


def build_residual(
    height: int, width: int, labels: int, seed: int, channels: int = 3, normalised: bool = True
) -> keras.Model:
    """Returns an untrained network from RGB images, N×height×width×3 in 0…255, to N×labels probabilities.

    Four residual stages (He et al., 2016) behind a stem, batch normalisation, and at the end the mean and the maximum
    over all places: 12.5 million multiplications and additions an image of 32×32 pixels, where the textbook's network
    needs 15.2. Of one channel, it makes images gray first. What is not `normalised` has shifts instead, as `folded`
    needs it.
    """
    layers = _Layers(seed, normalised)
    inputs = keras.Input((height, width, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1, name="scale")(gray(inputs) if channels == 1 else inputs)
    x = keras.layers.Activation("relu", name="stem_out")(layers.convolved(x, STEM, 3, 1, "stem"))
    for number, channels in enumerate(STAGES, start=1):
        x = layers.stage(x, channels, f"stage_{number}")
    mean = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    maximum = keras.layers.GlobalMaxPooling2D(name="maximum")(x)
    x = keras.layers.Concatenate(name="mean_and_maximum")([mean, maximum])
    return keras.Model(inputs, head(x, labels, seed), name="bulklabel_residual")


def folded(network: keras.Model) -> keras.Model:
    """Returns a residual network with the same answers, but each normalisation multiplied into its convolution.

    To normalise by means and variances that no longer change is to scale and to shift. The convolution's own weights
    can do that, and save a pass over all places: a network answers in four fifths of the time.
    """
    _, height, width, _ = network.input_shape
    channels = network.get_layer("stem").kernel.shape[2]
    same = build_residual(height, width, network.output_shape[1], 0, channels, normalised=False)
    for layer in same.layers:
        if not layer.weights:
            continue
        weights = network.get_layer(layer.name).get_weights()
        if isinstance(layer, keras.layers.Conv2D):
            norm = network.get_layer(f"{layer.name}_norm")
            gamma, beta, mean, variance = (values.astype(np.float64) for values in norm.get_weights())
            scale = gamma / np.sqrt(variance + norm.epsilon)
            weights = [weights[0] * scale, beta - mean * scale]
        layer.set_weights(weights)
    return same


def head(features: keras.KerasTensor, labels: int, seed: int) -> keras.KerasTensor:
    """Returns probabilities of labels, N×labels, from features, N×F, of which some are dropped while it learns."""
    x = keras.layers.Dropout(DROPOUT, seed=seed, name="dropout")(features)
    initializer = keras.initializers.GlorotUniform(seed)
    x = keras.layers.Dense(labels, kernel_initializer=initializer, dtype="float32", name=LAST_LAYER)(x)
    return keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")(x)


class _Layers:
    """Makes layers whose weights follow from one seed, each from a number of its own."""

    def __init__(self, seed: int, normalised: bool) -> None:
        self._seed, self._normalised = seed, normalised

    def convolved(self, x: keras.KerasTensor, channels: int, size: int, stride: int, name: str) -> keras.KerasTensor:
        """Returns a convolution, without activation, normalised or shifted."""
        self._seed += 1
        x = keras.layers.Conv2D(
            channels,
            size,
            stride,
            "same",
            use_bias=not self._normalised,
            kernel_initializer=keras.initializers.HeNormal(self._seed),
            name=name,
        )(x)
        return keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x) if self._normalised else x

    def stage(self, x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
        """Returns two convolutions, of which the first halves the sides, added to what they are given."""
        shortcut = keras.layers.AveragePooling2D(2, padding="same", name=f"{name}_pool")(x)
        shortcut = self.convolved(shortcut, channels, 1, 1, f"{name}_shortcut")
        x = keras.layers.Activation("relu", name=f"{name}_between")(self.convolved(x, channels, 3, 2, f"{name}_1"))
        x = keras.layers.Add(name=f"{name}_sum")([shortcut, self.convolved(x, channels, 3, 1, f"{name}_2")])
        return keras.layers.Activation("relu", name=f"{name}_out")(x)
