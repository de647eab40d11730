"""Flags that several commands share, and the types of their values."""

import argparse
import os
import re
import time

from bulklabel.model.labels import AUTO, FORMS, POLICIES
from bulklabel.pipelines.flags.parser import EARLIER, IMAGES, METRICS, REQUIREMENTS, RUNNING, TRUTH, LineParser
from bulklabel.transforms.concurrency.deadline import Deadline
from bulklabel.transforms.reading import FORMATS
from bulklabel.transforms.truth import ID, LAST, TRUTH_KEYS

DAY = 86_400
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
"""Seconds in what a time limit may end in."""

FILE, CONTENT = "file", "content"
"""What `--match` compares: whole files, or images by their bytes as well."""

LISTING = "listing"
"""What `--identity` trusts unless it is `CONTENT`: what a listing says of a file."""

STOP = "stop"
"""What `--changed_input` does instead of rejecting records."""


def add_input_flags(parser: LineParser) -> None:
    """Adds the flags that say where records are and what their fields are called."""
    group = parser.group(IMAGES)
    group.add_argument(
        "--input",
        action="extend",
        nargs="+",
        required=True,
        metavar="PATH",
        help="files, folders or globs with images; repeatable",
    )
    group.add_argument(
        "--input_format", default="auto", choices=("auto", *FORMATS), help="what the files are (default: auto)"
    )
    for name, what in (("id", "ids"), ("image", "encoded images, or of their paths")):
        group.add_argument(
            f"--{name}_column", metavar="NAME", help=f"column, feature or field of {what} (default: the format's own)"
        )
    group.add_argument(
        "--image_root",
        action="append",
        default=[],
        metavar="PATH",
        help="folder, besides the table's own, below which a table may name images by path; repeatable",
    )
    group.add_argument(
        "--path_pattern",
        type=pattern,
        metavar="REGEX",
        help="regular expression, searched in each record's path, whose named groups are `id`, `labels` or columns to "
        "carry, such as '(?P<labels>[^/]+)/' for one folder per label",
    )
    truth = parser.group(TRUTH)
    truth.add_argument(
        "--labels_column", metavar="NAME", help="column, feature or field of labels (default: the format's own)"
    )
    truth.add_argument(
        "--unknown_column",
        metavar="NAME",
        help="column, feature or field with lists of the labels whose truth is unknown (default: none)",
    )
    add_label_flags(parser)


def add_truth_flags(parser: LineParser, replaced: str) -> None:
    """Adds the flags for tables of truth; `replaced` is the truth that they count instead of."""
    group = parser.group(TRUTH)
    group.add_argument(
        "--truth",
        action="append",
        default=[],
        metavar="PATH",
        help=f"table of truth, joined by id, that replaces {replaced}; repeatable",
    )
    group.add_argument(
        "--truth_key",
        default=ID,
        type=truth_key,
        metavar="KEY",
        help="how --truth and records are joined: by id, name (of the file), stem (name without extension), or last:N, "
        "the last N parts of paths, such as last:3 for patient1/study1/1.jpg (default: %(default)s)",
    )


def add_label_flags(parser: LineParser) -> None:
    """Adds the flags that say how labels are written."""
    group = parser.group(TRUTH)
    group.add_argument(
        "--labels_as",
        default=AUTO,
        choices=(AUTO, *FORMS),
        help="how labels are written (default: detected from the first records, if that is unambiguous)",
    )
    group.add_argument(
        "--label_separator",
        metavar="TEXT",
        help="separator of labels in a text, '' if each text is one label (default: detected from the first records)",
    )
    group.add_argument(
        "--label_offset",
        type=whole_number,
        metavar="N",
        help="the number of the first label, in label numbers (default: 0)",
    )
    for name, what in (
        ("uncertain", "-1 means in columns of 1 and 0"),
        ("blank", "an empty cell means in such columns"),
    ):
        group.add_argument(
            f"--{name}",
            action="append",
            type=policy,
            default=[],
            metavar="[LABEL=]P",
            help=f"what {what}: present, absent or unknown (default: unknown); LABEL= for one label; repeatable",
        )
    group.add_argument(
        "--no_label",
        action="append",
        default=[],
        metavar="NAME",
        help="name that means that no label is present, such as 'No Finding'; repeatable",
    )


def pattern(text: str) -> str:
    """Parses a regular expression with named groups.

    >>> pattern("(?P<patient>p[0-9]+)_")
    '(?P<patient>p[0-9]+)_'
    """
    try:
        names = re.compile(text).groupindex
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text} is not a regular expression ({error})") from error
    if not names:
        raise argparse.ArgumentTypeError(f"{text} has no named group; write one like (?P<labels>[^/]+)")
    return text


def truth_key(text: str) -> str:
    """Returns what joins truth and records; raises ArgumentTypeError for anything else."""
    if text not in TRUTH_KEYS and not LAST.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not {', '.join(TRUTH_KEYS)} or last:N, such as last:3")
    return text


def policy(text: str) -> tuple[str, str]:
    """Parses what a cell means, for one label or, where the label is empty, for all.

    >>> policy("absent"), policy("Edema=present")
    (('', 'absent'), ('Edema', 'present'))
    """
    label, _, meaning = text.rpartition("=")
    if meaning not in POLICIES:
        raise argparse.ArgumentTypeError(f"{meaning!r} is not present, absent or unknown")
    return label, meaning


def add_trust_flag(parser: LineParser) -> None:
    """Adds the flag that lets code run which comes with a network, or which it names."""
    parser.group(RUNNING).add_argument(
        "--trust_model_code",
        action="store_true",
        help="run code that comes with the network; only if you trust its author",
    )


def add_group_flag(parser: LineParser, default: str = "each record by itself") -> None:
    """Adds the flag for what records belong to together."""
    parser.group(METRICS).add_argument(
        "--group_by",
        type=column_name,
        metavar="NAME",
        help=f"column that identifies records that belong together, such as a patient's (default: {default})",
    )


def add_evaluation_flags(parser: LineParser) -> None:
    """Adds the flags for slices and for suggested thresholds."""
    group = parser.group(METRICS)
    group.add_argument(
        "--slice_by",
        action="append",
        default=[],
        metavar="NAMES",
        help="columns, image_format or image_size, separated by commas; also computes all metrics for each of their "
        "values",
    )
    goal = group.add_mutually_exclusive_group()
    goal.add_argument(
        "--target_precision",
        type=fraction,
        metavar="F",
        help="suggest thresholds with this precision and the largest recall (default: those with the best F1)",
    )
    goal.add_argument("--target_recall", type=fraction, metavar="F", help="suggest thresholds of this recall")
    goal.add_argument(
        "--target_specificity",
        type=fraction,
        metavar="F",
        help="suggest thresholds with this specificity and the largest recall",
    )
    goal.add_argument(
        "--review_budget",
        type=positive,
        metavar="N",
        help="suggest thresholds that predict each label for at most N records",
    )


def add_store_flags(parser: LineParser) -> None:
    """Adds the flags for time limit and retries of remote stores."""
    group = parser.group(RUNNING)
    group.add_argument(
        "--store_timeout",
        type=seconds,
        default=60.0,
        metavar="S",
        help="time limit for a request to a remote store, and for each 8 MiB of it (default: %(default)g)",
    )
    group.add_argument(
        "--store_retries",
        type=not_negative,
        default=6,
        metavar="N",
        help="how often a failed request to a store is repeated, after growing pauses (default: %(default)s)",
    )


def column_name(text: str) -> str:
    """Parses the name of a column, which is not empty."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; name a column")
    return text


def fraction(text: str) -> float:
    """Parses a number from 0 to 1.

    >>> fraction("0.05")
    0.05
    """
    value = number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def number(text: str) -> float:
    """Parses a number, which has a point and no comma or percent sign."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; write it like 0.05") from None


def seconds(text: str) -> float:
    """Parses seconds, above 0 and up to a day."""
    value = number(text)
    if not 0 < value <= DAY:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0, up to {DAY:,}")
    return value


def positive(text: str) -> int:
    """Parses a whole number of at least 1.

    >>> positive("16")
    16
    """
    value = whole_number(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def not_negative(text: str) -> int:
    """Parses a whole number of at least 0."""
    value = whole_number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def whole_number(text: str) -> int:
    """Parses a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def add_textfile_flags(parser: LineParser) -> None:
    """Adds the flag for a textfile that Prometheus' collector reads."""
    parser.group(RUNNING).add_argument(
        "--metrics_textfile",
        type=textfile_path,
        metavar="PATH",
        help="file ending in .prom, for Prometheus' textfile collector; written whatever the outcome",
    )


def textfile_path(text: str) -> str:
    """Parses the path of a file that the collector will find, in a folder that exists."""
    folder = os.path.dirname(os.path.abspath(text))
    if not text.endswith(".prom"):
        raise argparse.ArgumentTypeError(f"{text} does not end in .prom, so Prometheus' collector would not read it")
    if not os.path.isdir(folder):
        raise argparse.ArgumentTypeError(f"there is no folder {folder}")
    return text


def add_gate_flags(parser: LineParser) -> None:
    """Adds the flags of quality gates and of the baseline."""
    group = parser.group(REQUIREMENTS)
    group.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="REQUIREMENT",
        help="condition such as 'f1_micro>=0.85', 'recall[cat]>=0.9' or 'f1_micro>=baseline-0.02': if it fails, the "
        "command ends with exit code 3; repeatable",
    )
    group.add_argument(
        "--baseline",
        metavar="DIR|latest",
        help="the --output of an earlier run to compare with, or latest, the newest finished one beside --output: "
        "reports drift since then",
    )


def add_since_flags(parser: LineParser) -> None:
    """Adds the flags that name earlier runs, and say what becomes of their answers."""
    group = parser.group(EARLIER)
    group.add_argument(
        "--since",
        action="append",
        default=[],
        metavar="DIR",
        help="the --output of a finished run; records that it scored in the same way are not scored again; repeatable",
    )
    group.add_argument(
        "--carry_over", action="store_true", help="also write the answers of --since, so that the output is complete"
    )
    group.add_argument(
        "--match",
        default=FILE,
        choices=(FILE, CONTENT),
        help="how --since recognises records: by the file's path, size and time, or also by an image's bytes "
        "(default: file)",
    )


def add_deadline_flags(parser: LineParser) -> None:
    """Adds the flag that limits a run's time."""
    parser.group(RUNNING).add_argument(
        "--deadline",
        type=duration,
        metavar="TIME",
        help="time from the start of the command, in seconds or like 90m or 5h, after which no further shard is "
        "started, and the run ends with exit code 1 (default: none)",
    )


def duration(text: str) -> Deadline:
    """Parses the moment that is so many seconds, minutes or hours from now.

    >>> duration("90m").words
    '90m'
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is not a time; give seconds, or a number like 90m or 5h")
    moment = time.time() + float(match[1]) * UNITS[match[2]]
    return Deadline(moment, text if match[2] else f"{text} seconds")
