"""The flags of `bulklabel plan`: those of `score`, but for the textfile, since it writes nothing."""

from bulklabel.pipelines.flags.parser import CommandParser
from bulklabel.pipelines.flags.score import add_score_flags, check


def parser() -> CommandParser:
    """Makes the parser of the command line."""
    flags = CommandParser("plan", "Say what `score` with the same flags would do and take; writes nothing.", check)
    add_score_flags(flags)
    return flags
