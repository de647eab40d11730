"""What the parsed flags of several commands mean: columns, labels, goal and gates."""

import argparse
from collections.abc import Sequence

from bulklabel.model.errors import UserError
from bulklabel.model.images.kinds import IMAGE_PROPERTIES
from bulklabel.model.labels.choose_rule import LabelOptions
from bulklabel.model.labels.truth import check_labels
from bulklabel.model.metrics import Goal
from bulklabel.model.metrics.requirements import Gates, parse_requirement
from bulklabel.transforms.evaluating.baseline import make_gates
from bulklabel.transforms.files import files
from bulklabel.transforms.files.image_roots import root_of
from bulklabel.transforms.reading.path_fields import ID, LABELS, groups_in_pattern
from bulklabel.transforms.reading.records import Columns


def goal_of(options: argparse.Namespace) -> Goal:
    """Returns what the suggested thresholds are to reach: the target that was given, else the best F1."""
    targets = {
        "precision": options.target_precision,
        "recall": options.target_recall,
        "specificity": options.target_specificity,
        "budget": options.review_budget,
    }
    return next((Goal(kind, target) for kind, target in targets.items() if target is not None), Goal())


def slice_columns(options: argparse.Namespace) -> tuple[str, ...]:
    """Returns the columns that `--slice_by` names, each once, in the order given."""
    names = [name.strip() for names in getattr(options, "slice_by", ()) for name in names.split(",")]
    return tuple(dict.fromkeys(filter(None, names)))


def columns_of(options: argparse.Namespace) -> Columns:
    """Returns the names of the input's columns, as far as the command has flags for them.

    What every image has (`IMAGE_PROPERTIES`) is no column of the input unless a flag other than `--slice_by` names it.

    Raises:
        UserError: if there is no such folder of images.
    """
    grouped = [options.group_by] if options.group_by else []
    in_paths = sorted(groups_in_pattern(options.path_pattern) - {ID, LABELS})
    sliced = [name for name in slice_columns(options) if name not in IMAGE_PROPERTIES]
    carried = [*getattr(options, "carry", ()), *sliced, *grouped, *in_paths]
    return Columns(
        options.id_column,
        options.image_column,
        options.labels_column,
        options.unknown_column,
        tuple(dict.fromkeys(carried)),
        tuple(dict.fromkeys(map(root_of, getattr(options, "image_root", ())))),
        options.path_pattern,
    )


def label_options_of(options: argparse.Namespace, labels: Sequence[str] | None) -> LabelOptions:
    """Returns what the flags say of how labels are written.

    Raises:
        UserError: if a flag names a label that is not among `labels`, where these are known.
    """
    for flag in ("uncertain", "blank"):
        for label, _ in getattr(options, flag):
            if label and labels is not None and label not in labels:
                raise UserError(
                    f"--{flag} {label}=…: there is no label {label!r}; the first are {', '.join(labels[:5])}."
                )
    return LabelOptions(
        labels_as=options.labels_as,
        separator=options.label_separator,
        offset=options.label_offset,
        uncertain=tuple(options.uncertain),
        blank=tuple(options.blank),
        no_label=tuple(options.no_label),
    )


def read_label_file(path: str) -> tuple[str, ...]:
    """Reads labels from a text file, one per line, in order; empty lines do not count.

    Raises:
        UserError: if there is no such file, it is not text, or not a label set.
    """
    try:
        text = files.read(files.absolute(path)).decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"--label_file {path}: no such file; give one with one label per line.") from None
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # in UTF-16, which Windows calls Unicode, every other byte is 0
        raise UserError(f"--label_file {path} is not text in UTF-8; give one with one label per line.")
    return check_labels([line.strip() for line in text.splitlines() if line.strip()], path)


def gates_of(options: argparse.Namespace, labels: Sequence[str], output: str, group_by: str | None) -> Gates:
    """Returns what `--require` and `--baseline` ask for, checked against the labels and whether groups are counted.

    Raises:
        UserError: if the baseline cannot be used, or a requirement cannot be read or names no metric or label.
    """
    requirements = [parse_requirement(text) for text in options.require]
    return make_gates(requirements, options.baseline, labels, output, grouped=group_by is not None)
