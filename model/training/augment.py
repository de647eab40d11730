"""Changes images as a camera, or whoever drew them, might have: place, size, angle, light, colour; sides on request."""

import math
from collections.abc import Callable

import tensorflow as tf

SHIFT = 0.1
"""The most by which an image is moved, as a share of its sides."""

ZOOM = 0.2
"""The most by which its size changes, as a logarithm: to 0.82 or 1.22 of it."""

ANGLE = 0.17
"""The most by which it is turned, in radians: ten degrees."""

BRIGHTNESS = 32.0
"""The most that is added to all of its values, or taken from them."""

CONTRAST = 0.3
"""The most by which their spread changes, as a logarithm."""

HUE = 0.4
"""The most by which its hues are turned, in radians: 23 of the 120 degrees between red and green."""

SATURATION = 0.7
"""The most by which its colours become stronger or weaker, as a logarithm: to half or twice of what they were."""

Augment = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""From images, N×H×W×3 in 0…255, and a seed of two numbers to other images, float32."""


def augmenter(flip: bool) -> Augment:
    """Returns the function that changes images, the same from the same seed; `flip` has it mirror half of them."""

    def augment(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        images = tf.cast(images, tf.float32)
        drawn = tf.unstack(tf.random.stateless_uniform((9, tf.shape(images)[0]), seed, -1.0, 1.0))
        return _relit(_recoloured(_moved(images, drawn[:5], flip), drawn[5], drawn[6]), drawn[7], drawn[8])

    return augment


def _moved(images: tf.Tensor, drawn: list[tf.Tensor], flip: bool) -> tf.Tensor:
    """Samples each image where an affine map of its own leads; beyond its edges lie their own pixels again."""
    height, width = (tf.cast(tf.shape(images)[axis], tf.float32) for axis in (1, 2))
    down, across, size, angle, side = drawn
    scale = tf.exp(ZOOM * size)
    mirror = tf.where(side < 0, -1.0, 1.0) if flip else tf.ones_like(side)
    cosine, sine = scale * tf.cos(ANGLE * angle), scale * tf.sin(ANGLE * angle)
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    zero = tf.zeros_like(side)
    maps = tf.stack(
        [
            cosine * mirror,
            -sine,
            middle_x - cosine * mirror * middle_x + sine * middle_y + SHIFT * across * width,
            sine * mirror,
            cosine,
            middle_y - sine * mirror * middle_x - cosine * middle_y + SHIFT * down * height,
            zero,
            zero,
        ],
        axis=1,
    )
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=maps,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


def _recoloured(images: tf.Tensor, hue: tf.Tensor, saturation: tf.Tensor) -> tf.Tensor:
    """Turns each image's colours around the axis from black to white, and scales their distance from it.

    So gray stays gray, and films and scans are left as they are; and all pixels of an image change alike.
    """
    angle, scale = (tf.reshape(values, (-1, 1, 1, 1)) for values in (HUE * hue, tf.exp(SATURATION * saturation)))
    gray = tf.reduce_mean(images, axis=3, keepdims=True)
    colour = images - gray
    across = (tf.roll(colour, 1, axis=3) - tf.roll(colour, -1, axis=3)) / math.sqrt(3)  # as long, at a right angle
    return gray + scale * (tf.cos(angle) * colour + tf.sin(angle) * across)


def _relit(images: tf.Tensor, light: tf.Tensor, spread: tf.Tensor) -> tf.Tensor:
    light, spread = (tf.reshape(values, (-1, 1, 1, 1)) for values in (BRIGHTNESS * light, tf.exp(CONTRAST * spread)))
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    return tf.clip_by_value((images - mean) * spread + mean + light, 0.0, 255.0)
