"""`bulklabel package`: a user's own Keras network in, a model directory out."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bulklabel.model.errors import UserError
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.run import run_command
from bulklabel.pipelines.flags.common import (
    CommandParser,
    add_store_flags,
    add_trust_flag,
    image_size,
    read_label_file,
    store_flags,
)
from bulklabel.pipelines.runners.beam_options import beam_options

if TYPE_CHECKING:
    import keras

    from bulklabel.model.network.wrap import Scaling


def parser() -> CommandParser:
    """The flags of `package`."""
    flags = CommandParser("package", "Make a model directory from your own Keras network.")
    flags.add_argument("--keras_model", required=True, metavar="PATH", help="a .keras file, or a SavedModel's folder")
    flags.add_argument("--label_file", required=True, metavar="FILE", help="labels, one a line, in the outputs' order")
    flags.add_argument("--output", required=True, metavar="DIR", help="model directory to write")
    flags.add_argument(
        "--image_size", type=image_size, metavar="N|HxW", help="pixels (default: the network's, where it says one)"
    )
    flags.add_argument(
        "--resize",
        default="bilinear",
        choices=("bilinear", "area", "bicubic"),
        help="how images are brought to that size (default: %(default)s)",
    )
    flags.add_argument(
        "--fit",
        default="stretch",
        choices=("stretch", "pad", "crop"),
        help="what becomes of another aspect ratio: ignored, kept on black, or cut to (default: %(default)s)",
    )
    expects = flags.add_mutually_exclusive_group(required=True)
    expects.add_argument(
        "--input_range",
        choices=("0,255", "0,1", "-1,1"),
        metavar="LOW,HIGH",
        help="what it was trained on: --input_range=0,255, --input_range=0,1 or --input_range=-1,1",
    )
    expects.add_argument(
        "--mean", type=channels, metavar="R,G,B", help="or: the mean that was taken off pixels of 0 to 1; with --std"
    )
    flags.add_argument(
        "--std", type=channels, metavar="R,G,B", help="and the standard deviation they were divided by then"
    )
    flags.add_argument(
        "--outputs",
        default="probabilities",
        choices=("probabilities", "logits"),
        help="what the network ends in; logits get a sigmoid (default: %(default)s)",
    )
    add_trust_flag(flags)
    add_store_flags(flags)
    return flags


def channels(text: str) -> tuple[float, ...]:
    """Three numbers, for red, green and blue, from `0.485,0.456,0.406`."""
    values = tuple(float(value) for value in text.split(","))
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"{text} is not three numbers, like 0.485,0.456,0.406")
    return values


def package(argv: Sequence[str]) -> None:
    """Load the network, wrap it, run the golden images through it, and write the model directory.

    Raises:
        UserError: if the command line, the network, the labels or the output cannot be used.
    """
    flags = parser()
    options, rest = flags.parse_known_args(argv)
    beam_options([*rest, *store_flags(options)], flags)
    _check_normalization(options.mean, options.std)

    from bulklabel.model.network.import_tensorflow import import_tensorflow
    from bulklabel.transforms.files import files

    import_tensorflow()
    from bulklabel.model.images.resize import Preprocessing
    from bulklabel.model.model_directory import Model
    from bulklabel.model.network.golden_images import add_golden
    from bulklabel.model.network.keras_archive import check_shapes, network_bytes
    from bulklabel.model.network.wrap import wrap_network
    from bulklabel.transforms.files.stores.retry import planning
    from bulklabel.transforms.scoring.model_files import save_model
    from bulklabel.transforms.scoring.user_network import load_user_network

    current().output = options.output
    with planning():
        labels = read_label_file(options.label_file)
        network = load_user_network(options.keras_model, options.trust_model_code)
    height, width = options.image_size or _size_of(network)
    preprocessing = Preprocessing(height, width, options.resize, options.fit)
    check_shapes(network, options.keras_model, preprocessing, len(labels), ("--image_size", options.label_file))
    wrapped = wrap_network(network, options.keras_model, preprocessing, _scaling(options), options.outputs == "logits")
    files.check_writable(files.absolute(options.output))
    model = Model(labels, preprocessing, network_bytes(wrapped), provenance=_provenance(options))
    save_model(add_golden(model, options.keras_model, options.trust_model_code), options.output)
    print(f"model directory: {options.output}")


def _check_normalization(mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> None:
    if (mean is None) != (std is None):
        raise UserError("--mean and --std go together; give three numbers for each.")
    if mean is not None and std is not None and not (min(std) > 0 and max(*mean, *std) <= 1):
        raise UserError(
            "--mean and --std are of pixels from 0 to 1, deviations above 0; divide those of 0 to 255 by 255."
        )


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
    from importlib.metadata import version

    from bulklabel.model.versions import deciding_versions

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
    """Run `package`; the exit code."""
    return run_command(package, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
