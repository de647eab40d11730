"""The flags that say what is required of a run, and of which earlier one."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bulklabel.model.metrics.requirements import Gates, Requirement


def add_gate_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of quality gates and of the baseline."""
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        type=_requirement,
        metavar="REQUIREMENT",
        help="such as 'f1_micro>=0.85', 'recall[cat]>=0.9' or 'f1_micro>=baseline-0.02': if it does not hold, the "
        "command ends with exit code 3; repeatable",
    )
    parser.add_argument("--baseline", metavar="DIR", help="output of an earlier run: tells what has drifted since")


def gates_of(options: argparse.Namespace, labels: Sequence[str], output: str) -> "Gates":
    """What `add_gate_flags` asked for, checked.

    Raises:
        UserError: if the baseline cannot be used, or a requirement names what there is not.
    """
    from bulklabel.transforms.evaluating.baseline import make_gates

    return make_gates(options.require, options.baseline, labels, output)


def _requirement(text: str) -> "Requirement":
    from bulklabel.model.metrics.requirements import parse_requirement

    return parse_requirement(text)
