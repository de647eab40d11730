"""Reads ONNX files, and finds what they would do besides computing with numbers, before ONNX Runtime loads them."""

import posixpath
from collections.abc import Callable, Iterator
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from bulklabel.model.errors import UserError

MAX_BYTES = 2**31 - 1
"""What a file of protobuf can have."""

STANDARD = ("", "ai.onnx")
"""The names of ONNX's own operators' domain."""

RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
MICROSOFT = {
    *("Attention", "BiasAdd", "BiasGelu", "BiasSplitGelu", "DequantizeLinear", "DynamicQuantizeMatMul", "FastGelu"),
    *("FusedConv", "FusedGemm", "FusedMatMul", "Gelu", "GroupNorm", "MatMulIntegerToFloat", "MatMulNBits"),
    *("MultiHeadAttention", "NhwcMaxPool", "QAttention", "QGemm", "QLinearAdd", "QLinearAveragePool", "QLinearConcat"),
    *("QLinearConv", "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMul", "QLinearSigmoid", "QLinearSoftmax"),
    *("QuantizeLinear", "QuickGelu", "SkipLayerNormalization", "TransposeMatMul"),
}
"""Operators of ONNX Runtime's own domain that its quantizer and optimizer put into networks, and that only compute."""

MEASURING = {"DynamicQuantizeLinear", "DynamicQuantizeMatMul"}
"""Operators that round numbers by the largest and smallest in a batch, so that its images change each other's answers.

The check of golden images need not see that: it may be less than a thousandth, and depends on what the images are.
"""

NO_TYPE = onnx.TypeProto()
OTHER_FORMATS = {
    b"PK": "a zip archive, as PyTorch's and Keras' files are",
    b"\x80": "a pickle, as PyTorch's files are",
    b"\x89HDF": "an HDF5 file",
}
EXPORT = "export it by `torch.onnx.export(network.eval(), images, 'network.onnx')`"


def parse_onnx(content: bytes, path: str) -> onnx.ModelProto:
    """Parses an ONNX file, and loads nothing.

    Raises:
        UserError: if it is none; `path` is for the message.
    """
    kind = next((words for start, words in OTHER_FORMATS.items() if content.startswith(start)), None)
    if content[4:8] == b"ORTM":
        kind = "of ONNX Runtime's own format"
    if kind is not None:
        raise UserError(f"{path} is {kind}, and not ONNX; {EXPORT}.")
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise UserError(f"{path} is not an ONNX file, or damaged ({error}); {EXPORT}.") from error
    if not model.graph.node or not model.graph.output or not model.opset_import:
        raise UserError(f"{path} is not an ONNX file: it holds no network; {EXPORT}.")
    if any(isinstance(name, bytes) for name in names_of(model)):  # what is no text, protobuf returns as it is
        raise UserError(f"{path} is damaged: a name in it is not text; copy it again.")
    return model


def check_operators(model: onnx.ModelProto, path: str) -> None:
    """Checks that a network is made of operators that do nothing but compute.

    Raises:
        UserError: if it has another operator, which the message names.
    """
    own = {(function.domain, function.name) for function in model.functions}
    alone = _takes_one_image(model)
    for node in _nodes(model):
        reason = None if (node.domain, node.op_type) in own else _fault(node.domain, node.op_type, alone)
        if reason is not None:
            name = node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}"
            raise UserError(f"{path} uses the operator {name!r} (node {node.name!r}), which {reason}.")


def _takes_one_image(model: onnx.ModelProto) -> bool:
    """Tells whether a network was made for batches of one image."""
    shapes = [item.type.tensor_type.shape.dim for item in model.graph.input]
    return any(dims and dims[0].dim_value == 1 for dims in shapes)


def _fault(domain: str, operator: str, alone: bool) -> str | None:
    """Returns what is wrong with an operator that no function of the file defines; None if nothing is.

    `alone` says that the network is given one image at a time.
    """
    if operator in MEASURING and not alone:
        return (
            "rounds by what is in the batch, so an image's answer would depend on the others; quantize the network "
            "statically (`onnxruntime.quantization.quantize_static`), or export it for batches of one image"
        )
    if domain == "com.microsoft" and operator in MICROSOFT:
        return None
    if domain not in STANDARD:
        return "is none of ONNX's own and runs code from elsewhere; export the network with standard operators alone"
    if operator in RANDOM:
        return "draws random numbers, so that no answer is given twice; export the network as it is for inference"
    if not onnx.defs.has(operator):
        return f"onnx {onnx.__version__} does not know; export the network for an older opset, or install a newer onnx"
    return None


def check_no_external_data(model: onnx.ModelProto, path: str) -> None:
    """Checks that all weights are in the file itself.

    Raises:
        UserError: if some are elsewhere.
    """
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise UserError(
                f"{path} keeps its weights ({tensor.name!r}) in another file; write the model directory again by "
                "`bulklabel package`."
            )


def inline_external_data(model: onnx.ModelProto, read: Callable[[str], bytes], path: str) -> None:
    """Takes weights that are kept in files beside the network into it.

    Args:
        model: is changed.
        read: returns the content of a file by its name, which is relative to the network's folder and below it.
        path: the network's file, for messages.

    Raises:
        UserError: if they are elsewhere, not all there, or too many for one file.
    """
    contents: dict[str, bytes] = {}
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entry = {item.key: item.value for item in tensor.external_data}
        name = entry.get("location", "")
        if not _is_below(name):
            raise UserError(
                f"{path} keeps its weights ({tensor.name!r}) in {name!r}, outside of its folder; put that file "
                "beside it, and save the network again: onnx.save(onnx.load('network.onnx'), 'whole.onnx')."
            )
        if name not in contents:
            contents[name] = read(name)
        content = contents[name]
        start = int(entry.get("offset", 0))
        stop = start + int(entry["length"]) if "length" in entry else len(content)
        if not 0 <= start <= stop <= len(content):
            raise UserError(
                f"{path}: {name} ends before the weights {tensor.name!r} do (byte {stop:,} of {len(content):,}); copy "
                "both files again."
            )
        tensor.raw_data = content[start:stop]
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    if model.ByteSize() > MAX_BYTES:
        raise UserError(f"{path} has weights of more than 2 GiB, which no ONNX file can hold; quantize the network.")


def _is_below(name: str) -> bool:
    """Tells whether a relative path names something in a folder or below it, on every system."""
    parts = posixpath.normpath(name).split("/")
    return bool(name) and not name.startswith("/") and ".." not in parts and not {"\\", ":"} & set(name)


def _graphs(model: onnx.ModelProto) -> Iterator[Any]:
    """Yields all that holds nodes: the graph, the graphs inside of its nodes, and the functions."""
    waiting: list[Any] = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for attribute in (attribute for node in graph.node for attribute in node.attribute):
            waiting += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def names_of(model: onnx.ModelProto) -> Iterator[str | bytes]:
    """Yields all names that anything here looks at."""
    for graph in _graphs(model):
        for node in graph.node:
            yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for item in (*graph.input, *graph.output):  # of a function they are names
            yield getattr(item, "name", item)
            yield from (dim.dim_param for dim in getattr(item, "type", NO_TYPE).tensor_type.shape.dim)
    for function in model.functions:
        yield from (function.domain, function.name)
    yield from (opset.domain for opset in model.opset_import)
    for tensor in _tensors(model):
        yield from (tensor.name, *(text for item in tensor.external_data for text in (item.key, item.value)))


def _nodes(model: onnx.ModelProto) -> Iterator[Any]:
    for graph in _graphs(model):
        yield from graph.node


def _tensors(model: onnx.ModelProto) -> Iterator[Any]:
    """Yields all weights and constants, wherever in the network."""
    for graph in _graphs(model):
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for attribute in (attribute for node in graph.node for attribute in node.attribute):
            yield from (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors)
            for sparse in (
                *([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []),
                *attribute.sparse_tensors,
            ):
                yield from (sparse.values, sparse.indices)
