"""Builds the textbook's convolutional network: one sigmoid a label."""

import keras

from bulklabel.model.network.wrap import gray


def build_textbook(height: int, width: int, labels: int, seed: int, channels: int = 3) -> keras.Model:
    """Returns an untrained network from RGB images, N×height×width×3 in 0…255, to N×labels probabilities.

    Scaling is its first layer, behind a conversion to gray if there is one channel, so that the saved network alone
    reproduces every answer.
    """
    initializer = keras.initializers.GlorotUniform
    inputs = keras.Input((height, width, 3), name="image")
    x = keras.layers.Rescaling(1 / 255, name="scale")(gray(inputs) if channels == 1 else inputs)
    x = keras.layers.Conv2D(32, 3, activation="relu", kernel_initializer=initializer(seed), name="conv_1")(x)
    x = keras.layers.Conv2D(64, 3, activation="relu", kernel_initializer=initializer(seed + 1), name="conv_2")(x)
    x = keras.layers.MaxPooling2D(3, name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    outputs = keras.layers.Dense(
        labels, activation="sigmoid", kernel_initializer=initializer(seed + 2), name="probabilities"
    )(x)
    return keras.Model(inputs, outputs, name="bulklabel_cnn")
