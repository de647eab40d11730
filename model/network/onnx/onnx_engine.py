"""Runs ONNX networks by ONNX Runtime on the processor, each session for one batch shape."""

import re
from typing import Any

import onnx
import onnxruntime
from onnx import TensorProto

from bulklabel.model.errors import UserError, first_line
from bulklabel.model.images.resize import Pixels
from bulklabel.model.model_directory import DESCRIPTION_FILE, MAKE_AGAIN, Model
from bulklabel.model.network.engine import Engine, RunBatch, threads_per_batch
from bulklabel.model.network.onnx.check_onnx import check_no_external_data, check_operators, parse_onnx
from bulklabel.model.network.precision import Probabilities, check_precision
from bulklabel.model.versions import ONNX

BATCH = "bulklabel_batch"
"""The name of the number of images in the shapes of a wrapped network, where that is free."""

PROVIDERS = ("CPUExecutionProvider",)
FATAL = 4
"""The severity from which on ONNX Runtime writes to stderr; errors are raised besides."""

OUT_OF_MEMORY = re.compile(r"bad_alloc|[Ff]ailed to allocate|smaller than requested bytes|out of memory")
SOURCE_PLACE = re.compile(r"^(\[ONNXRuntimeError\] : \d+ : \w+ : )?(\S*\.(cc|h):\d+ .*?\) (?=[A-Z(]))?")
"""What ONNX Runtime puts before the words of an error."""


def words_of(error: Exception) -> str:
    """Returns what an error of ONNX Runtime says, without the place in its source.

    >>> words_of(ValueError("[ONNXRuntimeError] : 1 : FAIL : /src/model.cc:256 Model(int&) Unsupported model"))
    'Unsupported model'
    """
    return SOURCE_PLACE.sub("", first_line(error))


def make_session(network: bytes, batch: int | None = None) -> Any:
    """Loads a wrapped network, for batches of one size where the network leaves it open; errors are ONNX Runtime's."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = threads_per_batch()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other threads decode meanwhile
    # Quantized networks: processors without VNNI would clip sums of products to 16 bits, and answer otherwise.
    options.add_session_config_entry("session.x64quantprecision", "1")
    if batch is not None:
        options.add_free_dimension_override_by_name(BATCH, batch)
    return onnxruntime.InferenceSession(network, options, providers=list(PROVIDERS))


def _side(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    """Returns the size of one side of a shape, or its name where it is free."""
    return dim.dim_value or dim.dim_param or None


class OnnxEngine(Engine):
    """Runs the network of a `model.onnx`."""

    def __init__(self, model: Model, path: str) -> None:
        """Checks the network; `path` is for messages.

        Raises:
            UserError: if it cannot or must not be loaded, or its shapes are not those of the images and labels.
        """
        self._network, self._path = model.network, path
        parsed = parse_onnx(model.network, path)
        check_operators(parsed, path)
        check_no_external_data(parsed, path)
        self._check_shapes(parsed.graph, model)

    def _check_shapes(self, graph: onnx.GraphProto, model: Model) -> None:
        taken, answers = ([item.type.tensor_type for item in items] for items in (graph.input, graph.output))
        size, labels = [model.preprocessing.height, model.preprocessing.width, 3], len(model.labels)
        types = [tensor.elem_type for tensor in (*taken, *answers)]
        if types != [TensorProto.UINT8, TensorProto.FLOAT] or len(taken[0].shape.dim) != 4:
            raise UserError(f"{self._path} is not a wrapped network of a model directory; {MAKE_AGAIN}.")
        (batch, *rest), outputs = ([_side(dim) for dim in tensor.shape.dim] for tensor in (*taken, *answers))
        if rest != size:
            raise UserError(
                f"{self._path} takes images of the shape {tuple(rest)}, but {DESCRIPTION_FILE} says {tuple(size)} "
                f"(image_size); {MAKE_AGAIN}."
            )
        if outputs[1:] != [labels]:
            raise UserError(
                f"{self._path} has outputs of the shape {tuple(outputs)}, but {DESCRIPTION_FILE} lists "
                f"{labels} labels; {MAKE_AGAIN}."
            )
        self.fixed_batch = batch if isinstance(batch, int) else None

    def compute_in(self, precision: str) -> None:
        """Does nothing for float32: the network says itself what it computes in.

        Raises:
            UserError: if it is another precision.
        """
        check_precision(ONNX, precision)

    def compile(self, size: int) -> RunBatch:
        """Returns the network for batches of `size` images."""
        session = self._session(None if self.fixed_batch else size)
        (name,), (answers,) = ([item.name for item in items] for items in (session.get_inputs(), session.get_outputs()))

        def run(images: Pixels) -> Probabilities:
            probabilities: Probabilities = session.run([answers], {name: images})[0]
            return probabilities

        return run

    def is_out_of_memory(self, error: Exception) -> bool:
        """Tells whether an error says that the memory does not suffice."""
        return type(error).__module__.startswith("onnxruntime") and bool(OUT_OF_MEMORY.search(str(error)))

    def _session(self, batch: int | None) -> Any:
        try:
            return make_session(self._network, batch)
        except Exception as error:  # ONNX Runtime's types have no common one
            if self.is_out_of_memory(error):
                raise
            raise UserError(
                f"{self._path} cannot be loaded by ONNX Runtime {onnxruntime.__version__} ({words_of(error)}); "
                f"{MAKE_AGAIN}."
            ) from error
