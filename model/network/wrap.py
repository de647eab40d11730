"""Wraps a user's Keras network into one that takes RGB pixels of 0…255 and answers in probabilities."""

import keras

from bulklabel.model.errors import UserError
from bulklabel.model.network.interface import (
    GRAY,
    HALF,
    UNIT,
    Interface,
    check_channels,
    check_count,
    choose_outputs,
    choose_size,
)

PROBABILITIES = (keras.activations.sigmoid, keras.activations.softmax)


def wrap_network(network: keras.Model, path: str, interface: Interface) -> keras.Model:
    """Returns a network around a user's own, from RGB images, N×height×width×3 in 0…255, to N×labels probabilities.

    Gray and scaling become its first layers, and a sigmoid its last, where they change anything. A network that was
    made for batches of one size stays so.

    Args:
        network: any.
        path: where it came from, for messages.
        interface: what the user says of it.

    Raises:
        UserError: if it does not take images, or does not answer for the labels, or not as the user says.
    """
    batch, height, width, channels = _shape_of(network, path)
    check_channels(channels, interface, path)
    images = keras.Input((*choose_size(height, width, interface, path), 3), batch_size=batch, name="bulklabel_image")
    x = gray(images) if channels == 1 else images
    scaling = interface.scaling
    if not scaling.changes_nothing:
        x = keras.layers.Rescaling(list(scaling.scale), list(scaling.offset), dtype="float32", name="bulklabel_scale")(
            x
        )
    answers = _answers(network, x, path, interface)
    check_count(answers.shape[1], interface, path)
    if interface.logits:
        answers = keras.layers.Activation("sigmoid", dtype="float32", name="bulklabel_probabilities")(answers)
    return keras.Model(images, answers, name="bulklabel_package")


def _shape_of(network: keras.Model, path: str) -> tuple[int | None, ...]:
    """Returns the shape of a network's only input, N×height×width×channels."""
    inputs = getattr(network, "inputs", None) or []
    if len(inputs) != 1:
        listed = ", ".join(repr(tensor.name) for tensor in inputs) or "of unknown shapes"
        raise UserError(
            f"{path} has {len(inputs)} inputs, {listed}; give a network of one, images: keras.Model(images, …) of a "
            "keras.Input((height, width, 3))."
        )
    shape: tuple[int | None, ...] = tuple(inputs[0].shape)
    if len(shape) != 4:
        raise UserError(
            f"{path} takes {shape[1:]} for an image, and not height, width and channels; put the layers before it that "
            "make that of a keras.Input((height, width, 3)), and save both as one network."
        )
    if shape[1] in (1, 3) and shape[3] not in (1, 3):
        raise UserError(
            f"{path} takes {shape[1:]} for an image, its channels first; put keras.layers.Permute((3, 1, 2)) before it "
            "behind a keras.Input((height, width, 3)), and save both as one network."
        )
    return shape


def gray(images: keras.KerasTensor) -> keras.KerasTensor:
    """Returns what Pillow makes of RGB pixels, N×H×W×3 in 0…255, in its mode "L", N×H×W×1, to the same bits."""
    red, green, blue = (weight * images[..., channel : channel + 1] for channel, weight in enumerate(GRAY))
    return keras.ops.floor((red + green + blue + HALF) / UNIT)


def _answers(network: keras.Model, x: keras.KerasTensor, path: str, interface: Interface) -> keras.KerasTensor:
    """Returns the outputs that belong to the labels, joined to N×labels."""
    result = network(x)
    names = sorted(result) if isinstance(result, dict) else list(getattr(network, "output_names", ["output"]))
    outputs = keras.tree.flatten(result)
    chosen = choose_outputs(names, interface, path)
    if interface.logits and any(_is_probability(network.outputs[index]) for index in chosen):
        raise UserError(f"{path} ends in a sigmoid or softmax, so its outputs are probabilities; leave out --outputs.")
    parts = [outputs[index] for index in chosen]
    parts = [part if len(part.shape) == 2 else keras.layers.Flatten()(part) for part in parts]
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(name="bulklabel_heads")(parts)


def _is_probability(output: keras.KerasTensor) -> bool:
    operation = output._keras_history.operation
    return isinstance(operation, keras.layers.Softmax) or getattr(operation, "activation", None) in PROBABILITIES
