"""Reads truth from Parquet or CSV files, with a list of labels a record or with a column for each label."""

import gzip
import re
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from bulklabel.model.errors import RecordError, UserError, first_line
from bulklabel.model.labels.predictions import TRUTH_COLUMNS
from bulklabel.model.labels.truth import ABSENT, PRESENT, UNKNOWN
from bulklabel.transforms.files import files
from bulklabel.transforms.reading.image_metadata import labels_in
from bulklabel.transforms.reading.parquet import labels_problem
from bulklabel.transforms.reading.record_tables import Labels, truth_of
from bulklabel.transforms.reading.records import Columns

TRUTH_FILES = re.compile(r"\.(parquet|parq|pq|csv|csv\.gz)$", re.IGNORECASE)
CSV = re.compile(r"\.csv(\.gz)?$", re.IGNORECASE)

MEANINGS: dict[Any, int] = {
    **dict.fromkeys((1, "1", "1.0", "true"), PRESENT),
    **dict.fromkeys((0, "0", "0.0", "false"), ABSENT),
    **dict.fromkeys((-1, "-1", "-1.0", ""), UNKNOWN),
}
"""What a label's column may hold, text in lower case; to Python True, 1.0 and a decimal 1 are the same key as 1."""

QUOTED = pyarrow.csv.ParseOptions(newlines_in_values=True)

Choose = Callable[[pa.Schema], list[str]]


def read_truth_file(path: str, columns: Columns, label_names: tuple[str, ...]) -> pa.Table:
    """Reads the truth in one file, whose columns `columns` names; numbers in lists are indices into `label_names`.

    Returns:
        `id`, and either `labels` (with `unknown`, if `columns` names one) as lists of labels, or an int8 column of
        present, absent and unknown for each label that has a column, named by the label's index.

    Raises:
        UserError: if the file cannot be read, lacks a column or has it twice, or a value in it is no truth.
    """
    in_csv = bool(CSV.search(path))
    read = _read_csv if in_csv else _read_parquet
    try:
        table = read(path, lambda schema: _columns_to_read(schema, path, columns, label_names))
        ids = table.column(columns.id).cast(pa.string())
        if columns.labels in table.column_names:
            return pa.table({"id": ids, **_label_lists(table, path, columns, label_names, in_csv)})
        known = {
            str(index): _column_truth(table.column(name), path, name)
            for index, name in enumerate(label_names)
            if name in table.column_names and name != columns.id
        }
        return pa.table({"id": ids, **known})
    except (pa.ArrowException, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        kind = "CSV" if in_csv else "Parquet"
        raise UserError(f"{path} is not a {kind} file ({first_line(error)}); give one with ids and labels.") from error


def _read_parquet(path: str, choose: Choose) -> pa.Table:
    with files.open_file(path) as source:
        parquet = pq.ParquetFile(source)
        return parquet.read(choose(parquet.schema_arrow))


def _read_csv(path: str, choose: Choose) -> pa.Table:
    """Reads the columns as text: an id like 007 is no number."""
    content = files.read(path)
    content = gzip.decompress(content) if path.lower().endswith(".gz") else content
    names = pyarrow.csv.open_csv(pa.BufferReader(content), parse_options=QUOTED).schema.names
    text = dict.fromkeys(names, pa.string())
    chosen = choose(pa.schema([(name, pa.string()) for name in names]))
    options = pyarrow.csv.ConvertOptions(column_types=text, include_columns=chosen)
    return pyarrow.csv.read_csv(pa.BufferReader(content), parse_options=QUOTED, convert_options=options)


def _columns_to_read(schema: pa.Schema, path: str, columns: Columns, label_names: tuple[str, ...]) -> list[str]:
    """Returns the columns to read: lists of labels if there are any, else those that are named like labels."""
    given = [(columns.id, "--id_column"), (columns.labels, "--labels_column"), (columns.unknown, "--unknown_column")]
    own = [name for name in label_names if name in schema.names and name != columns.id]
    if columns.labels in schema.names or columns.unknown or not own:
        own = []
    flags = {name: flag for name, flag in (given[:1] if own else given) if name}
    for name in (*flags, *own):
        if schema.names.count(name) != 1:
            fix = f"name the one to use by {flags[name]}" if name in flags else "keep one of them"
            names = ", ".join(schema.names) or "none"
            raise UserError(f"{path} has {schema.names.count(name)} columns {name!r}; {fix}: there are {names}.")
    return [*flags, *own]


def _label_lists(
    table: pa.Table, path: str, columns: Columns, label_names: tuple[str, ...], in_csv: bool
) -> dict[str, pa.Array]:
    """Reads lists of labels: the present ones, and the unknown ones if there is a column for them."""
    names = [name for name in (columns.labels, columns.unknown) if name]
    given = [table.column(name).to_pylist() for name in names]
    if in_csv:
        given = [[labels_in(cell) for cell in cells] for cells in given]
    else:
        for problem in filter(None, (labels_problem(table.schema, name) for name in names)):
            raise UserError(f"{path}: {problem}.")
    truths: list[tuple[Labels, Labels]] = []
    for row, lists in enumerate(zip(*given, strict=True), 1):
        try:
            truths.append(truth_of(lists[0], lists[1] if columns.unknown else None, label_names))
        except RecordError as error:
            raise UserError(f"{path}, row {row}: {error.detail}.") from error
    return {
        name: pa.array([truth[index] for truth in truths], pa.list_(pa.string()))
        for index, name in enumerate(TRUTH_COLUMNS[: len(names)])
    }


def _column_truth(column: pa.ChunkedArray, path: str, name: str) -> pa.Array:
    """Returns the truth in the cells of a label's column, as int8."""
    try:
        encoded = column.combine_chunks().dictionary_encode()
    except pa.ArrowNotImplementedError:
        raise UserError(f"{path}: column {name!r} is {column.type}; expected numbers, booleans or text.") from None
    values = encoded.dictionary.to_pylist()
    meanings = [_meaning(value) for value in values]
    indices = encoded.indices.fill_null(len(values)).to_numpy()
    wrong = np.isin(indices, [index for index, meaning in enumerate(meanings) if meaning is None])
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"{path}: column {name!r}, row {row + 1}: {str(values[indices[row]])[:40]!r} is no truth; "
            "expected 1 (present), 0 (absent), or -1 or nothing (unknown)."
        )
    return pa.array(np.array([*meanings, UNKNOWN], np.int8)[indices])


def _meaning(value: Any) -> int | None:
    """Returns present, absent or unknown, None for anything else; NaN is how some tools write a missing number.

    >>> _meaning(" True "), _meaning(0.0), _meaning(float("nan")), _meaning("cat")
    (1, 0, -1, None)
    """
    if isinstance(value, str):
        value = value.strip().lower()
    return UNKNOWN if value is None or value != value else MEANINGS.get(value)
