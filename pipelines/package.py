"""`bulklabel package`: a user's own network in, a model directory out."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.model_directory import Model
from bulklabel.model.network.golden_images import add_golden
from bulklabel.model.network.import_tensorflow import import_tensorflow
from bulklabel.model.network.interface import Interface, Scaling
from bulklabel.model.versions import KERAS, ONNX, deciding_versions
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.flags.values import read_label_file
from bulklabel.pipelines.run_command import run_command
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.retry import fail_fast
from bulklabel.transforms.scoring.model_files import save_model
from bulklabel.transforms.scoring.user_network import load_user_network, read_user_onnx


def run(options: argparse.Namespace, pipeline_options: PipelineOptions) -> None:  # noqa: ARG001 (nothing runs on Beam)
    """Loads the network, wraps it, runs the golden images through it, and writes the model directory.

    Raises:
        UserError: if the network, the labels or the output cannot be used.
    """
    current().output = options.output
    with fail_fast():
        labels = read_label_file(options.label_file)
        wrapped = _wrap_keras(options, labels) if options.keras_model else _wrap_onnx(options, labels)
    decode = options.decode or "exact"
    preprocessing = Preprocessing(*wrapped.image_size, options.resize, options.fit, decode, options.pixel_range)
    files.check_writable(files.absolute(options.output))
    provenance = _provenance(options, wrapped.engine)
    model = Model(labels, preprocessing, wrapped.network, provenance=provenance, engine=wrapped.engine)
    save_model(add_golden(model, wrapped.path, options.trust_model_code), options.output)
    print(f"model directory: {options.output}")


@dataclass(frozen=True)
class Wrapped:
    """Holds a network's bytes as the model directory has them, for an engine, and the height and width of its images.

    `path` is where it came from.
    """

    network: bytes
    engine: str
    image_size: tuple[int, int]
    path: str


def _wrap_keras(options: argparse.Namespace, labels: Sequence[str]) -> Wrapped:
    import_tensorflow()  # silently, before the modules that import it themselves
    from bulklabel.model.network.keras_archive import network_bytes
    from bulklabel.model.network.wrap import wrap_network

    path = options.keras_model
    network = wrap_network(load_user_network(path, options.trust_model_code), path, _interface(options, labels))
    _, height, width, _ = network.inputs[0].shape
    return Wrapped(network_bytes(network), KERAS, (height, width), path)


def _wrap_onnx(options: argparse.Namespace, labels: Sequence[str]) -> Wrapped:
    network, image_size = read_user_onnx(options.onnx_model, _interface(options, labels))
    return Wrapped(network, ONNX, image_size, options.onnx_model)


def _interface(options: argparse.Namespace, labels: Sequence[str]) -> Interface:
    if options.mean is not None:
        scaling = Scaling.normalized(options.mean, options.std)
    else:
        scaling = Scaling.to_range(*options.input_range)
    logits, outputs = options.outputs == "logits", tuple(options.output_name)
    return Interface(options.image_size, scaling, logits, len(labels), options.label_file, outputs)


def _provenance(options: argparse.Namespace, engine: str) -> dict[str, Any]:
    return {
        "bulklabel": version("bulklabel"),
        "versions": deciding_versions(engine),
        "keras_model": options.keras_model,
        "onnx_model": options.onnx_model,
        "input_range": options.input_range,
        "mean": options.mean,
        "std": options.std,
        "outputs": options.outputs,
        "output_name": options.output_name,
        "trust_model_code": options.trust_model_code,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bulklabel package`; returns the exit code."""
    return run_command("package", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
