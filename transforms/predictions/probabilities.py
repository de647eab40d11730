"""Makes probabilities of the columns that hold them, and says of each record that has none why."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bulklabel.model.errors import RecordError
from bulklabel.model.labels.label_rule import compose, list_in
from bulklabel.transforms.files.text import shortened
from bulklabel.transforms.predictions import LOGITS
from bulklabel.transforms.predictions.prediction_spec import PredictionSpec
from bulklabel.transforms.reading.arrow_values import is_list, plain_type, python_values

Column = Any
"""A column of Arrow, or a list of the values of one."""

Numbers = npt.NDArray[np.float64]

Errors = dict[int, RecordError]
"""By row, why it has no probabilities."""

ROUNDING = 1e-6
"""Probabilities that are no further outside 0…1 were rounded by whoever computed them, and are clipped."""

NAME_LISTS = ("displayNames", "labels", "names", "classes")
NUMBER_LISTS = ("confidences", "scores", "probabilities")
"""What lists of names and of numbers are called in one object: Vertex AI's, and others'."""

NAME_KEYS, NUMBER_KEYS = ("label", "name", "class"), ("score", "prob", "probability", "confidence")
"""What the name and the number of a label are called where each is an object: Hugging Face's, BigQuery's and so on."""


def probabilities_in(columns: Mapping[str, Column], spec: PredictionSpec) -> tuple[npt.NDArray[np.float32], Errors]:
    """Returns the probabilities of N records, N×L, and which rows have none, whose numbers mean nothing.

    They are compared as float32 ever after, so numbers of other precision are rounded to it.

    >>> spec = PredictionSpec(("cat", "dog"), ("prob_cat", "prob_dog"), by_label=True)
    >>> numbers, errors = probabilities_in({"prob_cat": [0.5, 1.5], "prob_dog": ["0.25", "0"]}, spec)
    >>> numbers[0].tolist(), errors[1].detail
    ([0.5, 0.25], "the probability of 'cat' is 1.5; expected 0 to 1")
    """
    numbers, errors = numbers_in(columns, spec)
    unusable = ~np.isfinite(numbers)
    for row, label in _first_of_rows(unusable, errors):
        value = numbers[row, label]
        errors[row] = _error("not_finite", f"the number of {shortened(spec.labels[label])} is {value}")
    if spec.outputs == LOGITS:
        with np.errstate(invalid="ignore"):
            numbers = np.exp(-np.logaddexp(0, -numbers))
    outside = (numbers < -ROUNDING) | (numbers > 1 + ROUNDING)
    for row, label in _first_of_rows(outside, errors):
        words = f"the probability of {shortened(spec.labels[label])} is {numbers[row, label]:g}; expected 0 to 1"
        errors[row] = _error("not_a_probability", words)
    return numbers.clip(0, 1).astype(np.float32), errors


def numbers_in(columns: Mapping[str, Column], spec: PredictionSpec) -> tuple[Numbers, Errors]:
    """Returns the numbers of N records, N×L, as they are, and which rows lack some."""
    if spec.by_label:
        return _of_columns([columns[name] for name in spec.columns], spec)
    column = columns[spec.columns[0]]
    if not spec.named and isinstance(column, pa.Array) and is_number_list(column.type):
        return _of_lists(column, spec)
    return _of_values(values_in(column), spec)


def values_in(column: Column) -> Sequence[Any]:
    """Returns the values of a column as Python has them."""
    return python_values(column) if isinstance(column, pa.Array) else column


def is_number_list(kind: pa.DataType) -> bool:
    """Returns whether a type is one of lists of numbers."""
    return is_list(kind) and is_number(kind.value_type)


def is_number(kind: pa.DataType) -> bool:
    """Returns whether a type is one of numbers, decimals among them."""
    kind = plain_type(kind)
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def number_of(value: Any) -> float:
    """Returns a number, or what a text says.

    Raises:
        ValueError, TypeError: if it is neither.

    >>> number_of(" 1e-3"), number_of(1)
    (0.001, 1.0)
    """
    if isinstance(value, str) and "_" in value:
        raise ValueError(value)  # Python would read 1_0 as ten
    return float(value)


def pairs_in(value: Any) -> dict[str, Any] | None:
    """Returns the numbers in a value by their labels, in order; None if they have no names with them.

    >>> pairs_in([{"label": "cat", "score": 0.9}]), pairs_in({"cat": 0.9}), pairs_in([("cat", 0.9)])
    ({'cat': 0.9}, {'cat': 0.9}, {'cat': 0.9})
    >>> pairs_in({"ids": [7], "displayNames": ["cat"], "confidences": [0.9]})
    {'cat': 0.9}
    """
    if isinstance(value, Mapping):
        if not any(isinstance(each, list | Mapping) for each in value.values()):
            return {str(name): number for name, number in value.items()}
        names, numbers = (
            [value[key] for key in keys if isinstance(value.get(key), list)] for keys in (NAME_LISTS, NUMBER_LISTS)
        )
        is_pair = len(names) == len(numbers) == 1 and len(names[0]) == len(numbers[0])
        return dict(zip(map(str, names[0]), numbers[0], strict=True)) if is_pair else None
    if not isinstance(value, list | tuple) or not value:
        return None
    pairs = [_pair(item) for item in value]
    named = {name: number for pair in pairs if pair is not None for name, number in [pair]}
    return named if len(named) == len(value) else None


def _pair(item: Any) -> tuple[str, Any] | None:
    if isinstance(item, Mapping):
        names = [item[key] for key in item if key.lower() in NAME_KEYS]
        numbers = [item[key] for key in item if key.lower() in NUMBER_KEYS]
        return (str(names[0]), numbers[0]) if len(names) == len(numbers) == 1 else None
    return (
        (item[0], item[1]) if isinstance(item, list | tuple) and len(item) == 2 and isinstance(item[0], str) else None
    )


def _of_columns(columns: Sequence[Column], spec: PredictionSpec) -> tuple[Numbers, Errors]:
    numbers = np.empty((len(columns[0]), len(columns)))
    errors: Errors = {}
    for label, column in enumerate(columns):
        name = shortened(spec.labels[label])
        if isinstance(column, pa.Array) and is_number(column.type):
            decoded = column.cast(plain_type(column.type)) if column.type != plain_type(column.type) else column
            numbers[:, label] = _as_float64(decoded)
            missing = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)) if column.null_count else ()
            errors |= {int(row): _error("missing_probability", f"there is none of {name}") for row in missing}
            continue
        for row, value in enumerate(values_in(column)):
            try:
                numbers[row, label] = number_of(value)
            except (TypeError, ValueError):
                numbers[row, label] = 0
                errors.setdefault(row, _not_a_number(name, value))
    return numbers, errors


def _as_float64(column: pa.Array) -> Numbers:
    """Returns the numbers of a column, nulls as 0."""
    column = column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column
    numbers = np.array(column.to_numpy(zero_copy_only=False), np.float64)
    if column.null_count:
        numbers[column.is_null().to_numpy(zero_copy_only=False)] = 0
    return numbers


def _of_lists(column: pa.Array, spec: PredictionSpec) -> tuple[Numbers, Errors]:
    """Returns the numbers of lists, all at once."""
    count = len(spec.labels)
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    whole = lengths == count
    numbers = np.zeros((len(column), count))
    errors: Errors = {int(row): _wrong_length(int(lengths[row]), count) for row in np.flatnonzero(~whole)}
    flat = pc.list_flatten(column.filter(pa.array(whole)))
    numbers[whole] = _as_float64(flat).reshape(-1, count)
    if flat.null_count:
        missing = np.zeros((len(column), count), bool)
        missing[whole] = flat.is_null().to_numpy(zero_copy_only=False).reshape(-1, count)
        for row, label in _first_of_rows(missing, errors):
            errors[row] = _error("missing_probability", f"there is none of {shortened(spec.labels[label])}")
    return numbers, errors


def _of_values(values: Sequence[Any], spec: PredictionSpec) -> tuple[Numbers, Errors]:
    """Returns the numbers in lists or objects, one record after another."""
    numbers, errors = np.zeros((len(values), len(spec.labels))), {}
    for row, value in enumerate(values):
        try:
            numbers[row] = _numbers_of(value, spec)
        except RecordError as error:
            errors[row] = error
    return numbers, errors


def _numbers_of(value: Any, spec: PredictionSpec) -> list[float]:
    """Returns a record's numbers in the order of the labels.

    Raises:
        RecordError: if some are missing, or no numbers.
    """
    if isinstance(value, str):
        value = list_in(value.strip())
    if spec.named:
        pairs = {compose(name): number for name, number in (pairs_in(value) or {}).items()}
        value = [pairs.get(compose(label)) for label in spec.labels]
    if not isinstance(value, list):
        raise _wrong_length(-1, len(spec.labels))
    if len(value) != len(spec.labels):
        raise _wrong_length(len(value), len(spec.labels))
    numbers = []
    for label, number in zip(spec.labels, value, strict=True):
        try:
            numbers.append(number_of(number))
        except (TypeError, ValueError) as error:
            raise _not_a_number(shortened(label), number) from error
    return numbers


def _not_a_number(name: str, value: Any) -> RecordError:
    if value is None or (isinstance(value, str) and not value.strip()):
        return _error("missing_probability", f"there is none of {name}")
    return _error("not_a_number", f"the probability of {name} is {shortened(str(value))}; expected a number")


def _wrong_length(length: int, count: int) -> RecordError:
    if length < 0:
        return _error("missing_probability", f"there is no list of {count:,} numbers")
    return _error("wrong_length", f"the list has {length:,} numbers, and there are {count:,} labels")


def _first_of_rows(marked: npt.NDArray[np.bool_], errors: Errors) -> list[tuple[int, int]]:
    """Returns each row without an error in which something is marked, with the first such label."""
    rows = [int(row) for row in np.flatnonzero(marked.any(axis=1)) if row not in errors]
    return [(row, int(marked[row].argmax())) for row in rows]


def _error(reason: str, detail: str) -> RecordError:
    return RecordError("read", reason, detail)
