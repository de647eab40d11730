"""`bulklabel package`: a user's own Keras network in, a model directory out."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.errors import UserError
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.model_directory import Model
from bulklabel.model.network.import_tensorflow import import_tensorflow
from bulklabel.model.versions import deciding_versions
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.flags.values import read_label_file
from bulklabel.pipelines.run_command import run_command
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.retry import fail_fast
from bulklabel.transforms.scoring.model_files import save_model

if TYPE_CHECKING:
    import keras

    from bulklabel.model.network.wrap import Scaling


def run(options: argparse.Namespace, pipeline_options: PipelineOptions) -> None:  # noqa: ARG001 (nothing runs on Beam)
    """Loads the network, wraps it, runs the golden images through it, and writes the model directory.

    Raises:
        UserError: if the network, the labels or the output cannot be used.
    """
    import_tensorflow()  # silently, before the modules that import it themselves
    from bulklabel.model.network.golden_images import add_golden
    from bulklabel.model.network.keras_archive import check_shapes, network_bytes
    from bulklabel.model.network.wrap import wrap_network
    from bulklabel.transforms.scoring.user_network import load_user_network

    current().output = options.output
    with fail_fast():
        labels = read_label_file(options.label_file)
        network = load_user_network(options.keras_model, options.trust_model_code)
    height, width = options.image_size or _size_of(network)
    preprocessing = Preprocessing(height, width, options.resize, options.fit, options.decode or "exact")
    check_shapes(network, options.keras_model, preprocessing, len(labels), ("--image_size", options.label_file))
    wrapped = wrap_network(network, options.keras_model, preprocessing, _scaling(options), options.outputs == "logits")
    files.check_writable(files.absolute(options.output))
    model = Model(labels, preprocessing, network_bytes(wrapped), provenance=_provenance(options))
    save_model(add_golden(model, options.keras_model, options.trust_model_code), options.output)
    print(f"model directory: {options.output}")


def _scaling(options: argparse.Namespace) -> "Scaling":
    from bulklabel.model.network.wrap import Scaling

    if options.mean is not None:
        return Scaling.normalized(options.mean, options.std)
    low, high = options.input_range.split(",")
    return Scaling.to_range(float(low), float(high))


def _size_of(network: "keras.Model") -> tuple[int, int]:
    shape = tuple(network.inputs[0].shape) if getattr(network, "inputs", None) else ()
    if len(shape) != 4 or None in shape[1:3]:
        raise UserError("the network says no size for its images; give one by --image_size.")
    return shape[1], shape[2]


def _provenance(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "bulklabel": version("bulklabel"),
        "versions": deciding_versions(),
        "keras_model": options.keras_model,
        "input_range": options.input_range,
        "mean": options.mean,
        "std": options.std,
        "outputs": options.outputs,
        "trust_model_code": options.trust_model_code,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bulklabel package`; returns the exit code."""
    return run_command("package", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
