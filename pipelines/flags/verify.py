"""The flags of `bulklabel verify`."""

from bulklabel.pipelines.flags.common import (
    add_store_flags,
    add_trust_flag,
    not_negative,
)
from bulklabel.pipelines.flags.parser import OUTPUT, CommandParser, words_first
from bulklabel.pipelines.flags.score import add_golden_flag


def parser() -> CommandParser:
    """Makes the parser of the command line."""
    flags = CommandParser(
        "verify",
        "Check every file of a finished run, evaluation or comparison.",
        ("RUN",),
        "",  # each line on stdout is a fault
        ("my/scores", "my/scores --sample 100", "my/scores --sample 1000 --model models/where_it_is_now"),
        words_first(("run",), "with Beam's flags the run comes first: `bulklabel verify RUN …`."),
    )
    output = flags.group(OUTPUT)
    output.add_argument("run", metavar="RUN", help="the --output of a finished `score`, `evaluate` or `compare`")
    output.add_argument("--model", metavar="DIR", help="where the run's model directory is now (default: where it was)")
    output.add_argument(
        "--sample",
        type=not_negative,
        default=0,
        metavar="N",
        help="number of records to read from the input and score again (default: %(default)s)",
    )
    add_trust_flag(flags)
    add_golden_flag(flags)
    add_store_flags(flags)
    return flags
