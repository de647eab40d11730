"""What all commands' flags have in common: how they are parsed, checked, and split from Beam's own."""

import argparse
from typing import TYPE_CHECKING

from bulklabel.model.errors import UserError
from bulklabel.pipelines.console.logs import add_log_flags
from bulklabel.pipelines.console.parser import LineParser
from bulklabel.transforms.reading import FORMATS

if TYPE_CHECKING:
    from bulklabel.model.metrics import Goal
    from bulklabel.transforms.reading.records import Columns

DAY = 86_400


class CommandParser(LineParser):
    """A parser of `--snake_case` flags without prefix abbreviations."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(
            prog=f"bulklabel {command}",
            description=description,
            epilog="Apache Beam's own flags, such as --runner or --direct_num_workers, can be added.",
            allow_abbrev=False,
        )
        add_log_flags(self)


def add_input_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say where records are and what their fields are called."""
    parser.add_argument(
        "--input", action="append", required=True, metavar="PATH", help="file, folder or glob with images; repeatable"
    )
    parser.add_argument(
        "--input_format", default="auto", choices=("auto", *FORMATS), help="what the files are (default: auto)"
    )
    for name, what in (("id", "ids"), ("image", "encoded images"), ("labels", "lists of labels")):
        parser.add_argument(
            f"--{name}_column", metavar="NAME", help=f"column, feature or field of {what} (default: the format's own)"
        )


def add_trust_flag(parser: argparse.ArgumentParser) -> None:
    """The flag that lets code which comes with a network, or which it names, run."""
    parser.add_argument(
        "--trust_model_code", action="store_true", help="run code that comes with the network; know who made it"
    )


def add_evaluation_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say what the metrics are to tell besides."""
    parser.add_argument(
        "--slice_by",
        action="append",
        default=[],
        metavar="NAMES",
        help="columns, separated by commas: all metrics for each of their values as well",
    )
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument(
        "--target_precision",
        type=fraction,
        metavar="F",
        help="suggest thresholds of this precision with the largest recall (default: of the best F1)",
    )
    goal.add_argument("--target_recall", type=fraction, metavar="F", help="suggest thresholds of this recall")
    goal.add_argument(
        "--review_budget",
        type=positive,
        metavar="N",
        help="suggest thresholds that predict a label for at most so many records",
    )


def goal_of(options: argparse.Namespace) -> "Goal":
    """What the suggested thresholds are for, of flags by `add_evaluation_flags`."""
    from bulklabel.model.metrics import Goal

    targets = {
        "precision": options.target_precision,
        "recall": options.target_recall,
        "budget": options.review_budget,
    }
    return next((Goal(kind, target) for kind, target in targets.items() if target is not None), Goal())


def slice_columns(options: argparse.Namespace) -> tuple[str, ...]:
    """The columns of `--slice_by`, each once."""
    names = [name.strip() for names in getattr(options, "slice_by", ()) for name in names.split(",")]
    return tuple(dict.fromkeys(filter(None, names)))


def add_store_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say how patient to be with a remote store."""
    parser.add_argument(
        "--store_timeout",
        type=seconds,
        default=60.0,
        metavar="S",
        help="seconds for a request to a remote store, and for each 8 MiB that it moves (default: %(default)g)",
    )
    parser.add_argument(
        "--store_retries",
        type=not_negative,
        default=6,
        metavar="N",
        help="how often a failed one is tried again, after growing pauses (default: %(default)s)",
    )


def store_flags(options: argparse.Namespace) -> list[str]:
    """What `add_store_flags` parsed, as flags for `beam_options`: Beam takes them to every worker."""
    return [f"--store_timeout={options.store_timeout}", f"--store_retries={options.store_retries}"]


def columns_of(options: argparse.Namespace) -> "Columns":
    """The names that `add_input_flags` asked for, and those that only some commands ask for."""
    from bulklabel.transforms.reading.records import Columns

    unknown = getattr(options, "unknown_column", None)
    carried = [*getattr(options, "carry", ()), *slice_columns(options)]
    return Columns(
        options.id_column, options.image_column, options.labels_column, unknown, tuple(dict.fromkeys(carried))
    )


def fraction(text: str) -> float:
    """A flag's value from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def seconds(text: str) -> float:
    """A flag's value above 0, up to a day."""
    value = float(text)
    if not 0 < value <= DAY:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0, up to {DAY:,}")
    return value


def positive(text: str) -> int:
    """A flag's value of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def image_size(text: str) -> tuple[int, int]:
    """Height and width in pixels from `32` or `48x64`."""
    sides = [positive(side) for side in text.lower().split("x")]
    if len(sides) > 2:
        raise argparse.ArgumentTypeError(f"{text} is not a number or two, like 32 or 48x64")
    return sides[0], sides[-1]


def read_label_file(path: str) -> tuple[str, ...]:
    """The labels in a text file, one a line, in order; empty lines do not count.

    Raises:
        UserError: if there is no such file, it is not text, or not a label set.
    """
    from bulklabel.model.labels.truth import check_labels
    from bulklabel.transforms.files import files

    try:
        text = files.read(files.absolute(path)).decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"--label_file {path}: no such file; give one with a label a line.") from None
    except UnicodeDecodeError:
        raise UserError(f"--label_file {path} is not text in UTF-8; give one with a label a line.") from None
    return check_labels([line.strip() for line in text.splitlines() if line.strip()], path)


def not_negative(text: str) -> int:
    """A flag's value of at least 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value
