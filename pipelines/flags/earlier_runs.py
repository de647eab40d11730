"""The flags of `score` that say which earlier runs' answers are good enough to be used again."""

import argparse

from bulklabel.model.errors import UserError

FILE, CONTENT = "file", "content"


def add_since_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that name earlier runs, and say what becomes of their answers."""
    parser.add_argument(
        "--since",
        action="append",
        default=[],
        metavar="DIR",
        help="the --output of a finished run: what it scored in the same way is not scored again; repeatable",
    )
    parser.add_argument(
        "--carry_over", action="store_true", help="write the answers of --since too, so that the output is complete"
    )
    parser.add_argument(
        "--match",
        default=FILE,
        choices=(FILE, CONTENT),
        help="what was scored before: files by path, size and time, or images by their bytes, too (default: file)",
    )


def check_since_flags(options: argparse.Namespace) -> None:
    """Checks that there are earlier runs if their answers are to be carried over.

    Raises:
        UserError: if there are none.
    """
    if options.carry_over and not options.since:
        raise UserError("--carry_over has nothing to carry over; name the earlier runs by --since.")
