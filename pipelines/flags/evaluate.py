"""The flags of `bulklabel evaluate`."""

from bulklabel.pipelines.flags.common import (
    add_evaluation_flags,
    add_gate_flags,
    add_group_flag,
    add_label_flags,
    add_store_flags,
    add_textfile_flags,
    add_truth_flags,
)
from bulklabel.pipelines.flags.parser import CommandParser


def parser() -> CommandParser:
    """Makes the parser of the command line."""
    flags = CommandParser("evaluate", "Compute the metrics of a finished run again, from its part files.")
    flags.add_argument("--input", required=True, metavar="DIR", help="the --output of a finished `score` or `evaluate`")
    flags.add_argument("--output", required=True, metavar="DIR", help="where metrics.json and report.html go")
    flags.add_argument(
        "--threshold",
        metavar="T",
        help="a number for all labels, `tuned`, or a thresholds file (default: the run's)",
    )
    add_truth_flags(flags, "the truth in the run")
    flags.add_argument(
        "--id_column", metavar="NAME", help="in --truth (default: id, or the only one that is called like it)"
    )
    flags.add_argument("--labels_column", metavar="NAME", help="in --truth (default: labels or label)")
    flags.add_argument(
        "--unknown_column", metavar="NAME", help="lists of labels that nobody knows, in --truth (default: none)"
    )
    add_group_flag(flags, "what the run was grouped by")
    add_label_flags(flags)
    add_evaluation_flags(flags)
    add_gate_flags(flags)
    add_store_flags(flags)
    add_textfile_flags(flags)
    return flags
