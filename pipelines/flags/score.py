"""The flags of `bulklabel score`."""

import argparse
from collections.abc import Sequence

from bulklabel.model.errors import UserError
from bulklabel.model.network import TOLERANCE
from bulklabel.pipelines.flags.common import (
    CONTENT,
    LISTING,
    STOP,
    add_deadline_flags,
    add_evaluation_flags,
    add_gate_flags,
    add_group_flag,
    add_input_flags,
    add_since_flags,
    add_store_flags,
    add_textfile_flags,
    add_trust_flag,
    add_truth_flags,
    fraction,
    seconds,
)
from bulklabel.pipelines.flags.package import add_limit_flags
from bulklabel.pipelines.flags.parser import IMAGES, METRICS, OUTPUT, REQUIREMENTS, RUNNING, CommandParser, LineParser

USAGE = ("IMAGES…", "--model DIR", "--output DIR")


def parser() -> CommandParser:
    """Makes the parser of the command line."""
    flags = CommandParser(
        "score",
        "Score images with a model directory: predictions, metrics, report.",
        USAGE,
        "scoring {input} with {model} into {output}",
        (
            "photos --model my/model --output my/scores",
            "'shards/{000..127}.tar' --model my/model --output my/scores --threshold 0.8 --slice_by camera",
            "tonight --model my/model --output my/tonight --since my/last_night --require 'rejected_fraction<=0.01'",
        ),
        check,
    )
    add_score_flags(flags)
    add_textfile_flags(flags)
    return flags


def add_score_flags(flags: CommandParser) -> None:
    """Adds the flags that say what is scored, how, and what is asked of the run."""
    add_input_flags(flags)
    add_truth_flags(flags, "the input's")
    add_limit_flags(flags)
    flags.group(IMAGES).add_argument(
        "--carry",
        action="append",
        default=[],
        metavar="NAME",
        help="column, feature or field to copy to the predictions, as text; repeatable",
    )
    output, running = flags.group(OUTPUT), flags.group(RUNNING)
    output.add_argument("--model", required=True, metavar="DIR", help="model directory")
    output.add_argument("--output", required=True, metavar="DIR", help="folder for the run")
    output.add_argument("--overwrite", action="store_true", help="replace what another plan left in --output")
    output.add_argument(
        "--layout",
        default="wide",
        choices=("wide", "list"),
        help="one column per label, or one column of lists (default: wide)",
    )
    flags.group(METRICS).add_argument(
        "--threshold",
        metavar="T",
        help="a number for all labels, `tuned`, or a thresholds file (default: tuned if the model has them, else 0.5)",
    )
    flags.group(REQUIREMENTS).add_argument(
        "--max_rejected_fraction",
        type=fraction,
        default=0.05,
        metavar="F",
        help="if more are rejected, the run fails, with everything published except _SUCCESS (default: %(default)s)",
    )
    running.add_argument(
        "--decode_timeout",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="images that take longer to decode are rejected (default: 60)",
    )
    running.add_argument(
        "--precision",
        default="float32",
        choices=("float32", "bfloat16", "tensorfloat32"),
        help="precision of the network; bfloat16 is faster on processors that have it, tensorfloat32 on GPUs; their "
        "answers are first compared with those of float32 (default: float32)",
    )
    running.add_argument(
        "--identity",
        default=LISTING,
        choices=(LISTING, CONTENT),
        help="how changed inputs are recognised: by size and time (or the store's version), or by a hash of their "
        "bytes, for which each is read once more (default: listing)",
    )
    running.add_argument(
        "--changed_input",
        default="reject",
        choices=("reject", STOP),
        help="if an input has changed since the run was planned: reject its records, or stop (default: reject)",
    )
    add_group_flag(flags)
    add_evaluation_flags(flags)
    add_gate_flags(flags)
    add_since_flags(flags)
    add_trust_flag(flags)
    add_golden_flag(flags)
    add_store_flags(flags)
    add_deadline_flags(flags)


def add_golden_flag(parser: LineParser) -> None:
    """Adds the flag for how far a model's answers may be from those where it was made."""
    parser.group(RUNNING).add_argument(
        "--golden_tolerance",
        type=fraction,
        default=TOLERANCE,
        metavar="P",
        help="how much probabilities of the golden images may differ from those on the machine that made the model; "
        "GPUs may need more (default: %(default)s)",
    )


def check(options: argparse.Namespace, _argv: Sequence[str], _beam_flags: Sequence[str]) -> None:
    """Checks what one flag demands of another.

    Raises:
        UserError: if it is not so.
    """
    if options.carry_over and not options.since:
        raise UserError("--carry_over has nothing to carry over; name the earlier runs with --since.")
