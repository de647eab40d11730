"""The flags of `bulklabel evaluate`."""

import argparse
from collections.abc import Sequence

from bulklabel.model.errors import UserError
from bulklabel.pipelines.flags.common import (
    add_evaluation_flags,
    add_gate_flags,
    add_group_flag,
    add_label_flags,
    add_store_flags,
    add_textfile_flags,
    add_truth_flags,
)
from bulklabel.pipelines.flags.parser import METRICS, OUTPUT, TRUTH, CommandParser
from bulklabel.transforms.predictions import OUTPUTS, PROBABILITIES


def parser() -> CommandParser:
    """Makes the parser of the command line."""
    flags = CommandParser(
        "evaluate",
        "Compute the metrics of a run again, or of another system's predictions.",
        ("RUN", "--output DIR"),
        "evaluating {input}{predictions} into {output}",
        (
            "my/scores --output my/strict --threshold 0.8",
            "my/scores --output my/later --truth labels.csv --truth_key stem",
            "--predictions theirs.parquet --probabilities '*_score' --output my/theirs --slice_by camera",
        ),
        _check,
    )
    output, truth = flags.group(OUTPUT), flags.group(TRUTH)
    source = output.add_mutually_exclusive_group(required=True)
    source.add_argument("--input", metavar="DIR", help="the --output of a finished `score` or `evaluate`")
    source.add_argument(
        "--predictions",
        action="append",
        metavar="PATH",
        help="table of probabilities that another system made: Parquet, CSV, TSV or JSON lines; repeatable",
    )
    output.add_argument(
        "--probabilities",
        metavar="NAME",
        help="in --predictions: the column of lists; or the labels' columns, with * for the label, such as '*_score' "
        "(default: probabilities, else 'prob_*')",
    )
    output.add_argument(
        "--label_file",
        metavar="PATH",
        help="text file with one label per line: those of such lists, in their order, or the columns to use",
    )
    output.add_argument(
        "--outputs",
        choices=OUTPUTS,
        default=PROBABILITIES,
        help="what the numbers in --predictions are (default: %(default)s)",
    )
    output.add_argument("--output", required=True, metavar="DIR", help="folder for metrics.json and report.html")
    flags.group(METRICS).add_argument(
        "--threshold",
        metavar="T",
        help="a number for all labels, `tuned`, or a thresholds file (default: the run's)",
    )
    add_truth_flags(flags, "the truth in the run, or in --predictions")
    truth.add_argument(
        "--id_column", metavar="NAME", help="in --predictions and --truth (default: id, or the only one like it)"
    )
    truth.add_argument(
        "--labels_column", metavar="NAME", help="in --truth, else in --predictions (default: labels or label)"
    )
    truth.add_argument(
        "--unknown_column",
        metavar="NAME",
        help="column with lists of the labels whose truth is unknown (default: none)",
    )
    add_group_flag(flags, "what the run was grouped by")
    add_label_flags(flags)
    add_evaluation_flags(flags)
    add_gate_flags(flags)
    add_store_flags(flags)
    add_textfile_flags(flags)
    return flags


def _check(options: argparse.Namespace, argv: Sequence[str], beam_flags: Sequence[str]) -> None:  # noqa: ARG001
    """Checks that what only tables of predictions need is given with them."""
    given = {"probabilities": options.probabilities, "label_file": options.label_file}
    named = [flag for flag, value in given.items() if value is not None]
    if not options.predictions and (named or options.outputs != PROBABILITIES):
        raise UserError(f"--{(named or ['outputs'])[0]} says how --predictions are read; a run needs none.")
