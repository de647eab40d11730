"""Rebuilds networks around what they have learnt: with another last layer, or calibrated."""

from typing import Any

import keras

from bulklabel.model.errors import UserError
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.training.calibrate import HIGHEST, LOWEST, Calibration
from bulklabel.model.training.residual import head

WITHOUT_WEIGHTS = "it has no last layer whose input could be taken; give a network of Keras' own layers"


def with_new_head(network: keras.Model, path: str, preprocessing: Preprocessing, labels: int, seed: int) -> keras.Model:
    """Returns a network whose last layer with weights, and all behind it, is replaced by one for other labels.

    What is before it keeps its weights. It normalises as it does when it answers, and never learns to do otherwise: the
    few images of a small corpus say less of means and variances than those that it had learnt from.

    Args:
        network: with one input and one output.
        path: where it came from, for messages.
        preprocessing: the size of the images; if it is another one, the network is built again for it.
        labels: how many it shall answer for.
        seed: of the new layer's weights.

    Raises:
        UserError: if it has no such layer, or cannot be built for the size.
    """
    height, width = preprocessing.height, preprocessing.width
    body = _copied(_body(network, path), path, height, width)
    for layer in body._flatten_layers(include_self=False):
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)  # Keras has it count no batch then
    images = keras.Input((height, width, 3), name="image")
    x = body(images)
    if len(x.shape) == 4:
        x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    if len(x.shape) != 2 or x.shape[1] is None:
        raise UserError(f"{path} ends in features of the shape {tuple(x.shape)}, from which no labels can be learnt.")
    return keras.Model(images, head(x, labels, seed), name="bulklabel_network")


def with_calibration(network: keras.Model, calibration: Calibration) -> keras.Model:
    """Returns a network that answers with calibrated probabilities, by a model of Keras' layers behind its own.

    They are a model within the model, since the network may have operations of these names, of an earlier one.
    """
    given = keras.Input(network.outputs[0].shape[1:], name="probabilities")
    p = keras.ops.clip(given, float(LOWEST), float(HIGHEST))
    odds = keras.ops.log(p) - keras.ops.log(1 - p)  # ONNX has no log1p, and a trained network can be exported
    scaling = calibration.slopes.tolist(), calibration.offsets.tolist()
    scaled = keras.layers.Rescaling(*scaling, dtype="float32", name="slopes_and_offsets")(odds)
    calibrated = keras.layers.Activation("sigmoid", dtype="float32")(scaled)
    behind = keras.Model(given, calibrated, name=_free_name(network))
    return keras.Model(network.inputs, behind(network.outputs[0]), name=network.name)


def _free_name(network: keras.Model) -> str:
    """Returns the name of a calibration that no layer has: a network may be calibrated again."""
    taken = sum(layer.name.startswith("calibration") for layer in network.layers)
    return "calibration" + (f"_{taken + 1}" if taken else "")


def _body(network: keras.Model, path: str) -> keras.Model:
    """Returns the model from a network's input to that of its last layer with weights, in whatever model that is."""
    if isinstance(network, keras.Sequential):
        network = network._functional
    tensor = network.outputs[0]
    while True:
        operation, node, _ = tensor._keras_history
        sources = operation._inbound_nodes[node].input_tensors
        if isinstance(operation, keras.Model) and operation.weights:  # and not a calibration, which has none
            inner = _body(operation, path)
            return keras.Model(network.inputs, inner(sources[0]))
        if getattr(operation, "weights", None):
            return keras.Model(network.inputs, sources[0])
        if len(sources) != 1:
            raise UserError(f"{path} cannot be trained for other labels: {WITHOUT_WEIGHTS}.")
        tensor = sources[0]


def _copied(body: keras.Model, path: str, height: int, width: int) -> keras.Model:
    """Returns a model for images of a size, with layers of its own and the same weights."""
    size = tuple(body.inputs[0].shape[1:3])
    try:
        copy = keras.Model.from_config(_with_size(body.get_config(), size, (height, width)) | {"name": "body"})
        copy.set_weights(body.get_weights())
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} was built for images of {size[0]}x{size[1]} pixels, and can't be for {height}x{width}; leave out "
            "--image_size."
        ) from error
    return copy


def _with_size(config: Any, before: tuple[int, ...], after: tuple[int, int]) -> Any:
    """Returns a model's configuration whose inputs of one size, in models within it, too, are of another.

    A batch that was of one size may be of any.
    """
    if isinstance(config, dict):
        inside = {key: _with_size(value, before, after) for key, value in config.items()}
        shape = inside.get("batch_shape")
        if shape is not None and tuple(shape[1:3]) == before:
            inside["batch_shape"] = (None, *after, shape[3])
        return inside
    if isinstance(config, list | tuple):
        return type(config)(_with_size(value, before, after) for value in config)
    return config
