"""The flags of `bulklabel compare`."""

from bulklabel.pipelines.flags.common import add_group_flag, add_store_flags
from bulklabel.pipelines.flags.parser import OUTPUT, CommandParser, words_first


def parser() -> CommandParser:
    """Makes the parser of the command line."""
    flags = CommandParser(
        "compare",
        "Say what changed between two finished runs, of any models and shards.",
        ("RUN_A", "RUN_B", "--output DIR"),
        "comparing {before} with {after} into {output}",
        (
            "my/scores my/scores2 --output my/changes",
            "my/last_night my/tonight --output my/changes --group_by patient",
            "s3://bucket/old s3://bucket/new --output my/changes --store_timeout 120",
        ),
        words_first(
            ("before", "after"),
            "with Beam's flags the two runs come first: `bulklabel compare RUN_A RUN_B --output DIR …`.",
        ),
    )
    output = flags.group(OUTPUT)
    output.add_argument("before", metavar="RUN_A", help="the --output of a finished `score` or `evaluate`")
    output.add_argument("after", metavar="RUN_B", help="that of another, whose records have the same ids")
    output.add_argument("--output", required=True, metavar="DIR", help="folder for comparison.json and report.html")
    add_group_flag(flags, "what both runs were grouped by")
    add_store_flags(flags)
    return flags
