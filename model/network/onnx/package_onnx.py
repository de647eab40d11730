"""Makes of a user's ONNX network one for a model directory: checked, wrapped, and run once."""

from collections.abc import Callable

import onnx
import onnxruntime

from bulklabel.model.errors import UserError
from bulklabel.model.network.interface import Interface, check_count
from bulklabel.model.network.onnx.check_onnx import check_operators, inline_external_data, parse_onnx
from bulklabel.model.network.onnx.try_onnx import IMAGES, TryError, try_network
from bulklabel.model.network.onnx.wrap_onnx import possible_inputs, wrap_onnx


def package_onnx(
    content: bytes, read: Callable[[str], bytes], path: str, interface: Interface
) -> tuple[bytes, tuple[int, int]]:
    """Returns the content of `model.onnx`, and height and width of its images.

    Where the network's shapes do not tell whether the channels come first or last, it is run once for each.

    Args:
        content: the user's file.
        read: returns the content of a file beside it, by its name.
        path: the file's, for messages.
        interface: what the user says of the network.

    Raises:
        UserError: if it cannot or must not be loaded, or is not as the user says.
    """
    model = parse_onnx(content, path)
    check_operators(model, path)
    inline_external_data(model, read, path)
    wrapped, failures = [], []
    for taken in possible_inputs(model, path):
        network, size = wrap_onnx(model, taken, path, interface)
        try:
            wrapped.append((network, size, try_network(network.SerializeToString(deterministic=True))))
        except TryError as error:
            failures.append(str(error))
    if not wrapped:
        raise UserError(
            f"{path} cannot be run by ONNX Runtime {onnxruntime.__version__} ({failures[0]}); export it again, its "
            "batch free or fixed throughout, for an opset that this version knows."
        )
    if len(wrapped) > 1:
        raise UserError(
            f"{path} takes images with their channels first and last, and does not say which it means; export it with "
            "a fixed number of channels."
        )
    ((network, size, shape),) = wrapped
    _check_answers(network, shape, path, interface)
    return network.SerializeToString(deterministic=True), size


def _check_answers(network: onnx.ModelProto, shape: list[int], path: str, interface: Interface) -> None:
    """Checks what a network answered, and writes it into its shapes."""
    batch = network.graph.input[0].type.tensor_type.shape.dim[0].dim_value or IMAGES
    if shape[0] != batch:
        raise UserError(
            f"{path} answers for {shape[0]} images when it is given {batch}: its batch is fixed inside; export it with "
            "a free one (dynamic_axes={'images': {0: 'batch'}}), or with a fixed one throughout."
        )
    check_count(shape[1], interface, path)
    network.graph.output[0].type.tensor_type.shape.dim[1].dim_value = shape[1]
