"""The flags that say what is required of a run, and of which earlier one."""

import argparse


def add_gate_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of quality gates and of the baseline."""
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="REQUIREMENT",
        help="such as 'f1_micro>=0.85', 'recall[cat]>=0.9' or 'f1_micro>=baseline-0.02': if it does not hold, the "
        "command ends with exit code 3; repeatable",
    )
    parser.add_argument("--baseline", metavar="DIR", help="output of an earlier run: tells what has drifted since")
