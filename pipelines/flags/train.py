"""The flags of `bulklabel train`."""

import argparse
import math

from bulklabel.model.training import EPOCHS, LOSSES, NETWORKS, RESIDUAL, TEXTBOOK
from bulklabel.pipelines.flags.common import (
    add_group_flag,
    add_input_flags,
    add_store_flags,
    add_truth_flags,
    fraction,
    positive,
    whole_number,
)
from bulklabel.pipelines.flags.package import add_decode_flag, add_limit_flags, add_range_flag, image_size
from bulklabel.pipelines.flags.parser import OUTPUT, TRAINING, TRUTH, CommandParser


def parser() -> CommandParser:
    """Makes the parser of the command line."""
    flags = CommandParser(
        "train",
        "Train the network on labelled images and write a model directory.",
        ("IMAGES…", "--output DIR"),
        "training on {input} into {output}",
        (
            "photos --output my/model",
            "'train/*.parquet' --output my/model --image_size 64 --epochs 20 --labels_column tags",
            "films --truth labels.csv --label_file labels.txt --group_by patient --output my/model",
        ),
    )
    training = flags.group(TRAINING)
    add_input_flags(flags)
    add_truth_flags(flags, "the input's")
    add_limit_flags(flags)
    flags.group(OUTPUT).add_argument("--output", required=True, metavar="DIR", help="model directory to write")
    flags.group(TRUTH).add_argument(
        "--label_file", metavar="FILE", help="text file with one label per line, in order (default: found in the data)"
    )
    start = training.add_mutually_exclusive_group()
    start.add_argument(
        "--network", choices=NETWORKS, default=NETWORKS[0], help="network to train from scratch (default: %(default)s)"
    )
    start.add_argument(
        "--from",
        dest="pretrained",
        metavar="MODEL_DIR",
        help="model directory whose network is trained further: its last layer is replaced and trained alone first, "
        "then all layers at a smaller rate",
    )
    training.add_argument(
        "--image_size", type=trainable_size, metavar="N|HxW", help="pixels (default: 32, or those of --from)"
    )
    training.add_argument(
        "--channels",
        type=int,
        choices=(1, 3),
        help="3: RGB; 1: images are converted to gray first, as by Pillow's mode L (default: 3, or as --from)",
    )
    add_decode_flag(flags, "scaled, or that of --from")
    add_range_flag(flags, "the range of each file's own depth, or that of --from")
    length = training.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs",
        type=positive,
        metavar="N",
        help="passes over the records; for textbook an upper limit "
        f"(default: {EPOCHS[RESIDUAL]}, {EPOCHS[TEXTBOOK]} for textbook, {EPOCHS[None]} with --from)",
    )
    length.add_argument("--minutes", type=minutes, metavar="M", help="instead: as many passes as fit into this time")
    training.add_argument(
        "--batch_size", type=positive, default=64, metavar="N", help="images per training step (default: %(default)s)"
    )
    training.add_argument(
        "--flip", action="store_true", help="mirror half of the images; only if left and right do not matter"
    )
    training.add_argument(
        "--loss",
        choices=LOSSES,
        default=LOSSES[0],
        help="loss function; asymmetric gives easy absent labels less weight (default: %(default)s)",
    )
    training.add_argument(
        "--validation_fraction",
        type=fraction,
        default=0.1,
        metavar="F",
        help="share of the records that are kept for validation, by a hash of their id or group (default: %(default)s)",
    )
    add_group_flag(flags)
    training.add_argument(
        "--seed", type=whole_number, default=0, metavar="N", help="equal seeds give equal models (default: 0)"
    )
    add_store_flags(flags)
    return flags


def minutes(text: str) -> float:
    """Parses a time in minutes.

    >>> minutes("2.5")
    2.5
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time in minutes; give a number above 0")
    return value


SMALLEST_SIDE = 7
"""Two convolutions of 3×3 and a pooling of 3 leave nothing of less."""


def trainable_size(text: str) -> tuple[int, int]:
    """Parses an image size that the network can be built for."""
    size = image_size(text)
    if min(size) < SMALLEST_SIDE:
        raise argparse.ArgumentTypeError(f"{text} is too small; give at least {SMALLEST_SIDE} pixels per side")
    return size
