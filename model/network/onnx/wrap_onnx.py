"""Wraps a user's ONNX network into one that takes RGB pixels of 0…255 and answers in probabilities."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bulklabel.model.errors import UserError
from bulklabel.model.network.interface import (
    GRAY,
    HALF,
    UNIT,
    Interface,
    Scaling,
    Side,
    check_channels,
    choose_outputs,
    choose_size,
)
from bulklabel.model.network.onnx.check_onnx import STANDARD, names_of
from bulklabel.model.network.onnx.onnx_engine import BATCH

OLDEST_OPSET = 7
"""The first whose sums and products stretch a number over an image; ONNX Runtime runs none before it."""

OLDEST_IR = 4
"""The first version of the format whose weights are no inputs, and so may be computed with before they are used."""

FIRST, LAST = (0, 3, 1, 2), None
"""Where a network's channels are, as the permutation that brings them there from the end."""

FRACTIONS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
WHOLE = {
    *(TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16),
    *(TensorProto.UINT32, TensorProto.INT32, TensorProto.UINT64, TensorProto.INT64),
}
PROBABILITIES = {"Sigmoid", "Softmax", "HardSigmoid"}
PASSES_ON = {"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}
"""Operators behind which answers are the same numbers."""


@dataclass(frozen=True)
class Taken:
    """Says what a network takes: the name and type of its input, its images' shape, and where the channels are."""

    name: str
    kind: int
    batch: Side
    height: Side
    width: Side
    channels: Side
    permutation: tuple[int, ...] | None


def possible_inputs(model: onnx.ModelProto, path: str) -> list[Taken]:
    """Returns what a network may take: the shape tells where the channels are, or leaves it open.

    Raises:
        UserError: if it takes anything but one batch of images.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in weights]
    if len(inputs) != 1:
        listed = ", ".join(repr(item.name) for item in inputs) or "none"
        raise UserError(f"{path} has {len(inputs)} inputs, {listed}; export a network of one, a batch of images.")
    (item,) = inputs
    tensor = item.type.tensor_type
    if tensor.elem_type not in FRACTIONS | WHOLE:
        kind = "strings" if tensor.elem_type == TensorProto.STRING else "no numbers"
        raise UserError(
            f"{path} takes {kind} ({item.name!r}), and bulklabel gives decoded pixels; export the part behind the "
            "decoder."
        )
    shape = [dim.dim_value if dim.dim_value > 0 else None for dim in tensor.shape.dim]
    if len(shape) != 4:
        raise UserError(
            f"{path} takes the shape {_words(tensor)} ({item.name!r}), and not N×3×height×width or N×height×width×3; "
            "export the network with its first layers."
        )
    first = Taken(item.name, tensor.elem_type, shape[0], shape[2], shape[3], shape[1], FIRST)
    last = Taken(item.name, tensor.elem_type, shape[0], shape[1], shape[2], shape[3], LAST)
    plain = [taken for taken in (first, last) if taken.channels in (1, 3)]
    closest = [min(first, last, key=lambda taken: taken.channels or 0)]
    opened = [taken for taken in (first, last) if taken.channels is None]
    return plain or [replace(taken, channels=channels) for taken in opened for channels in (3, 1)] or closest


def _words(tensor: Any) -> str:
    return "×".join(str(dim.dim_value or dim.dim_param or "?") for dim in tensor.shape.dim) or "of nobody knows what"


def wrap_onnx(
    model: onnx.ModelProto, taken: Taken, path: str, interface: Interface
) -> tuple[onnx.ModelProto, tuple[int, int]]:
    """Returns a network around a user's own, from RGB images, N×height×width×3 uint8, to probabilities, N×L.

    Gray, scaling and the order of the dimensions come before it, and a sigmoid behind it, where they change anything. A
    network that was made for batches of one size stays so.

    Args:
        model: any, its weights in it.
        taken: one of its `possible_inputs`.
        path: where it came from, for messages.
        interface: what the user says of it.

    Returns:
        The network, whose shapes leave L open, and height and width of its images.

    Raises:
        UserError: if it does not take images, or not as the user says.
    """
    check_channels(taken.channels, interface, path)
    height, width = choose_size(taken.height, taken.width, interface, path)
    _check_opset(model, path)
    if taken.kind in WHOLE and not interface.scaling.changes_nothing:
        raise UserError(
            f"{path} takes whole numbers ({_type_words(taken.kind)}), so it scales them itself; give "
            "--input_range=0,255."
        )
    names = [output.name for output in model.graph.output]
    chosen = [names[index] for index in choose_outputs(names, interface, path)]
    _check_outputs(model, chosen, path, interface.logits)
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(model)
    wrapped.ir_version = max(model.ir_version, OLDEST_IR)
    graph, prefix = wrapped.graph, _unused_prefix(model)
    before, after = _Chain(prefix + "in_"), _Chain(prefix + "out_")
    x = _scaled(before, prefix + "image", taken, interface.scaling)
    before.nodes.append(helper.make_node("Identity", [x], [taken.name]))
    x = _joined(after, chosen)
    x = after.add("Sigmoid", x) if interface.logits else x
    after.nodes.append(helper.make_node("Identity", [x], [prefix + "probabilities"]))
    nodes = [*before.nodes, *model.graph.node, *after.nodes]
    for field in ("node", "input", "output"):
        graph.ClearField(field)
    wrapped.ClearField("training_info")
    graph.node.extend(nodes)
    graph.initializer.extend([*before.constants, *after.constants])
    batch = taken.batch or BATCH
    images = (prefix + "image", TensorProto.UINT8, [batch, height, width, 3])
    graph.input.append(helper.make_tensor_value_info(*images))
    answers = (prefix + "probabilities", TensorProto.FLOAT, [batch, None])
    graph.output.append(helper.make_tensor_value_info(*answers))
    return wrapped, (height, width)


class _Chain:
    """Collects nodes that follow one another, with names that start alike."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node; returns the name of its output."""
        output = f"{self._prefix}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, values: Any) -> str:
        """Adds float32 numbers; returns their name."""
        name = f"{self._prefix}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name


def _scaled(chain: _Chain, images: str, taken: Taken, scaling: Scaling) -> str:
    """Adds all that is between RGB pixels of 0…255 and a network's input."""
    x = chain.add("Cast", images, to=TensorProto.FLOAT)
    if taken.channels == 1:  # what Pillow makes of them in its mode "L", to the same bits
        x = chain.add("MatMul", x, chain.constant([[weight] for weight in GRAY]))
        x = chain.add("Mul", chain.add("Add", x, chain.constant(HALF)), chain.constant(1 / UNIT))
        x = chain.add("Floor", x)
    if not scaling.changes_nothing:
        x = chain.add("Mul", x, chain.constant(scaling.scale))
        x = chain.add("Add", x, chain.constant(scaling.offset))
    if taken.permutation is not None:
        x = chain.add("Transpose", x, perm=list(taken.permutation))
    return x if taken.kind == TensorProto.FLOAT else chain.add("Cast", x, to=taken.kind)


def _joined(chain: _Chain, outputs: list[str]) -> str:
    """Adds what makes one N×labels of the outputs, which may be N, N×M or N×M×1×1."""
    flat = [chain.add("Flatten", chain.add("Cast", name, to=TensorProto.FLOAT), axis=1) for name in outputs]
    return flat[0] if len(flat) == 1 else chain.add("Concat", *flat, axis=1)


def _type_words(kind: int) -> str:
    """Returns the name of a type of numbers; a damaged file may have one that there is not."""
    return TensorProto.DataType.Name(kind).lower() if kind in TensorProto.DataType.values() else str(kind)


def _check_opset(model: onnx.ModelProto, path: str) -> None:
    (opset,) = [item.version for item in model.opset_import if item.domain in STANDARD][:1] or [0]
    if opset < OLDEST_OPSET:
        raise UserError(
            f"{path} is of opset {opset}, and {OLDEST_OPSET} is the oldest that can be run; convert it: "
            "onnx.save(onnx.version_converter.convert_version(onnx.load('network.onnx'), 17), 'newer.onnx')."
        )


def _check_outputs(model: onnx.ModelProto, chosen: list[str], path: str, logits: bool) -> None:
    """Checks that outputs are fractions, and no probabilities already where they are said to be logits."""
    kinds = {output.name: output.type.tensor_type.elem_type for output in model.graph.output}
    for name in chosen:
        if kinds[name] not in FRACTIONS | {TensorProto.UNDEFINED}:
            raise UserError(
                f"{path}: the output {name!r} is of the type {_type_words(kinds[name])}, and not a fraction for "
                f"each label; name another one with --output_name ({', '.join(map(repr, kinds))}), or export the "
                "network's last layer."
            )
        if logits and _origin(model, name) in PROBABILITIES:
            raise UserError(
                f"{path} ends in a {_origin(model, name)}, so its outputs are probabilities; leave out --outputs."
            )


def _origin(model: onnx.ModelProto, name: str) -> str:
    """Returns the operator that an output's numbers come from; empty if it is none of the graph's."""
    makers = {output: node for node in model.graph.node for output in node.output}
    seen: set[str] = set()
    while name in makers and name not in seen:
        seen.add(name)
        node = makers[name]
        if node.op_type not in PASSES_ON or not node.input:
            return str(node.op_type)
        name = node.input[0]
    return ""


def _unused_prefix(model: onnx.ModelProto) -> str:
    """Returns what none of a network's names starts with."""
    names, prefix = {str(name) for name in names_of(model)}, "bulklabel_"
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    return prefix
