"""Chooses how tables of predictions are read, from their columns and first rows: what cannot be told is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bulklabel.model.errors import UserError
from bulklabel.model.labels import NONE
from bulklabel.model.labels.choose_rule import AS_FOUND, LabelOptions, choose_rule
from bulklabel.model.labels.examine_rule import Choice, SampledRecord
from bulklabel.model.labels.label_rule import compose, list_in
from bulklabel.model.labels.truth import check_labels
from bulklabel.transforms.files.text import shortened
from bulklabel.transforms.predictions import LOGITS, PROBABILITIES
from bulklabel.transforms.predictions.prediction_files import OpenedTable
from bulklabel.transforms.predictions.prediction_spec import PredictionSpec
from bulklabel.transforms.predictions.probabilities import ROUNDING, Numbers, is_number, number_of, numbers_in, pairs_in
from bulklabel.transforms.reading.arrow_values import is_list, plain_type
from bulklabel.transforms.reading.record_tables import id_of
from bulklabel.transforms.truth.keys import ID_COLUMNS, find_id_column
from bulklabel.transforms.truth.truth_table import LABEL_COLUMNS

LIST_COLUMN, ALL_LABELS = "probabilities", "prob_*"
"""What the columns are called, unless the user says so: bulklabel's own names."""

ANY = "*"
"""Stands for the label in the names of columns."""

INDEX_COLUMNS = ("", "index", "Unnamed: 0", "__index_level_0__")
"""What pandas calls the column of an index that has no name."""

FEW = 0.1
"""If more of the first records have numbers outside 0…1, these are no probabilities."""


FEWEST_SUMS, NEAR_ONE = 10, 1e-3
"""If the probabilities of so many first records, and of all others, add up to 1 within this, they are softmax's."""


@dataclass(frozen=True)
class PredictionOptions:
    """Holds what the user says of tables of predictions.

    `probabilities` is the one column of numbers, or the names of columns with `*` for the label; `labels` are the
    labels in order; `id_column` is that of ids, and `outputs` one of `OUTPUTS`; each but the last is None if the tables
    tell. `truth` says how labels are written, `carried` which columns slice and group.
    """

    probabilities: str | None = None
    labels: tuple[str, ...] | None = None
    id_column: str | None = None
    outputs: str = PROBABILITIES
    truth: LabelOptions = AS_FOUND
    carried: tuple[str, ...] = field(default=())


def choose_spec(table: OpenedTable, options: PredictionOptions) -> tuple[PredictionSpec, Choice]:
    """Returns how a table is read, and all that have the same columns; and how the truth in it is.

    Raises:
        UserError: if it cannot be told, or the numbers are no probabilities.
    """
    _check_names(table)
    id_column = _id_column(table, options)
    spec = replace(_columns_of(table, options, id_column), id_column=id_column, outputs=options.outputs)
    spec = replace(spec, labels=check_labels(spec.labels, table.path))
    numbers = _check_numbers(table, spec)
    taken = {*spec.columns, id_column}
    others = tuple(name for name in (*table.names, *table.inner) if name not in taken)
    candidates = [options.truth.field] if options.truth.field else LABEL_COLUMNS
    sample = [
        SampledRecord(
            id_of(row.get(id_column or "")) or "", {name: row.get(name) for name in others}, table.class_names
        )
        for row in table.first
    ]
    choice = choose_rule(sample, candidates, spec.labels, options.truth, table.path)
    choice = replace(choice, warnings=(*choice.warnings, *_warnings(numbers, spec)))
    rule = replace(choice.rule, unseen=tuple(name for name in choice.rule.unseen if name in others))
    return replace(spec, rule=rule, other_columns=others), replace(choice, rule=rule)


def check_columns(table: OpenedTable, spec: PredictionSpec) -> None:
    """Checks that a table has the columns that another one is read by.

    Raises:
        UserError: if it lacks some.
    """
    wanted = [*spec.columns, *([] if spec.id_column is None else [spec.id_column]), *spec.rule.fields]
    missing = [name for name in dict.fromkeys(wanted) if name not in table.names and name not in table.inner]
    if missing and (table.names or table.first):
        raise UserError(
            f"{table.path} has no column {missing[0]!r}, which another table of --predictions has: give "
            "tables with the same columns."
        )
    _check_names(table)
    _check_types(table, spec)


def _check_names(table: OpenedTable) -> None:
    repeated = next((name for name in table.names if list(table.names).count(name) > 1), None)
    if repeated is not None:
        raise UserError(f"{table.path} has {list(table.names).count(repeated)} columns {repeated!r}; keep one of them.")


def _id_column(table: OpenedTable, options: PredictionOptions) -> str | None:
    """Returns the column of ids; None if there is none, so that ids are made of file and position.

    Raises:
        UserError: if several may be, or the one that the user names is missing or holds no ids.
    """
    likely = any(name.casefold() in ID_COLUMNS for name in table.names)
    if options.id_column is None and not likely:
        return _index_column(table)
    names = [*table.names, *(name for name in table.inner if name == options.id_column)]
    column = find_id_column(table.path, names, options.id_column, options.labels or ())
    nested = next((row[column] for row in table.first if isinstance(row.get(column), dict | list)), None)
    if nested is not None:
        raise UserError(
            f"{table.path}: the ids in {column!r} are such as {shortened(str(nested))}; name another column by "
            "--id_column, or write them as texts."
        )
    return column


def _index_column(table: OpenedTable) -> str | None:
    """Returns the column in which pandas has put an index of names; None if there is none, or it numbers rows."""
    for name in INDEX_COLUMNS:
        values = [row.get(name) for row in table.first] if name in table.names else []
        if values and all(isinstance(value, str) and not value.isdigit() for value in values):
            return name
    return None


def _columns_of(table: OpenedTable, options: PredictionOptions, id_column: str | None) -> PredictionSpec:
    """Returns the labels and the columns of their probabilities."""
    named, names = options.probabilities, [*table.names, *table.inner]
    if named is None and LIST_COLUMN in names:
        named = LIST_COLUMN
    if named is None and any(_label_in(name, ALL_LABELS) is not None for name in names):
        named = ALL_LABELS
    if named is None and options.labels and set(options.labels) <= set(names):
        named = ANY
    listed = ", ".join(names[:20]) + ", …" * (len(names) > 20)
    if named is None:
        raise UserError(
            f"{table.path} has no column {LIST_COLUMN!r}, and none that is named like {ALL_LABELS!r}: name the one of "
            f"lists with --probabilities, or those of the labels with a * for the label, such as '*_score': there are "
            f"{listed}."
        )
    if ANY in named:
        return _by_label(table, options, named, id_column)
    if named not in names:
        raise UserError(f"--probabilities {named}: {table.path} has no such column; there are {listed}.")
    return _in_one_column(table, options, named)


def _by_label(table: OpenedTable, options: PredictionOptions, pattern: str, id_column: str | None) -> PredictionSpec:
    """Returns a column for each label: those of a file of labels, or all whose names fit and that hold numbers."""
    taken = {id_column, options.truth.field, options.truth.unknown_field, *options.carried}
    if options.labels:
        columns = {label: pattern.replace(ANY, label, 1) for label in options.labels}
        missing = next((name for name in columns.values() if name not in {*table.names, *table.inner}), None)
        if missing is not None:
            raise UserError(f"{table.path} has no column {missing!r} for one of the labels of --label_file.")
    else:
        names = table.inner if "." in pattern else table.names
        fitting = {_label_in(name, pattern): name for name in names if name not in taken}
        numbers = partial(_holds_numbers, table)
        columns = {label: name for label, name in fitting.items() if label and (pattern != ANY or numbers(name))}
    if not columns:
        raise UserError(
            f"--probabilities {pattern}: no column of {table.path} with numbers is named like this; there are "
            f"{', '.join(table.names)}."
        )
    number = next((label for label in columns if "." in label and _is_number(label)), None)
    if number is not None:
        raise UserError(f"{table.path}: its first line has {number!r} for a name of a column; give it a header.")
    spec = PredictionSpec(tuple(columns), tuple(columns.values()), by_label=True)
    _check_types(table, spec)
    return spec


def _label_in(name: str, pattern: str) -> str | None:
    """Returns what stands for the star of a pattern in a name; None if the name does not fit.

    >>> _label_in("prob_cat", "prob_*"), _label_in("cat_score", "*_score"), _label_in("id", "prob_*")
    ('cat', 'cat', None)
    """
    start, _, end = pattern.partition(ANY)
    fits = name.startswith(start) and name.endswith(end) and len(name) > len(start) + len(end)
    return name[len(start) : len(name) - len(end)] if fits else None


def _holds_numbers(table: OpenedTable, name: str) -> bool:
    if name in table.types:
        return is_number(table.types[name])
    values = [row[name] for row in table.first if row.get(name) is not None]
    return bool(values) and all(_is_number(value) for value in values)


def _is_number(value: Any) -> bool:
    try:
        number_of(value)
    except (TypeError, ValueError):
        return False
    return True


def _check_types(table: OpenedTable, spec: PredictionSpec) -> None:
    """Checks that no column of Parquet holds something else than what is read from it."""
    for name in spec.columns if spec.by_label else ():
        kind = table.types.get(name)
        if kind is not None and not is_number(kind) and not pa.types.is_string(plain_type(kind)):
            hint = "; of two numbers for absent and present keep the second" if is_list(kind) else ""
            raise UserError(f"{table.path}: column {name!r} is {kind}; expected a number for each record{hint}.")


def _in_one_column(table: OpenedTable, options: PredictionOptions, name: str) -> PredictionSpec:
    """Returns the labels of lists or objects in one column."""
    value = next((row[name] for row in table.first if row.get(name) not in (None, "", [])), None)
    if isinstance(value, str):
        value = list_in(value.strip()) or value
    pairs = pairs_in(value)
    if pairs is not None:
        labels = options.labels or tuple(
            dict.fromkeys(label for row in table.first for label in pairs_in_cell(row, name))
        )
        spec = PredictionSpec(labels, (name,), by_label=False, named=True)
        _check_all_labels(table, spec)
        return spec
    if not isinstance(value, list) or any(isinstance(item, list) for item in value):
        pivot = "; of rows that are one label each make one a record, such as by pandas' pivot" * _is_number(value)
        raise UserError(
            f"{table.path}: {name!r} holds {shortened(str(value))}; expected a list with a number for each label, or "
            f"numbers with their labels' names{pivot}."
        )
    labels = options.labels or table.labels
    if not labels:
        raise UserError(
            f"{table.path}: {name!r} holds lists of {len(value):,} numbers; say which labels they are of with "
            "--label_file, one per line, in their order."
        )
    if len(labels) != len(value):
        raise UserError(
            f"{table.path}: {name!r} holds lists of {len(value):,} numbers, and there are {len(labels):,} labels."
        )
    return PredictionSpec(tuple(labels), (name,), by_label=False)


def pairs_in_cell(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Returns the numbers in a row's column by their labels; empty if there are none."""
    value = row.get(name)
    return pairs_in(list_in(value.strip()) if isinstance(value, str) else value) or {}


def _check_all_labels(table: OpenedTable, spec: PredictionSpec) -> None:
    """Checks that the first records have numbers of all labels, and not of the likeliest ones alone."""
    wanted = {compose(label) for label in spec.labels}
    counted = [len(wanted & {compose(label) for label in pairs_in_cell(row, spec.columns[0])}) for row in table.first]
    whole = sum(count == len(wanted) for count in counted)
    if whole < (1 - FEW) * len(counted):
        raise UserError(
            f"{table.path}: of {len(wanted):,} labels some records have numbers of {min(counted):,} alone in "
            f"{spec.columns[0]!r}; have all of them written, such as by top_k=None."
        )


def _check_numbers(table: OpenedTable, spec: PredictionSpec) -> Numbers:
    """Returns the numbers of the first records, if they are probabilities, or somebody said that they are logits."""
    columns = {name: [row.get(name) for row in table.first] for name in spec.columns}
    numbers, errors = numbers_in(columns, spec)
    rows = [row for row in range(len(table.first)) if row not in errors]
    if not rows:
        error = errors[0]
        raise UserError(f"{table.path}: none of the first {len(errors):,} rows has probabilities: {error.detail}.")
    seen = numbers[rows]
    low, high = float(np.nanmin(seen)), float(np.nanmax(seen))
    outside = ((seen < -ROUNDING) | (seen > 1 + ROUNDING)).any(axis=1).mean()
    if spec.outputs == LOGITS and low >= 0 and high <= 1:
        raise UserError(
            f"{table.path}: --outputs logits, but the first numbers are from {low:.4g} to {high:.4g}, as probabilities "
            "are; leave the flag out."
        )
    if spec.outputs == PROBABILITIES and outside > FEW:
        fix = "divide them by 100" if low >= 0 and high <= 100 else f"if they are logits, say --outputs {LOGITS}"
        raise UserError(
            f"{table.path}: the numbers are not probabilities, but from {low:.4g} to {high:.4g} in the first "
            f"{len(rows):,} rows; {fix}."
        )
    return seen


def _warnings(numbers: Numbers, spec: PredictionSpec) -> list[str]:
    """Returns lines on what the numbers of the first records probably are, if they are not what was meant."""
    lines = []
    sums = numbers.sum(axis=1)
    if spec.outputs != LOGITS and len(spec.labels) > 1 and len(sums) >= FEWEST_SUMS and _all_near_one(sums):
        lines.append(
            f"the probabilities of each of the first {len(sums):,} records add up to 1, as those of softmax do: where "
            "several labels may be present, ask for those of each label by itself (sigmoid)."
        )
    decided = ((numbers == 0) | (numbers == 1)).all(axis=0)
    if spec.by_label and decided.any() and not decided.all():
        names = ", ".join(name for name, is_decided in zip(spec.columns, decided, strict=True) if is_decided)
        lines.append(
            f"{names}: these hold nothing but 0 and 1 in the first {len(sums):,} records; if they are no "
            "probabilities, name those that are with --probabilities or --label_file."
        )
    return lines


def _all_near_one(sums: npt.NDArray[np.float64]) -> bool:
    return bool((np.abs(sums - 1) <= NEAR_ONE).all())


def without_truth(options: PredictionOptions) -> PredictionOptions:
    """Returns the options for tables whose own truth does not count."""
    return replace(options, truth=replace(options.truth, labels_as=NONE, field=None, unknown_field=None))
