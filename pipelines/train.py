"""`bulklabel train`: labelled images in, a model directory out."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.errors import UserError
from bulklabel.model.images.limits import Limits
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.labels.examine_rule import truth_content, truth_line
from bulklabel.model.labels.thresholds import DEFAULT_THRESHOLD
from bulklabel.model.model_directory import Model
from bulklabel.model.network.import_tensorflow import import_tensorflow
from bulklabel.model.report import plotting_library
from bulklabel.model.report.training import render_training
from bulklabel.model.training import EPOCHS
from bulklabel.model.versions import KERAS, deciding_versions
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.logs import log
from bulklabel.pipelines.console.progress import EpochLines
from bulklabel.pipelines.console.tables import record_warnings
from bulklabel.pipelines.flags.values import columns_of, label_options_of, read_label_file
from bulklabel.pipelines.run_command import run_command
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.path_names import is_remote
from bulklabel.transforms.files.stores.retry import fail_fast
from bulklabel.transforms.planning.choose_ids import with_useful_ids
from bulklabel.transforms.planning.choose_labels import choose_labels, sampled_ids
from bulklabel.transforms.reading.find_shards import find_shards
from bulklabel.transforms.reading.readers import first_image_warnings
from bulklabel.transforms.reading.records import (
    RECORD_SCHEMA,
    SHARD_RECORDS,
    UNKNOWN_FIELD,
    Columns,
    ReadSpec,
    check_carried,
)
from bulklabel.transforms.reading.table_columns import IMAGE_COLUMN
from bulklabel.transforms.scoring.model_files import load_model, save_model
from bulklabel.transforms.training.checkpoint import CheckpointFile
from bulklabel.transforms.training.samples import Decoded, SampleSource, Survey, decode_samples
from bulklabel.transforms.truth.truth_source import check_sample_joins, find_truth, rule_of
from bulklabel.transforms.truth.truth_table import TruthTable

if TYPE_CHECKING:
    from bulklabel.model.training.train import Task, Trained

DEFAULT_SIZE = (32, 32)

TRAINING_PAGE = "training.html"
"""The page beside the files of the model directory; the model's digest is not of it."""

SHOWN = ("network", "from", "inputs", "truth", "epochs", "batch_size", "loss", "flip", "seed", "bulklabel")
"""The provenance that the page shows."""

DECIDING_FLAGS = ("network", "epochs", "minutes", "batch_size", "seed", "loss", "flip", "channels")


def run(options: argparse.Namespace, pipeline_options: PipelineOptions) -> None:  # noqa: ARG001 (nothing runs on Beam)
    """Surveys the data, fits, tunes the thresholds, and writes the model directory.

    Raises:
        UserError: if the inputs or the output cannot be used.
    """
    if options.pretrained is not None and options.channels is not None:
        raise UserError("--channels: a network given by --from keeps its own; leave the flag out.")
    columns = columns_of(options)
    check_carried(columns, (*RECORD_SCHEMA.names, IMAGE_COLUMN, UNKNOWN_FIELD.name))
    with fail_fast():
        label_file = None if options.label_file is None else read_label_file(options.label_file)
        input_format, inputs = find_shards(options.input, options.input_format, columns)
        columns, id_warnings = with_useful_ids(inputs.shards, input_format, columns)
        truth = _load_truth(options, columns, label_file)
        if truth is None:
            label_options = label_options_of(options, label_file)
            choice = choose_labels(inputs.shards, input_format, columns, label_file, label_options)
            rule, warnings = choice.rule, choice.warnings
        else:
            check_sample_joins(truth, sampled_ids(inputs.shards, input_format, columns))
            rule, warnings = rule_of(truth), tuple(truth.content["warnings"])
        spec = ReadSpec(input_format, columns, label_file, SHARD_RECORDS, rule)
        for warning in (*first_image_warnings(inputs.shards, spec), *warnings, *id_warnings):
            log.warning(warning)
    source = SampleSource(inputs.shards, spec, options.validation_fraction, options.group_by, truth)
    labels = label_file or _sorted_labels(source.present_labels())
    survey = source.survey(labels)
    training, validation = survey.training.samples, survey.validation.samples
    account = current()
    account.output = options.output
    distinct = {"duplicate_ids": survey.distinct.duplicate_ids}
    distinct |= {"without_group": survey.distinct.without_group} if options.group_by else {}
    account.counts = {"training": training, "validation": validation, "without_truth": survey.without_truth} | distinct
    print(truth_line(truth.content if truth else truth_content(choice, labels)))
    _check(options, survey)
    print(
        f"{training:,} records for training, {validation:,} for validation,  "
        f"{survey.without_truth:,} without truth; {len(labels)} labels"
    )
    if options.group_by is not None:
        print(f"split by {options.group_by}: {survey.distinct.groups:,} groups, each on one side")
    for line in record_warnings(distinct, options.group_by):
        log.warning("%s", line)
    _warn(survey, labels, options.label_file)
    _fit_and_save(options, source, survey, labels)


def _load_truth(options: argparse.Namespace, columns: Columns, labels: tuple[str, ...] | None) -> TruthTable | None:
    """Loads the truth that counts instead of the input's; None if there is none.

    Raises:
        UserError: if it cannot be used, or there is no file of labels, which it is read by.
    """
    source = find_truth(options.truth, columns, label_options_of(options, labels), options.truth_key)
    if source is None:
        return None
    if labels is None:
        raise UserError("--truth needs to know the labels; give --label_file with one label per line.")
    return source.load(labels)


def _check(options: argparse.Namespace, survey: Survey) -> None:
    training, validation = survey.training.samples, survey.validation.samples
    if options.truth and not training + validation:
        raise UserError(f"--truth {', '.join(options.truth)}: no record has truth by it; see --truth_key.")
    if not training + validation:
        where = f"under {options.labels_column!r}" if options.labels_column else "where its format has them"
        unreadable = "".join(f", {count:,} cannot be read ({reason})" for reason, count in survey.unreadable.items())
        raise UserError(
            f"{', '.join(options.input)}: no record has labels {where}{unreadable}; "
            "name the right field with --labels_column."
        )
    if survey.distinct.without_group == training + validation + survey.without_truth:
        raise UserError(f"--group_by {options.group_by}: no record has a value of it; name a column or field that has.")
    if not training or (options.validation_fraction and not validation):
        raise UserError(
            f"--validation_fraction {options.validation_fraction} leaves {training} records for training and "
            f"{validation} for validation; change it, or give more records."
        )


def _warn(survey: Survey, labels: Sequence[str], label_file: str | None) -> None:
    """Tells which records and labels will not be learnt, or have no threshold of their own, and why."""
    if survey.unreadable:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in survey.unreadable.items())
        log.warning("some records cannot be read, so they are not used: %s", counts)
    if survey.other_labels:
        where = f"not in {label_file}" if label_file else "present in no record"
        log.warning("%s, so not learnt: %s", where, ", ".join(sorted(survey.other_labels)))
    known, present = survey.training.known > 0, survey.training.present > 0
    untuned = present & (survey.validation.present == 0) if survey.validation.samples else np.zeros_like(present)
    lacking = {
        "unknown in all training records": ~known,
        "present in no training record": known & ~present,
        f"present in no validation record, so their threshold is {DEFAULT_THRESHOLD}": untuned,
    }
    named = [f"{words}: {', '.join(np.array(labels)[which])}" for words, which in lacking.items() if which.any()]
    if named:
        log.warning("%s", "; ".join(named))


def _fit_and_save(options: argparse.Namespace, source: SampleSource, survey: Survey, labels: tuple[str, ...]) -> None:
    """Trains on the samples, and writes the model directory."""
    import_tensorflow(wrappers=False)  # takes seconds, so only once the inputs are known to be good
    from bulklabel.model.network.golden_images import add_golden
    from bulklabel.model.training.learner import Samples
    from bulklabel.model.training.train import train_network

    plotting_library()
    folder = files.absolute(options.output)
    files.check_writable(folder)
    start = None if options.pretrained is None else _start(options.pretrained)
    preprocessing = _preprocessing(options, start)
    counts = survey.training.samples, survey.validation.samples
    limits = Limits(options.max_pixels, options.truncated)
    sides = decode_samples(source, labels, preprocessing, limits, counts, None if is_remote(folder) else folder)
    training, validation = sides.training, sides.validation
    if not len(training.truth):
        raise UserError(
            f"{', '.join(options.input)}: none of the {survey.training.samples:,} images to learn from can be decoded; "
            "`bulklabel score` lists why, with any model, in rejected/."
        )
    if sides.rejected:
        log.warning("%s records could not be read or decoded, so they are not used", f"{sides.rejected:,}")
    judged = Samples(validation.images, validation.truth) if len(validation.truth) else None
    task = _task(options, start, preprocessing, len(labels))
    checkpoint = _checkpoint(options, labels, start, preprocessing, (training, validation))
    trained = train_network(task, Samples(training.images, training.truth), judged, EpochLines(), checkpoint)
    model = Model(labels, preprocessing, trained.network, trained.thresholds, _provenance(options, start, trained))
    model = add_golden(model, options.output)
    save_model(model, options.output)
    files.write(files.join(folder, TRAINING_PAGE), render_training(_page_content(trained, model)).encode())
    checkpoint.delete()
    print(", ".join(f"validation {name} {value:.4f}" for name, value in trained.evaluation.items()) or "not validated")
    print(f"model directory: {options.output}")


def _start(directory: str) -> Model:
    """Returns the model whose network is trained further.

    Raises:
        UserError: if there is none, or its network is for another engine than Keras.
    """
    model = load_model(directory)
    if model.engine != KERAS:
        raise UserError(
            f"--from {directory}: its network is {model.network_file}, which cannot be trained; give the model "
            "directory of a Keras network."
        )
    return model


def _preprocessing(options: argparse.Namespace, start: Model | None) -> Preprocessing:
    """Returns how images are brought to the network's size: as where it starts from, if that is said."""
    before = start.preprocessing if start else Preprocessing(*DEFAULT_SIZE, decode="scaled")
    height, width = options.image_size or (before.height, before.width)
    decode, pixel_range = options.decode or before.decode, options.pixel_range or before.pixel_range
    return replace(before, height=height, width=width, decode=decode, pixel_range=pixel_range)


def _task(options: argparse.Namespace, start: Model | None, preprocessing: Preprocessing, labels: int) -> "Task":
    """Returns what is learnt, and how long.

    Raises:
        UserError: if the network that it starts from cannot be loaded.
    """
    from bulklabel.model.network.keras_archive import load_network
    from bulklabel.model.training.train import Task

    pretrained = None if start is None else load_network(start.network, options.pretrained, trusted=False)
    network = None if start else options.network
    return Task(
        labels,
        preprocessing,
        network,
        options.epochs or (None if options.minutes else EPOCHS[network]),
        options.minutes,
        options.batch_size,
        options.seed,
        options.loss,
        options.flip,
        options.channels or 3,
        pretrained,
        options.pretrained or "",
    )


def _checkpoint(
    options: argparse.Namespace,
    labels: tuple[str, ...],
    start: Model | None,
    preprocessing: Preprocessing,
    sides: Sequence[Decoded],
) -> CheckpointFile:
    """Returns where the state of this training is kept; that of any other in its place is deleted."""
    checkpoint = CheckpointFile.of(
        options.output,
        {
            "bulklabel": version("bulklabel"),
            "versions": deciding_versions(),
            "labels": labels,
            "preprocessing": asdict(preprocessing),
            "flags": {name: getattr(options, name) for name in DECIDING_FLAGS},
            "pretrained": start and start.digest,
            "samples": [side.digest for side in sides],
        },
    )
    others = checkpoint.others()
    if others:
        log.warning(
            "%s is of a training by other flags, inputs or versions, so training starts from the beginning", others[0]
        )
        files.delete(others)
    return checkpoint


def _provenance(options: argparse.Namespace, start: Model | None, trained: "Trained") -> dict[str, Any]:
    return {
        "bulklabel": version("bulklabel"),
        "versions": deciding_versions(),
        "inputs": options.input,
        "truth": options.truth,
        "network": None if start else options.network,
        "from": start and {"path": options.pretrained, "digest": start.digest},
        "epochs": len(trained.history),
        "best_epoch": trained.best,
        "batch_size": options.batch_size,
        "loss": options.loss,
        "flip": options.flip,
        "channels": None if start else options.channels or 3,
        "validation_fraction": options.validation_fraction,
        "group_by": options.group_by,
        "seed": options.seed,
        "validation": trained.evaluation,
    }


def _page_content(trained: "Trained", model: Model) -> dict[str, Any]:
    """Returns what the page of the training shows."""
    sides = dict(zip(("before", "after"), trained.reliability or (), strict=False))
    origin = {name: _shown(model.provenance[name]) for name in SHOWN}
    return {
        "epochs": [
            {"epoch": epoch.number, "loss": epoch.loss}
            | {"validation_loss" if name == "loss" else name: value for name, value in epoch.validation.items()}
            for epoch in trained.history
        ],
        "best": trained.best,
        "reliability": {side: reliability.points() for side, reliability in sides.items()},
        "errors": {side: reliability.error for side, reliability in sides.items()},
        "origin": {"model": model.digest, **{name: shown for name, shown in origin.items() if shown}},
    }


def _shown(value: Any) -> str:
    """Returns an entry of the provenance as the page has it, empty where there is nothing.

    >>> _shown(["a.parquet", "b.parquet"]), _shown({"path": "my/model"}), _shown(None), _shown(0)
    ('a.parquet, b.parquet', 'my/model', '', '0')
    """
    if isinstance(value, dict):
        return ", ".join(map(str, value.values()))
    return "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


def _sorted_labels(names: Iterable[str]) -> tuple[str, ...]:
    """Sorts labels alphabetically, but numbers by their value.

    >>> _sorted_labels(["10", "cat", "9"])
    ('9', '10', 'cat')
    """
    return tuple(sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bulklabel train`; returns the exit code."""
    return run_command("train", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
