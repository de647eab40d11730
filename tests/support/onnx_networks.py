"""ONNX networks as users have them, made by hand: of milliseconds, and without TensorFlow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, OUTPUTS = 16, 20
FIRST, LAST = ("batch", 3, SIDE, SIDE), ("batch", SIDE, SIDE, 3)

Shape = Sequence[int | str | None]


def weights(channels: int = 3, outputs: int = OUTPUTS) -> tuple[np.ndarray, np.ndarray]:
    """A convolution's kernel, 4×channels×3×3, and a dense layer's, 4×outputs."""
    random = np.random.default_rng(5)
    kernel = random.normal(0, 0.3, (4, channels, 3, 3)).astype(np.float32)
    return kernel, random.normal(0, 0.8, (4, outputs)).astype(np.float32)


def expected(images: np.ndarray, outputs: int = OUTPUTS) -> np.ndarray:
    """What the network of `small` answers to scaled images, N×H×W×C, computed in float64."""
    kernel, dense = (array.astype(np.float64) for array in weights(images.shape[3], outputs))
    windows = np.lib.stride_tricks.sliding_window_view(images.astype(np.float64), (3, 3), axis=(1, 2))
    convolved = np.maximum(np.einsum("nhwcyx,ocyx->nhwo", windows, kernel), 0)
    probabilities: np.ndarray = 1 / (1 + np.exp(-convolved.mean(axis=(1, 2)) @ dense))
    return probabilities


def small(
    shape: Shape = FIRST,
    kind: int = TensorProto.FLOAT,
    last: str | None = "Sigmoid",
    outputs: int = OUTPUTS,
    opset: int = 17,
) -> onnx.ModelProto:
    """A convolution, a mean over the image and a dense layer; `shape` tells where its channels are.

    `last` is the operator that it ends in, None for logits.
    """
    channels_last = 3 in shape[3:] or 1 in shape[3:]
    channels = shape[3] if channels_last else shape[1]
    kernel, dense = weights(channels if isinstance(channels, int) else 3, outputs)
    nodes = [helper.make_node("Cast", ["images"], ["x"], to=TensorProto.FLOAT)]
    if channels_last:
        nodes.append(helper.make_node("Transpose", ["x"], ["first"], perm=[0, 3, 1, 2]))
    nodes += [
        helper.make_node("Conv", ["first" if channels_last else "x", "kernel"], ["convolved"], name="conv"),
        helper.make_node("Relu", ["convolved"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "dense"], ["answers" if last is None else "logits"]),
    ]
    if last is not None:
        nodes.append(helper.make_node(last, ["logits"], ["answers"]))
    return model(
        nodes,
        {"images": (kind, shape)},
        {"answers": (TensorProto.FLOAT, (shape[0], outputs))},
        {"kernel": kernel, "dense": dense},
        opset,
    )


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, tuple[int, Shape]],
    outputs: dict[str, tuple[int, Shape]],
    constants: dict[str, np.ndarray],
    opset: int = 17,
    **options: Any,
) -> onnx.ModelProto:
    """A model of nodes, with types and shapes of what goes in and out."""
    graph = helper.make_graph(
        list(nodes),
        "network",
        [helper.make_tensor_value_info(name, *item) for name, item in inputs.items()],
        [helper.make_tensor_value_info(name, *item) for name, item in outputs.items()],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **options)


def save_onnx(network: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(network.SerializeToString())
    return path
