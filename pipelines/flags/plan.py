"""The flags of `bulklabel plan`: those of `score`, but for the textfile, since it writes nothing."""

from bulklabel.pipelines.flags.parser import CommandParser
from bulklabel.pipelines.flags.score import USAGE, add_score_flags, check


def parser() -> CommandParser:
    """Makes the parser of the command line."""
    flags = CommandParser(
        "plan",
        "Estimate time, output and memory of `score` with the same flags; writes nothing.",
        USAGE,
        "planning to score {input} with {model} into {output}",
        (
            "photos --model my/model --output my/scores",
            "photos more_photos --model my/model --output my/scores --since my/last_night",
            "s3://bucket/photos --model s3://bucket/model --output s3://bucket/scores --deadline 5h",
        ),
        check,
    )
    add_score_flags(flags)
    return flags
