"""The flags of `bulklabel demo`."""

from bulklabel.pipelines.flags.parser import CommandParser
from bulklabel.transforms.reading import FORMATS


def parser() -> CommandParser:
    """Makes the parser of the command line."""
    flags = CommandParser("demo", "Make a corpus of handwritten digits, train on it, and score what was held out.")
    flags.add_argument("--output", default="demo", metavar="DIR", help="where all of it goes (default: demo)")
    flags.add_argument(
        "--input_format",
        default="parquet",
        choices=tuple(FORMATS),
        help="how the corpus is laid out (default: %(default)s)",
    )
    return flags
