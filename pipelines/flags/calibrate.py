"""The flags of `bulklabel calibrate`."""

from bulklabel.pipelines.flags.common import add_store_flags
from bulklabel.pipelines.flags.parser import OUTPUT, CommandParser, words_first


def parser() -> CommandParser:
    """Makes the parser of the command line."""
    flags = CommandParser(
        "calibrate",
        "Calibrate a model's probabilities with a run that has truth.",
        ("MODEL_DIR", "--truth RUN", "--output DIR"),
        "calibrating {model} by {truth} into {output}",
        (
            "my/model --truth my/scores --output my/calibrated",
            "my/model --truth my/later --output my/calibrated",
            "s3://bucket/model --truth s3://bucket/scores --output my/calibrated",
        ),
        words_first(
            ("model",), "with Beam's flags the model comes first: `bulklabel calibrate MODEL_DIR --truth RUN …`."
        ),
    )
    output = flags.group(OUTPUT)
    output.add_argument("model", metavar="MODEL_DIR", help="model directory of `train` or `package`")
    output.add_argument(
        "--truth",
        required=True,
        metavar="RUN",
        help="the --output of a finished `score` with that model, or of an `evaluate` of it, whose records have truth",
    )
    output.add_argument("--output", required=True, metavar="DIR", help="model directory to write")
    add_store_flags(flags)
    return flags
