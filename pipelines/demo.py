"""`bulklabel demo`: the whole job on a corpus of handwritten digits that it makes itself."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import resources

from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.errors import UserError
from bulklabel.model.images.demo_collages import BROKEN, collages
from bulklabel.model.network.engine import THREADS
from bulklabel.model.versions import processor_cores
from bulklabel.pipelines import score, train
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.logs import log
from bulklabel.pipelines.flags import score as score_flags
from bulklabel.pipelines.flags import train as train_flags
from bulklabel.pipelines.run_command import run_command
from bulklabel.transforms.demo_formats import write_layout
from bulklabel.transforms.files import files
from bulklabel.transforms.run_directory.manifest import now
from bulklabel.transforms.scoring.load_scorer import load_scorer
from bulklabel.transforms.scoring.model_files import load_model, save_model

FILES, FILE_RECORDS = 3, 4000
"""The files to train on, and the records of each; those held out are one file less."""

BROKEN_EVERY = 700
EPOCHS, BATCH_SIZE = 4, 16

SHIPPED = str(resources.files("bulklabel.pipelines") / "demo_model")
"""The model that comes with bulklabel, made by `benchmarks/demo_model.py`."""


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
    """Makes the corpus and scores what was held out with the shipped model; trains one and scores again if asked to.

    Raises:
        UserError: if the output cannot be used.
    """
    corpus, model, scores = (files.join(options.output, name) for name in ("corpus", "model", "scores"))
    trained, trained_scores = (files.join(options.output, name) for name in ("trained", "trained_scores"))
    print(f"\n1. collages of handwritten digits → {corpus}/heldout", flush=True)
    make_corpus(files.absolute(corpus), options.input_format, held_out=True)
    if options.train:  # which has one batch at a time, and TensorFlow cannot be told again
        os.environ.setdefault(THREADS, str(processor_cores()))
    works = _copy_shipped(model)
    if works:
        print(f"2. score them with a small model that comes with bulklabel → {scores}\n", flush=True)
        _score(corpus, model, scores, pipeline_options)
    print(f"\n3. more collages, to train on → {corpus}/train", flush=True)
    make_corpus(files.absolute(corpus), options.input_format, held_out=False)
    if not works:
        trained, trained_scores = model, scores
    elif not options.train:
        print(f"\n`bulklabel demo --train` trains a model on them. The report: {scores}/report.html")
        return
    print(f"4. train → {trained}", flush=True)
    flags = [
        f"--input={corpus}/train",
        f"--output={trained}",
        "--network=textbook",
        f"--epochs={EPOCHS}",
        f"--batch_size={BATCH_SIZE}",
    ]
    train.run(train_flags.parser().parse_args(flags), pipeline_options)
    print(f"\n5. score what was held out → {trained_scores}\n", flush=True)
    _score(corpus, trained, trained_scores, pipeline_options)


def _copy_shipped(model: str) -> bool:
    """Copies the shipped model; returns whether it gives here the answers that it gave where it was made."""
    try:
        shipped = load_model(SHIPPED)
        save_model(shipped, model)
        load_scorer(files.absolute(model), shipped.digest, wrappers=False)
    except UserError as error:
        log.warning("the model that comes with bulklabel cannot be used here, so one is trained: %s", error)
        return False
    return True


def _score(corpus: str, model: str, scores: str, pipeline_options: PipelineOptions) -> None:
    """Scores what was held out; the run's times are of scoring alone."""
    current().started = now()
    flags = [f"--input={corpus}/heldout", f"--model={model}", f"--output={scores}", "--overwrite"]
    score.run(score_flags.parser().parse_args(flags), pipeline_options)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bulklabel demo`; returns the exit code."""
    return run_command("demo", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
