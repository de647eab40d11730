"""`bulklabel demo`: the whole job on a corpus of handwritten digits that it makes itself."""

import sys
from collections.abc import Sequence

from bulklabel.pipelines.console.run import run_command
from bulklabel.pipelines.flags.common import CommandParser
from bulklabel.pipelines.runners.beam_options import beam_options
from bulklabel.transforms.reading import FORMATS

FILES, FILE_RECORDS = 3, 4000
"""So many files of so many records to train on; those held out are one file less."""

BROKEN_EVERY = 700
EPOCHS = 10


def parser() -> CommandParser:
    """The flags of `demo`."""
    flags = CommandParser("demo", "Make a corpus of handwritten digits, train on it, and score what was held out.")
    flags.add_argument("--output", default="demo", metavar="DIR", help="where all of it goes (default: demo)")
    flags.add_argument(
        "--input_format",
        default="parquet",
        choices=tuple(FORMATS),
        help="how the corpus is laid out (default: %(default)s)",
    )
    return flags


def make_corpus(folder: str, input_format: str, held_out: bool) -> None:
    """Write one side of the corpus, with an image broken on purpose every few hundred records."""
    from bulklabel.model.images.demo_collages import BROKEN, collages
    from bulklabel.transforms.demo_formats import write_layout
    from bulklabel.transforms.files import files

    count = FILES - held_out
    side = "heldout" if held_out else "train"
    records = enumerate(collages(count * FILE_RECORDS, 0, held_out))
    for number in range(count):
        rows = [
            {
                "id": f"{side}-{index:06d}",
                "image": BROKEN[index // BROKEN_EVERY % len(BROKEN)] if index % BROKEN_EVERY == 99 else image,
                "labels": labels,
            }
            for index, (image, labels) in (next(records) for _ in range(FILE_RECORDS))
        ]
        write_layout(input_format, files.join(folder, side), rows, number, count)


def demo(argv: Sequence[str]) -> None:
    """Make the corpus, train, score, and say where everything is.

    Raises:
        UserError: if the command line or the output cannot be used.
    """
    flags = parser()
    options, rest = flags.parse_known_args(argv)
    beam_options(rest, flags)

    from bulklabel.pipelines.score import score
    from bulklabel.pipelines.train import train
    from bulklabel.transforms.files import files

    corpus, model, scores = (files.join(options.output, name) for name in ("corpus", "model", "scores"))
    print(f"1. corpus: collages of handwritten digits → {corpus}", flush=True)
    for held_out in (False, True):
        make_corpus(files.absolute(corpus), options.input_format, held_out)
    print(f"\n2. train → {model}", flush=True)
    train([f"--input={corpus}/train", f"--output={model}", f"--epochs={EPOCHS}", *rest])
    print(f"\n3. score what was held out → {scores}\n", flush=True)
    score([f"--input={corpus}/heldout", f"--model={model}", f"--output={scores}", "--overwrite", *rest])


def main(argv: Sequence[str] | None = None) -> int:
    """Run `demo`; the exit code."""
    return run_command(demo, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
