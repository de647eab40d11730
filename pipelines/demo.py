"""`bulklabel demo`: the whole job on a corpus of handwritten digits that it makes itself."""

import argparse
import sys
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.images.demo_collages import BROKEN, collages
from bulklabel.pipelines import score, train
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.flags import score as score_flags
from bulklabel.pipelines.flags import train as train_flags
from bulklabel.pipelines.run_command import run_command
from bulklabel.transforms.demo_formats import write_layout
from bulklabel.transforms.files import files
from bulklabel.transforms.run_directory.manifest import now

FILES, FILE_RECORDS = 3, 4000
"""So many files of so many records to train on; those held out are one file less."""

BROKEN_EVERY = 700
EPOCHS, BATCH_SIZE = 4, 16


def make_corpus(folder: str, input_format: str, held_out: bool) -> None:
    """Writes one side of the corpus, with an image broken on purpose every few hundred records."""
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


def run(options: argparse.Namespace, pipeline_options: PipelineOptions) -> None:
    """Makes the corpus, trains, and scores what was held out.

    Raises:
        UserError: if the output cannot be used.
    """
    corpus, model, scores = (files.join(options.output, name) for name in ("corpus", "model", "scores"))
    print(f"1. corpus: collages of handwritten digits → {corpus}", flush=True)
    for held_out in (False, True):
        make_corpus(files.absolute(corpus), options.input_format, held_out)
    print(f"\n2. train → {model}", flush=True)
    flags = [
        f"--input={corpus}/train",
        f"--output={model}",
        "--network=textbook",
        f"--epochs={EPOCHS}",
        f"--batch_size={BATCH_SIZE}",
    ]
    train.run(train_flags.parser().parse_args(flags), pipeline_options)
    print(f"\n3. score what was held out → {scores}\n", flush=True)
    current().started = now()  # the run's times are of scoring alone
    flags = [f"--input={corpus}/heldout", f"--model={model}", f"--output={scores}", "--overwrite"]
    score.run(score_flags.parser().parse_args(flags), pipeline_options)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bulklabel demo`; returns the exit code."""
    return run_command("demo", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
