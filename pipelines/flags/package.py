"""The flags of `bulklabel package`, and those of images that other commands share."""

import argparse
from collections.abc import Sequence

from bulklabel.model.errors import UserError
from bulklabel.model.images.limits import BYTES_A_PIXEL, MAX_PIXELS, MOST_PIXELS, REJECT, TRUNCATED
from bulklabel.pipelines.flags.common import (
    add_store_flags,
    add_trust_flag,
    number,
    positive,
)
from bulklabel.pipelines.flags.parser import IMAGES, NETWORK, OUTPUT, CommandParser, LineParser


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
        "--image_size", type=image_size, metavar="N|HxW", help="pixels (default: the network's, if it is fixed)"
    )
    network.add_argument(
        "--resize",
        default="bilinear",
        choices=("bilinear", "area", "bicubic"),
        help="filter for resizing images (default: %(default)s)",
    )
    network.add_argument(
        "--fit",
        default="stretch",
        choices=("stretch", "pad", "crop"),
        help="how images with another aspect ratio are fitted: distorted, padded with black, or cropped "
        "(default: %(default)s)",
    )
    add_decode_flag(flags, "exact")
    add_range_flag(flags, "the range of each file's own depth")
    expects = network.add_mutually_exclusive_group(required=True)
    expects.add_argument(
        "--input_range",
        type=value_range,
        metavar="LOW,HIGH",
        help="range of pixel values in training, such as --input_range=0,255, --input_range=0,1 or --input_range=-1,1",
    )
    expects.add_argument(
        "--mean",
        type=channels,
        metavar="R,G,B",
        help="or: the mean that was subtracted from pixels of 0 to 1; with --std",
    )
    network.add_argument(
        "--std",
        type=channels,
        metavar="R,G,B",
        help="the standard deviation that they were then divided by; with --mean",
    )
    network.add_argument(
        "--outputs",
        default="probabilities",
        choices=("probabilities", "logits"),
        help="what the network returns; a sigmoid is added to logits (default: %(default)s)",
    )
    add_trust_flag(flags)
    add_store_flags(flags)
    return flags


def add_limit_flags(parser: LineParser) -> None:
    """Adds the flags that say how large an image may be, and whether one may lack pixels."""
    group = parser.group(IMAGES)
    group.add_argument(
        "--max_pixels",
        type=pixel_count,
        default=MAX_PIXELS,
        metavar="N",
        help=f"images whose headers have more are rejected; each thread needs up to {BYTES_A_PIXEL} bytes per pixel to "
        f"decode one, {MAX_PIXELS * BYTES_A_PIXEL / 2**30:.1f} GiB at the default (default: {MAX_PIXELS:,})",
    )
    group.add_argument(
        "--truncated",
        default=REJECT,
        choices=TRUNCATED,
        help="whether an image that is cut off, so that pixels are missing, is rejected, or used with black in their "
        "place (default: %(default)s)",
    )


def add_decode_flag(parser: LineParser, default: str) -> None:
    """Adds the flag for how large JPEG files are decoded; it is None where it was not given."""
    parser.group(IMAGES).add_argument(
        "--decode",
        choices=("exact", "scaled"),
        help="whether large JPEG files are decoded in full, or at a reduced size of at least twice the image size, in "
        f"a third of the time (default: {default})",
    )


def add_range_flag(parser: LineParser, default: str) -> None:
    """Adds the flag for the range of files of more than 8 bits; it is None where it was not given."""
    parser.group(IMAGES).add_argument(
        "--pixel_range",
        type=value_range,
        metavar="LOW,HIGH",
        help="the values of black and white in PNG, TIFF, JPEG 2000 and DICOM files of more than 8 bits, such as "
        f"0,4095, or --pixel_range=-1024,1024 (default: {default})",
    )


def image_size(text: str) -> tuple[int, int]:
    """Parses height and width in pixels from `32` or `48x64`.

    >>> image_size("48x64")
    (48, 64)
    """
    sides = [positive(side) for side in text.lower().split("x")]
    if len(sides) > 2:
        raise argparse.ArgumentTypeError(f"{text} is not a number or two, like 32 or 48x64")
    return sides[0], sides[-1]


def value_range(text: str) -> tuple[float, float]:
    """Parses two numbers, the second of which is greater.

    >>> value_range("-1024,1024")
    (-1024.0, 1024.0)
    """
    ends = [number(end) for end in text.split(",")]
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise argparse.ArgumentTypeError(f"{text} is not a range of two numbers, like 0,255 or -1,1")
    return ends[0], ends[1]


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
            "--mean and --std are for pixels from 0 to 1, and --std is above 0; divide numbers for 0 to 255 by 255."
        )


def pixel_count(text: str) -> int:
    """Parses a number of pixels that can be decoded.

    >>> pixel_count("1000000")
    1000000
    """
    value = positive(text)
    if value > MOST_PIXELS:
        raise argparse.ArgumentTypeError(f"{text} is more than can be decoded, {MOST_PIXELS:,}")
    return value
