"""The flags of `bulklabel train`."""

import argparse

from bulklabel.pipelines.flags.common import (
    add_group_flag,
    add_input_flags,
    add_store_flags,
    add_truth_flags,
    fraction,
    image_size,
    positive,
)
from bulklabel.pipelines.flags.parser import CommandParser


def parser() -> CommandParser:
    """Makes the parser of the command line."""
    flags = CommandParser("train", "Train the network on labelled images and write a model directory.")
    add_input_flags(flags)
    add_truth_flags(flags, "the input's")
    flags.add_argument("--output", required=True, metavar="DIR", help="model directory to write")
    flags.add_argument("--label_file", metavar="FILE", help="labels, one a line, in order (default: found in the data)")
    flags.add_argument(
        "--image_size", type=trainable_size, default=(32, 32), metavar="N|HxW", help="pixels (default: 32)"
    )
    flags.add_argument("--epochs", type=positive, default=10, metavar="N", help="at most (default: %(default)s)")
    flags.add_argument("--batch_size", type=positive, default=64, metavar="N", help="(default: %(default)s)")
    flags.add_argument(
        "--validation_fraction",
        type=fraction,
        default=0.1,
        metavar="F",
        help="share of the records, by a hash of their id or group, kept to judge by (default: %(default)s)",
    )
    add_group_flag(flags)
    flags.add_argument("--seed", type=int, default=0, metavar="N", help="equal seeds, equal models (default: 0)")
    add_store_flags(flags)
    return flags


SMALLEST_SIDE = 7
"""Two convolutions of 3×3 and a pooling of 3 leave nothing of less."""


def trainable_size(text: str) -> tuple[int, int]:
    """Parses an image size that the network can be built for."""
    size = image_size(text)
    if min(size) < SMALLEST_SIDE:
        raise argparse.ArgumentTypeError(f"{text} is too small; give at least {SMALLEST_SIDE} pixels a side")
    return size
