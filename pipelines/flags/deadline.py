"""`--deadline`: how long a run may go on."""

import argparse
import re
import time

from bulklabel.transforms.concurrency.deadline import Deadline

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def add_deadline_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that limits a run's time."""
    parser.add_argument(
        "--deadline",
        type=duration,
        metavar="TIME",
        help="seconds, or like 90m or 5h, from the start of the command: then no further shard is begun, and the run "
        "ends with exit code 1 (default: none)",
    )


def duration(text: str) -> Deadline:
    """Parses the moment that is so many seconds, minutes or hours from now."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is no time; give seconds, or a number like 90m or 5h")
    moment = time.time() + float(match[1]) * UNITS[match[2]]
    return Deadline(moment, text if match[2] else f"{text} seconds")
