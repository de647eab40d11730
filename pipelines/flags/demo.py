"""The flags of `bulklabel demo`."""

from bulklabel.pipelines.flags.parser import IMAGES, OUTPUT, TRAINING, CommandParser
from bulklabel.transforms.reading import FORMATS


def parser() -> CommandParser:
    """Makes the parser of the command line."""
    flags = CommandParser(
        "demo",
        "Make a corpus of handwritten digits, and score it with a small model that comes with bulklabel.",
        (),
        "the demo goes to {output}",
        ("", "--train", "--output /tmp/demo --input_format webdataset"),
    )
    flags.group(OUTPUT).add_argument(
        "--output", default="demo", metavar="DIR", help="folder for everything (default: demo)"
    )
    flags.group(IMAGES).add_argument(
        "--input_format",
        default="parquet",
        choices=tuple(FORMATS),
        help="format of the corpus (default: %(default)s)",
    )
    flags.group(TRAINING).add_argument(
        "--train", action="store_true", help="also train a model on such a corpus, and score with it"
    )
    return flags
