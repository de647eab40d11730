"""The `bulklabel` command: finds a command by its name and hands it the rest of the line."""

import sys
from collections.abc import Sequence
from importlib.metadata import version

from bulklabel.pipelines.console.logs import log
from bulklabel.pipelines.console.streams import forgiving_streams
from bulklabel.pipelines.flags.parser import near
from bulklabel.pipelines.run_command import run_command

COMMANDS = {
    "demo": "make a corpus of handwritten digits, score it, and show what came out; --train trains as well",
    "train": "train the network on labelled images and write a model directory",
    "package": "make a model directory from your own Keras network",
    "calibrate": "make a model's probabilities true by a run that has truth: a new model directory",
    "plan": "say what `score` would do with the same flags, and what time, space and memory it takes; writes nothing",
    "score": "score images with a model directory: predictions, metrics, report",
    "evaluate": "compute the metrics of a finished run again, with other thresholds or other truth",
    "compare": "say what changed between two finished runs: metrics, labels, records",
    "verify": "check every file of a finished run: checksums, counts, what is missing or foreign; score some again",
}


def usage() -> str:
    """Returns the text of `bulklabel --help`."""
    lines = [f"  {name:<10}{what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: bulklabel COMMAND [FLAGS]",
            "",
            "Bulk scoring of images with a multilabel CNN, and the metrics of what it said.",
            "",
            *lines,
            "",
            "`bulklabel COMMAND --help` lists a command's flags; Apache Beam's own can be added to each.",
            "`bulklabel --version` says which version this is.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code, or 2 if there is no such command. `help NAME` is `NAME --help`."""
    with forgiving_streams(log.warning):
        return _main(argv)


def _main(argv: Sequence[str] | None) -> int:
    command, *rest = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if command == "help" and rest:
        command, rest = rest[0], ["--help"]
    if command in ("-h", "--help", "help"):
        print(usage())
        return 0
    if command == "--version":
        print(f"bulklabel {version('bulklabel')}")
        return 0
    if command not in COMMANDS:
        hint = near(command, COMMANDS) or f"; give one of {', '.join(COMMANDS)} first."
        print(f"bulklabel: error: no command {command!r}{hint}", file=sys.stderr)
        return 2
    return run_command(command, rest)


if __name__ == "__main__":
    sys.exit(main())
