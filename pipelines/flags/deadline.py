"""`--deadline`: how long a run may go on."""

import argparse
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bulklabel.transforms.scoring.deadline import Deadline

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def add_deadline_flags(parser: argparse.ArgumentParser) -> None:
    """The flag that says it."""
    parser.add_argument(
        "--deadline",
        type=duration,
        metavar="TIME",
        help="seconds, or like 90m or 5h, from the start of the command: then no further shard is begun, and the run "
        "ends with exit code 1 (default: none)",
    )


def duration(text: str) -> "Deadline":
    """A flag's value: the moment that is so many seconds, minutes or hours from now."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text} is no time; give seconds, or a number like 90m or 5h")
    moment = time.time() + float(found[1]) * UNITS[found[2]]
    from bulklabel.transforms.scoring.deadline import Deadline  # imports Beam, which takes two of these seconds

    return Deadline(moment, text if found[2] else f"{text} seconds")
