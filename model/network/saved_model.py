"""Turns SavedModels into Keras networks: one frozen graph without variables is a layer in a Keras archive."""

import os
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.framework import op_def_registry
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from bulklabel.model.errors import UserError, first_line

SIGNATURE = "serving_default"

PURE = re.compile(r"Assert|If|While|Case|StatefulPartitionedCall|CheckNumerics(V2)?|TensorList\w+")
"""Ops that are stateful by declaration or handle opaque values, and yet do nothing but compute."""

SAVED = re.compile(
    PURE.pattern + r"|VarHandleOp|VarIsInitializedOp|VariableShape|DisableCopyOnRead|(Read|Assign|AssignAdd|AssignSub)"
    r"VariableOp|Resource(Gather|Scatter|Apply|SparseApply)\w+|Random(Uniform|UniformInt|StandardNormal|Shuffle)"
    r"|Stateful(Uniform|UniformFullInt|UniformInt|StandardNormalV2|TruncatedNormal)|RngReadAndSkip|RngSkip"
    r"|TruncatedNormal|TensorArray\w+V3|SaveV2|RestoreV2|MergeV2Checkpoints|ShardedFilename|StringJoin"
    r"|StaticRegexFullMatch"
)
"""What a SavedModel holds besides: variables, what trained them, and checkpoints of them."""

RUNS_CODE = re.compile(r"_.*|(PyFunc|Xla|Mlir|TPU|Tpu|DTensor|Debug|Copy|Remote).*")
"""Ops that run code from elsewhere or write for debuggers; declared stateless or not."""

OPAQUE = {tf.string.as_datatype_enum, tf.resource.as_datatype_enum, tf.variant.as_datatype_enum}
"""What file names, tables, data sets and devices are made of, and pixels and weights never."""

NODE_KINDS = {"user_object", "function", "bare_concrete_function", "variable", "constant", "captured_tensor"}


@keras.saving.register_keras_serializable("bulklabel")
class FrozenGraph(keras.layers.Layer):  # type: ignore[misc]
    """Runs a TensorFlow graph without variables, whose bytes are kept like weights: N×H×W×C to one N×M for each name.

    Attributes:
        graph: the serialized GraphDef, empty until it was set or loaded.
    """

    def __init__(self, input_name: str, outputs: Mapping[str, tuple[str, int]], **options: Any) -> None:
        """Keeps what the graph's tensors are called; `outputs` has by name a tensor and its M."""
        super().__init__(**options)
        self.input_name = input_name
        self.outputs = {name: (str(tensor), int(size)) for name, (tensor, size) in outputs.items()}
        self.graph = b""
        self._run = tf.function(self._import)

    def call(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Runs the graph on N images."""
        answers: dict[str, tf.Tensor] = self._run(images)
        return answers

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> dict[str, tuple[int | None, ...]]:
        """Returns the shapes of the answers by name."""
        return {name: (input_shape[0], size) for name, (_, size) in self.outputs.items()}

    def get_config(self) -> dict[str, Any]:
        """Returns what is needed to make the layer again, the graph apart."""
        return dict(super().get_config()) | {"input_name": self.input_name, "outputs": self.outputs}

    def save_own_variables(self, store: Any) -> None:
        """Puts the graph into the archive's weights."""
        store["graph"] = np.frombuffer(self.graph, np.uint8)

    def load_own_variables(self, store: Any) -> None:
        """Takes the graph from the archive's weights."""
        self.graph = np.asarray(store["graph"], np.uint8).tobytes()

    def _import(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        graph = GraphDef.FromString(self.graph)
        dtypes = {node.name: node.attr["dtype"].type for node in graph.node if node.op == "Placeholder"}
        fed = tf.cast(images, dtypes[self.input_name])
        answers = tf.graph_util.import_graph_def(
            graph,
            input_map={f"{self.input_name}:0": fed},
            return_elements=[tensor for tensor, _ in self.outputs.values()],
        )
        return {name: tf.cast(answer, tf.float32) for name, answer in zip(self.outputs, answers, strict=True)}


def check_graph(graph: bytes, path: str) -> None:
    """Checks that a frozen graph does nothing but compute.

    Raises:
        UserError: if one of its ops may do anything else; `path` is for the message.
    """
    _check_ops(GraphDef.FromString(graph), PURE, path)


def network_from_saved_model(folder: str, path: str, trusted: bool) -> keras.Model:
    """Loads the network that a SavedModel's `serving_default` signature is, frozen; its outputs have their names.

    Args:
        folder: a local one with `saved_model.pb`.
        path: where it came from, for messages.
        trusted: whether its ops may do more than compute.

    Raises:
        UserError: if it cannot be loaded, has no such signature, or that takes anything but one batch of images.
    """
    saved = _read_saved_model(folder, path)
    _check_takes_pixels(saved, path)
    if not trusted:
        _check_saved_model(saved, path)
    try:
        loaded = tf.saved_model.load(folder)  # the variables live as long as this
        signature = loaded.signatures[SIGNATURE]
        _check_inference(signature, path)
        names = sorted(signature.structured_outputs)
        frozen = convert_variables_to_constants_v2(signature, lower_control_flow=False)
    except UserError:
        raise
    except Exception as error:  # TensorFlow raises many types on a damaged folder
        reason = f"no signature {SIGNATURE!r}" if isinstance(error, KeyError) else first_line(error)
        raise UserError(
            f"{path} cannot be used as a SavedModel ({reason}); export it by `model.export('folder')`."
        ) from error
    if len(frozen.inputs) != 1:
        raise UserError(
            f"{path}: the signature {SIGNATURE!r} has {len(frozen.inputs)} inputs; export a function of one batch of "
            "images."
        )
    return _network(frozen, names, path, trusted)


def _check_inference(signature: Any, path: str) -> None:
    """Refuses a signature that trains: Keras exports networks with augmenting first layers that way."""
    graph = signature.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    if any(node.op.startswith("Assign") for node in nodes):
        raise UserError(
            f"{path}: the signature {SIGNATURE!r} changes variables, as in training; give the .keras file instead, or "
            "export a function that calls the network with training=False."
        )


def _network(frozen: Any, names: list[str], path: str, trusted: bool) -> keras.Model:
    """Returns a Keras network of a frozen function of images, which has as many outputs, in the order of the names."""
    (taken,) = frozen.inputs
    unsuitable = [answers.shape for answers in frozen.outputs if answers.shape.rank != 2 or answers.shape[1] is None]
    if taken.shape.rank != 4 or unsuitable:
        raise UserError(
            f"{path}: the signature {SIGNATURE!r} maps {taken.shape} to {[*unsuitable, frozen.outputs[0].shape][0]}; "
            "export a function of (None, height, width, channels) that returns (None, labels)."
        )
    graph = frozen.graph.as_graph_def().SerializeToString(deterministic=True)
    if not trusted:
        check_graph(graph, path)
    outputs = {name: (answers.name, int(answers.shape[1])) for name, answers in zip(names, frozen.outputs, strict=True)}
    layer = FrozenGraph(taken.op.name, outputs, name="frozen_graph")
    layer.graph = graph
    images = keras.Input(taken.shape[1:], batch_size=taken.shape[0], name="image")
    return keras.Model(images, layer(images), name="saved_model")


def _read_saved_model(folder: str, path: str) -> Any:
    try:
        with open(os.path.join(folder, "saved_model.pb"), "rb") as file:
            saved = SavedModel.FromString(file.read())
    except Exception as error:  # protobuf's own type is not public
        raise UserError(f"{path} is not a SavedModel ({error}); export it by `model.export('folder')`.") from error
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].HasField("object_graph_def"):
        raise UserError(f"{path} was saved by TensorFlow 1; load it with TensorFlow 2 and export it again.")
    return saved


def _check_takes_pixels(saved: Any, path: str) -> None:
    """Refuses a signature that decodes images itself, for an answer would be of pixels that nobody has seen."""
    for name, taken in saved.meta_graphs[0].signature_def[SIGNATURE].inputs.items():
        if taken.dtype == tf.string.as_datatype_enum:
            raise UserError(
                f"{path}: the signature {SIGNATURE!r} takes encoded images ({name!r} is of bytes), and bulklabel "
                "decodes them itself, to pixels that are the same everywhere; export the part behind the decoder, a "
                "function of (None, height, width, 3)."
            )


def _check_saved_model(saved: Any, path: str) -> None:
    """Checks a folder before TensorFlow loads it, which creates what the objects say and runs initializers."""
    meta_graph = saved.meta_graphs[0]
    for node in meta_graph.object_graph_def.nodes:
        if node.WhichOneof("kind") not in NODE_KINDS or node.saveable_objects:
            raise UserError(
                f"{path} holds a table, a file or code that loads it ({node.WhichOneof('kind')}); export the network "
                "alone, or give --trust_model_code if you trust its author."
            )
    _check_ops(meta_graph.graph_def, SAVED, path)


def _check_ops(graph: Any, allowed: re.Pattern[str], path: str) -> None:
    functions = {function.signature.name: function.node_def for function in graph.library.function}
    for place, nodes in {"the graph": graph.node, **functions}.items():
        for node in nodes:
            called = node.op in functions and op_def_registry.get(node.op) is None
            if not called and not allowed.fullmatch(node.op) and not _only_computes(node.op):
                raise UserError(
                    f"{path} may do more than compute: {node.name!r} in {place} is a {node.op}; export the network "
                    "without it, or give --trust_model_code if you trust its author."
                )


def _only_computes(op: str) -> bool:
    """Whether an op is known here, stateless, and has to do with numbers alone."""
    definition = op_def_registry.get(op)
    if definition is None or definition.is_stateful or RUNS_CODE.fullmatch(op):
        return False
    arguments = [*definition.input_arg, *definition.output_arg]
    return not any(argument.type in OPAQUE or argument.is_ref for argument in arguments)
