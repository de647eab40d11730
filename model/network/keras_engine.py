"""Runs Keras networks by TensorFlow, as graphs of one batch shape each."""

import contextlib
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf
from tensorflow.core.protobuf.config_pb2 import ConfigProto
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.eager import context as eager

from bulklabel.model.errors import UserError
from bulklabel.model.images.resize import Pixels
from bulklabel.model.model_directory import Model
from bulklabel.model.network.engine import Engine, RunBatch
from bulklabel.model.network.keras_archive import check_shapes, load_network
from bulklabel.model.network.precision import BFLOAT16, FLOAT32, TENSORFLOAT32, Probabilities
from bulklabel.model.versions import processor


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Has graphs that this thread runs compute in a precision, and leaves all else in the process as it is.

    TensorFlow's public option is the whole process's: a network that is trained after a run would be rounded by it.
    """
    if precision != BFLOAT16:
        yield
        return
    context = eager.context()
    before = context.function_call_options
    config = ConfigProto.FromString(before.config_proto_serialized)
    config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = RewriterConfig.ON
    context.function_call_options = eager.FunctionCallOptions(before.executor_type, config)
    try:
        yield
    finally:
        context.function_call_options = before


def answers_of(network: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns what a network answers with, N×L float32, as a function of pixels, N×H×W×3: in training as in scoring."""
    return lambda images: tf.cast(network(tf.cast(images, tf.float32), training=False), tf.float32)


class KerasEngine(Engine):
    """Runs the network of a `model.keras`."""

    def __init__(self, model: Model, path: str, trusted: bool) -> None:
        """Loads the network; `path` is for messages, `trusted` lets code in it run.

        Raises:
            UserError: if it cannot or must not be loaded, or its shapes are not those of the images and labels.
        """
        self.network = load_network(model.network, path, trusted)
        check_shapes(self.network, path, model.preprocessing, len(model.labels))
        self._image_shape = (model.preprocessing.height, model.preprocessing.width, 3)
        self.fixed_batch = self.network.inputs[0].shape[0]
        self.compute_in(FLOAT32)

    @property
    def device(self) -> str:
        """The name of what computes: the first GPU that TensorFlow uses, or the processor."""
        gpus = tf.config.get_visible_devices("GPU")
        return str(tf.config.experimental.get_device_details(gpus[0])["device_name"]) if gpus else processor()

    def compute_in(self, precision: str) -> None:
        """Has the network compute in a precision; TensorFloat-32, which GPUs use unasked, in no other.

        TensorFlow knows TensorFloat-32 for the whole process alone.

        Raises:
            UserError: if it is TensorFloat-32 and there is no GPU.
        """
        if precision == TENSORFLOAT32 and not tf.config.get_visible_devices("GPU"):
            raise UserError(
                f"--precision {precision}: TensorFlow finds no GPU here, and no processor computes in it; leave the "
                "flag out."
            )
        tf.config.experimental.enable_tensor_float_32_execution(precision == TENSORFLOAT32)
        self.precision = precision

    def compile(self, size: int) -> RunBatch:
        """Returns the network for batches of `size` images.

        It is one graph of one shape: TensorFlow would warn of tracing too many of a process's networks.
        """
        graph = tf.function(
            answers_of(self.network),
            input_signature=[tf.TensorSpec((size, *self._image_shape), tf.uint8)],
        ).get_concrete_function()

        def run(images: Pixels) -> Probabilities:
            with computing_in(self.precision):
                probabilities: Probabilities = graph(tf.constant(images)).numpy()
            return probabilities

        return run

    def is_out_of_memory(self, error: Exception) -> bool:
        """Tells whether an error says that the memory does not suffice."""
        if isinstance(error, tf.errors.AbortedError):
            return "a primitive" in str(error)  # oneDNN finds no memory for its code or its scratch space
        return isinstance(error, tf.errors.ResourceExhaustedError)
