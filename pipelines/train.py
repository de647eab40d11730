"""`bulklabel train`: labelled images in, a model directory out."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bulklabel.model.errors import UserError
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.logs import log
from bulklabel.pipelines.console.run import run_command
from bulklabel.pipelines.flags.common import (
    CommandParser,
    add_input_flags,
    add_store_flags,
    columns_of,
    fraction,
    image_size,
    positive,
    read_label_file,
    store_flags,
)
from bulklabel.pipelines.runners.beam_options import beam_options

if TYPE_CHECKING:
    from bulklabel.transforms.training_samples import SampleSource, Survey


def parser() -> CommandParser:
    """The flags of `train`."""
    flags = CommandParser("train", "Train the network on labelled images and write a model directory.")
    add_input_flags(flags)
    flags.add_argument("--output", required=True, metavar="DIR", help="model directory to write")
    flags.add_argument("--label_file", metavar="FILE", help="labels, one a line, in order (default: found in the data)")
    flags.add_argument(
        "--image_size", type=trainable_size, default=(32, 32), metavar="N|HxW", help="pixels (default: 32)"
    )
    flags.add_argument("--epochs", type=positive, default=10, metavar="N", help="at most (default: %(default)s)")
    flags.add_argument("--batch_size", type=positive, default=64, metavar="N", help="(default: %(default)s)")
    flags.add_argument(
        "--validation_fraction",
        type=fraction,
        default=0.1,
        metavar="F",
        help="share of the records, by a hash of their id, kept to judge by (default: %(default)s)",
    )
    flags.add_argument("--seed", type=int, default=0, metavar="N", help="equal seeds, equal models (default: 0)")
    add_store_flags(flags)
    return flags


SMALLEST_SIDE = 7
"""Two convolutions of 3×3 and a pooling of 3 leave nothing of less."""


def trainable_size(text: str) -> tuple[int, int]:
    """An image size that the network can be built for."""
    size = image_size(text)
    if min(size) < SMALLEST_SIDE:
        raise argparse.ArgumentTypeError(f"{text} is too small; give at least {SMALLEST_SIDE} pixels a side")
    return size


def train(argv: Sequence[str]) -> None:
    """Survey the data, fit, tune the thresholds, and write the model directory.

    Raises:
        UserError: if the command line, the inputs or the output cannot be used.
    """
    flags = parser()
    options, rest = flags.parse_known_args(argv)
    beam_options([*rest, *store_flags(options)], flags)

    from bulklabel.transforms.files.stores.retry import planning
    from bulklabel.transforms.reading.find_shards import find_shards
    from bulklabel.transforms.training_samples import SampleSource

    columns = columns_of(options)
    with planning():
        label_file = None if options.label_file is None else read_label_file(options.label_file)
        chosen, found = find_shards(options.input, options.input_format, columns)
    source = SampleSource(chosen, found.shards, columns, label_file, options.validation_fraction)
    survey = source.survey()
    account = current()
    account.output = options.output
    account.counts = {
        "training": survey.training,
        "validation": survey.validation,
        "without_truth": survey.without_truth,
    }
    labels = label_file or _sorted_labels(list(survey.labels))
    _check(options, survey, labels)
    print(
        f"{survey.training:,} records to learn from, {survey.validation:,} to judge by, "
        f"{survey.without_truth:,} without truth; {len(labels)} labels"
    )
    unknown = sorted(set(survey.labels) - set(labels))
    if unknown:
        log.warning("not in %s, so not learnt: %s", options.label_file, ", ".join(unknown))
    _fit_and_save(options, source, labels)


def _check(options: argparse.Namespace, survey: "Survey", labels: Sequence[str]) -> None:
    if not survey.training + survey.validation or not labels:
        where = f"under {options.labels_column!r}" if options.labels_column else "where its format has them"
        raise UserError(
            f"{', '.join(options.input)}: no record has labels {where}; name the right place by --labels_column."
        )
    if not survey.training or (options.validation_fraction and not survey.validation):
        raise UserError(
            f"--validation_fraction {options.validation_fraction} leaves {survey.training} records to learn from and "
            f"{survey.validation} to judge by; change it, or give more records."
        )


def _fit_and_save(options: argparse.Namespace, source: "SampleSource", labels: tuple[str, ...]) -> None:
    from importlib.metadata import version

    from bulklabel.model.network.import_tensorflow import import_tensorflow

    import_tensorflow()
    from bulklabel.model.images.resize import Preprocessing
    from bulklabel.model.model_directory import Model
    from bulklabel.model.network.golden_images import add_golden
    from bulklabel.model.network.train import train_network
    from bulklabel.model.versions import deciding_versions
    from bulklabel.transforms.files import files
    from bulklabel.transforms.scoring.model_files import save_model
    from bulklabel.transforms.training_samples import Split

    files.check_writable(files.absolute(options.output))
    preprocessing = Preprocessing(*options.image_size)
    training = Split(source, labels, preprocessing, validation=False, seed=options.seed)
    validation = Split(source, labels, preprocessing, validation=True, seed=options.seed)
    trained = train_network(
        lambda epoch: training.samples(epoch, options.batch_size),
        (lambda epoch: validation.samples(epoch, options.batch_size)) if options.validation_fraction else None,
        preprocessing,
        len(labels),
        options.epochs,
        options.seed,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    provenance = {
        "bulklabel": version("bulklabel"),
        "versions": deciding_versions(),
        "inputs": options.input,
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "validation_fraction": options.validation_fraction,
        "seed": options.seed,
        "validation": trained.evaluation,
    }
    model = Model(labels, preprocessing, trained.network, trained.thresholds, provenance)
    save_model(add_golden(model, options.output), options.output)
    rejected = len(training.rejected | validation.rejected)
    if rejected:
        log.warning("%s records could not be decoded, so not learnt", f"{rejected:,}")
    print(", ".join(f"validation {name} {value:.4f}" for name, value in trained.evaluation.items()) or "not validated")
    print(f"model directory: {options.output}")


def _sorted_labels(names: Sequence[str]) -> tuple[str, ...]:
    """In alphabetical order, but numbers by their value."""
    return tuple(sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run `train`; the exit code."""
    return run_command(train, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
