"""The flags of `bulklabel package`."""

import argparse
from collections.abc import Sequence

from bulklabel.model.errors import UserError
from bulklabel.pipelines.flags.common import (
    add_decode_flag,
    add_store_flags,
    add_trust_flag,
    image_size,
    number,
)
from bulklabel.pipelines.flags.parser import NETWORK, OUTPUT, CommandParser


def parser() -> CommandParser:
    """Makes the parser of the command line."""
    flags = CommandParser(
        "package",
        "Make a model directory from your own Keras or ONNX network.",
        ("--keras_model PATH | --onnx_model FILE", "--label_file FILE", "--output DIR"),
        "packaging a network into {output}",
        (
            "--keras_model net.keras --label_file labels.txt --output my/model --input_range=0,1",
            "--keras_model saved_model --label_file labels.txt --output my/model --input_range=0,255 --image_size 224",
            "--keras_model net.keras --label_file labels.txt --output my/model --mean 0.485,0.456,0.406 "
            "--std 0.229,0.224,0.225 --outputs logits",
            "--onnx_model net.onnx --label_file labels.txt --output my/model --mean 0.485,0.456,0.406 "
            "--std 0.229,0.224,0.225 --outputs logits",
        ),
        _check,
    )
    network = flags.group(NETWORK)
    given = network.add_mutually_exclusive_group(required=True)
    given.add_argument("--keras_model", metavar="PATH", help="a .keras file, or a SavedModel's folder")
    given.add_argument("--onnx_model", metavar="FILE", help="or: an .onnx file, as PyTorch and others export")
    network.add_argument(
        "--output_name",
        action="append",
        default=[],
        metavar="NAME",
        help="an output of a network that has several; repeat it in the order of the labels",
    )
    network.add_argument(
        "--label_file",
        required=True,
        metavar="FILE",
        help="text file with one label per line, in the order of the outputs",
    )
    flags.group(OUTPUT).add_argument("--output", required=True, metavar="DIR", help="model directory to write")
    network.add_argument(
        "--image_size", type=image_size, metavar="N|HxW", help="pixels (default: the network's, where it says one)"
    )
    network.add_argument(
        "--resize",
        default="bilinear",
        choices=("bilinear", "area", "bicubic"),
        help="how images are brought to that size (default: %(default)s)",
    )
    network.add_argument(
        "--fit",
        default="stretch",
        choices=("stretch", "pad", "crop"),
        help="what becomes of another aspect ratio: ignored, kept on black, or cut to (default: %(default)s)",
    )
    add_decode_flag(flags, "exact")
    expects = network.add_mutually_exclusive_group(required=True)
    expects.add_argument(
        "--input_range",
        choices=("0,255", "0,1", "-1,1"),
        metavar="LOW,HIGH",
        help="what it was trained on: --input_range=0,255, --input_range=0,1 or --input_range=-1,1",
    )
    expects.add_argument(
        "--mean", type=channels, metavar="R,G,B", help="or: the mean that was taken off pixels of 0 to 1; with --std"
    )
    network.add_argument(
        "--std", type=channels, metavar="R,G,B", help="and the standard deviation they were divided by then"
    )
    network.add_argument(
        "--outputs",
        default="probabilities",
        choices=("probabilities", "logits"),
        help="what the network ends in; logits get a sigmoid (default: %(default)s)",
    )
    add_trust_flag(flags)
    add_store_flags(flags)
    return flags


def channels(text: str) -> tuple[float, ...]:
    """Parses three numbers, for red, green and blue, from `0.485,0.456,0.406`, or one for all channels.

    >>> channels("0.485,0.456,0.406")
    (0.485, 0.456, 0.406)
    """
    values = tuple(number(value) for value in text.split(","))
    if len(values) not in (1, 3):
        raise argparse.ArgumentTypeError(f"{text} is neither three numbers, like 0.485,0.456,0.406, nor one")
    return values


def _check(options: argparse.Namespace, _argv: Sequence[str], _beam_flags: Sequence[str]) -> None:
    if options.onnx_model is not None and options.trust_model_code:
        raise UserError(
            "--trust_model_code is for --keras_model; an ONNX network is made of operators, and has no code."
        )
    mean, std = options.mean, options.std
    if (mean is None) != (std is None) or (mean is not None and len(mean) != len(std)):
        raise UserError("--mean and --std go together; give three numbers for each, or one for a gray network.")
    if mean is not None and std is not None and not (min(std) > 0 and max(*mean, *std) <= 1):
        raise UserError(
            "--mean and --std are of pixels from 0 to 1, deviations above 0; divide those of 0 to 255 by 255."
        )
