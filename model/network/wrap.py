"""Wraps a user's network into one that takes pixels of 0…255 and answers in probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from bulklabel.model.errors import UserError
from bulklabel.model.images.resize import Preprocessing


@dataclass(frozen=True)
class Scaling:
    """Says what a network was trained on: `scale * pixel + offset` for pixels of 0…255, a number a channel (RGB)."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]

    @staticmethod
    def to_range(low: float, high: float) -> "Scaling":
        """Returns the scaling that spreads pixels of 0…255 over low…high."""
        return Scaling(((high - low) / 255,) * 3, (low,) * 3)

    @staticmethod
    def normalized(mean: Sequence[float], std: Sequence[float]) -> "Scaling":
        """Returns `(pixel / 255 - mean) / std`, both in 0…1, as in torchvision and in Keras' mode "torch"."""
        return Scaling(
            tuple(1 / (255 * deviation) for deviation in std),
            tuple(-average / deviation for average, deviation in zip(mean, std, strict=True)),
        )


def wrap_network(
    network: keras.Model, path: str, preprocessing: Preprocessing, scaling: Scaling, logits: bool
) -> keras.Model:
    """Returns a network around a user's own, from RGB images, N×height×width×3 in 0…255, to probabilities.

    Args:
        network: takes scaled images of the preprocessing's size.
        path: where it came from, for messages.
        preprocessing: the size of the images.
        scaling: becomes the first layer, if it changes anything.
        logits: whether the network ends without a sigmoid, which then becomes the last layer.

    Raises:
        UserError: if it has a sigmoid already where there should be logits.
    """
    if logits and getattr(network.layers[-1], "activation", None) is keras.activations.sigmoid:
        raise UserError(f"{path} ends in a sigmoid, so its outputs are probabilities; leave out --outputs logits.")
    images = keras.Input((preprocessing.height, preprocessing.width, 3), name="bulklabel_image")
    x = images
    if scaling != Scaling.to_range(0, 255):
        x = keras.layers.Rescaling(list(scaling.scale), list(scaling.offset), dtype="float32", name="bulklabel_scale")(
            x
        )
    x = network(x)
    if logits:
        x = keras.layers.Activation("sigmoid", dtype="float32", name="bulklabel_probabilities")(x)
    return keras.Model(images, x, name="bulklabel_package")
