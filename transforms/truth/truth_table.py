"""Loads truth from tables other than the input, and looks it up by the ids of records."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa

from bulklabel.model.errors import RecordError, UserError
from bulklabel.model.labels import COLUMNS, NAMES, NONE
from bulklabel.model.labels.choose_rule import AS_FOUND, LabelOptions, choose_rule
from bulklabel.model.labels.examine_rule import Choice, SampledRecord, truth_content
from bulklabel.model.labels.label_rule import Labels, TruthReader, compose
from bulklabel.model.labels.predictions import LABELS_COLUMN, UNKNOWN_COLUMN
from bulklabel.model.labels.truth import PRESENT
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File, unique_files
from bulklabel.transforms.files.stores.path_names import MISSING
from bulklabel.transforms.files.text import escape_surrogates, shortened
from bulklabel.transforms.reading.record_tables import id_of
from bulklabel.transforms.reading.records import MISSING_FILE, Columns
from bulklabel.transforms.truth import ID
from bulklabel.transforms.truth.keys import find_id_column, key_of, same_words
from bulklabel.transforms.truth.long_table import check_known, is_long, long_rows
from bulklabel.transforms.truth.table_rows import TableRows
from bulklabel.transforms.truth.truth_files import TRUTH_FILES, open_truth

SAMPLED_ROWS = 1000
"""So many rows of each table are looked at to choose how its labels are read."""

LABEL_COLUMNS = ("labels", "label", "Finding Labels", "LabelName")
"""The names of columns of labels, unless the user gives another; the last two are NIH's and Open Images'."""


@dataclass(frozen=True)
class TruthTable:
    """Holds truth by id, whole in memory: about 200 bytes a record, and four more for each label of one.

    `rows` has the row of each key in `table`, whose columns are `labels` and perhaps `unknown`; `key` is one of
    `TRUTH_KEYS`, and `ids` are those of the rows; `labels` are the model's L labels in order; `choices` say by path how
    each file was read.
    """

    origin: str
    key: str
    ids: Sequence[str]
    rows: dict[str, int]
    table: pa.Table
    labels: tuple[str, ...]
    choices: dict[str, Choice]

    @property
    def labels_without_column(self) -> list[str]:
        """Returns the labels that are unknown for all records, since only others have a column."""
        rules = [choice.rule for choice in self.choices.values()]
        if any(rule.form != COLUMNS for rule in rules):
            return []
        reader = TruthReader(rules[0], self.labels)
        known = {reader.known_name(name) for rule in rules for name in rule.columns}
        return [label for label in self.labels if label not in known]

    @property
    def content(self) -> dict[str, Any]:
        """Returns what is published of how the tables' labels were read: the first's, with the warnings of all."""
        first = next(iter(self.choices.values()))
        warnings = [warning for choice in self.choices.values() for warning in choice.warnings]
        return {**truth_content(first, self.labels), "warnings": warnings}

    def columns_for(self, ids: Sequence[str]) -> dict[str, pa.Array]:
        """Returns the columns of truth of a table with these ids; null for ids that no row joins."""
        found = [self.rows.get(key_of(record_id, self.key)) for record_id in ids]
        truth_rows = self.table.take(pa.array(found, pa.int64()))
        lists = pa.list_(pa.string())
        return {name: truth_rows.column(name).cast(lists) for name in truth_rows.column_names}


def load_truth(
    paths: Sequence[str],
    columns: Columns,
    labels: tuple[str, ...],
    options: LabelOptions = AS_FOUND,
    key: str = ID,
    id_may_lack: bool = False,
) -> TruthTable:
    """Loads truth from tables; how each means labels is chosen by its first rows.

    Args:
        paths: files, folders or globs of tables, or of other files that `open_truth` knows.
        columns: the columns of ids, of labels, and of labels that nobody knows.
        labels: the model's labels, in order.
        options: what the user says of how labels are written.
        key: what rows and records are joined by, one of `TRUTH_KEYS`.
        id_may_lack: whether a table without the column of ids that `columns` names is looked at for another, since
            the name is that of the input's column.

    Raises:
        UserError: if there is no such file or column, something in it is no truth, or an id occurs twice.
    """
    options = replace(options, field=columns.labels, unknown_field=columns.unknown)
    builder = _Builder(", ".join(paths), labels, key)
    for path, table in open_truth(list_truth(paths)):
        lacks = id_may_lack and columns.id not in table.names
        builder.add(path, table, None if lacks else columns.id, options)
    return builder.table()


def list_truth(paths: Sequence[str]) -> list[File]:
    """Lists the files of truth that paths stand for, sorted.

    Raises:
        UserError: if there are none, or one is a link that leads nowhere.
    """
    listed = unique_files([files.list_files(path, TRUTH_FILES) for path in paths])
    missing = next((file.path for file in listed if file.size == MISSING), None)
    if missing:
        raise UserError(f"{missing}: {MISSING_FILE.detail}.")
    return listed


class _Builder:
    """Collects the truth of rows; labels are kept as numbers until they are looked up."""

    def __init__(self, origin: str, labels: tuple[str, ...], key: str) -> None:
        self._origin = origin
        self._labels = labels
        self._key = key
        self._ids: list[str] = []
        self._rows: dict[str, int] = {}
        self._numbers: dict[str | None, int] = {}
        self._present: list[list[int] | None] = []
        self._unknown: list[list[int] | None] = []
        self._choices: dict[str, Choice] = {}

    def add(self, path: str, table: TableRows, id_column: str | None, options: LabelOptions) -> None:
        """Adds the rows of a table."""
        id_column = find_id_column(path, table.names, id_column or table.id_column, self._labels)
        _check_columns(path, table.names, options)
        table, options = _one_row_a_record(path, table, id_column, self._labels, options)
        first = list(islice(table.rows, SAMPLED_ROWS))
        sample = [
            SampledRecord(
                id_of(row.get(id_column)) or "", {n: v for n, v in row.items() if n != id_column}, table.class_names
            )
            for row in first
        ]
        choice = choose_rule(sample, [options.field] if options.field else LABEL_COLUMNS, self._labels, options, path)
        choice = replace(choice, words=table.kind or choice.words)
        if choice.rule.form == NONE:
            names = ", ".join(table.names) or "none"
            raise UserError(
                f"{path} has no labels; name their column with --labels_column, or name columns like the model's "
                "labels: "
                f"there are {names}."
            )
        self._choices[path] = choice
        reader = TruthReader(choice.rule, self._labels)
        named = {*choice.rule.fields, *options.no_label, id_column, *_ids_of_kind(table)}
        others = {*table.names} - named if table.kind else set()
        for number, row in enumerate(chain(first, table.rows), 1):
            try:
                truth = self._with_others(row, others, *reader.read(row, table.class_names))
            except RecordError as error:
                raise UserError(f"{path}, row {number}: {error.detail}.") from error
            self._add_row(path, number, id_of(row.get(id_column)), *truth)

    def _with_others(
        self, row: Mapping[str, Any], others: Collection[str], present: Labels, unknown: Labels
    ) -> tuple[Labels, Labels]:
        """Returns the truth of a row with the labels, among `others`, that are present and that the model lacks."""
        strange = [compose(name) for name, cell in row.items() if cell == PRESENT and name in others]
        if not strange:
            return present, unknown
        return [*(present or ()), *strange], list(self._labels) if present is None else unknown

    def _add_row(self, path: str, number: int, record_id: str | None, present: Labels, unknown: Labels) -> None:
        if record_id is None:
            raise UserError(f"{path}, row {number}: it has no id; give one id per row.")
        record_id = escape_surrogates(record_id)  # as records have it
        truth = self._numbered(present), self._numbered(unknown)
        row = self._rows.setdefault(key_of(record_id, self._key), len(self._ids))
        if row == len(self._ids):
            self._ids.append(record_id)
            self._present.append(truth[0])
            self._unknown.append(truth[1])
        else:
            self._check_same(row, record_id, *truth)

    def _check_same(self, row: int, record_id: str, *truth: Sequence[int] | None) -> None:
        """Checks a second row of one key, which may only say of another id what the first one says."""
        if self._ids[row] == record_id:
            raise UserError(f"{self._origin}: the id {record_id!r} occurs twice; give one row per record.")
        first = self._present[row], self._unknown[row]
        if any((a is None) != (b is None) or set(a or ()) != set(b or ()) for a, b in zip(first, truth, strict=True)):
            raise UserError(
                f"{self._origin}: {shortened(self._ids[row])} and {shortened(record_id)} have the same "
                f"{same_words(self._key)} and different truth; give ids that are the records' own, or another "
                "--truth_key."
            )

    def _numbered(self, labels: Labels) -> list[int] | None:
        if labels is None:
            return None
        names = (label and escape_surrogates(label) for label in labels)
        return [self._numbers.setdefault(name, len(self._numbers)) for name in names]

    def table(self) -> TruthTable:
        """Returns what was added."""
        names = pa.array(list(self._numbers), pa.string())
        table = pa.table({LABELS_COLUMN: _lists(self._present, names)})
        if any(choice.rule.three_valued for choice in self._choices.values()):
            table = table.append_column(UNKNOWN_COLUMN, _lists(self._unknown, names))
        return TruthTable(self._origin, self._key, self._ids, self._rows, table, self._labels, self._choices)


def _lists(numbers: Sequence[Sequence[int] | None], names: pa.Array) -> pa.Array:
    """Returns lists of names, which are stored once, from lists of their numbers."""
    offsets = np.cumsum([0, *(len(each or ()) for each in numbers)]).astype(np.int64)
    flat = np.fromiter(chain.from_iterable(each or () for each in numbers), np.int32, offsets[-1])
    missing = pa.array([each is None for each in numbers], pa.bool_())
    return pa.LargeListArray.from_arrays(
        pa.array(offsets), pa.DictionaryArray.from_arrays(pa.array(flat), names), mask=missing
    )


def _one_row_a_record(
    path: str, table: TableRows, id_column: str, labels: tuple[str, ...], options: LabelOptions
) -> tuple[TableRows, LabelOptions]:
    """Returns a table with one row a record, and how its labels are written."""
    if table.kind:
        names = [compose(name) for name in table.names if name not in _ids_of_kind(table)]
        if not names:
            raise UserError(f"{path}: {table.kind} say nothing about any label; give others.")
        check_known(path, names, [compose(name) for name in labels])
        return table, replace(options, labels_as=COLUMNS, field=None, unknown_field=None)
    first = list(islice(table.rows, SAMPLED_ROWS))
    rows = chain(first, table.rows)
    field = options.field or next((name for name in LABEL_COLUMNS if name in table.names), None)
    if not is_long(path, table, first, id_column, field, options):
        return replace(table, rows=rows), options
    table = long_rows(path, table, rows, id_column, field or "", labels, options)
    return table, replace(options, labels_as=NAMES, field=LABELS_COLUMN, unknown_field=UNKNOWN_COLUMN)


def _ids_of_kind(table: TableRows) -> tuple[str | None, ...]:
    """Returns the columns of a table of some kind that are no labels."""
    return "id", table.id_column


def _check_columns(path: str, names: Sequence[str], options: LabelOptions) -> None:
    """Checks that the columns which the user names are there once each."""
    flags = {options.field: "--labels_column", options.unknown_field: "--unknown_column"}
    for name, flag in flags.items():
        if name is not None and names.count(name) != 1:
            listed = ", ".join(names) or "none"
            raise UserError(
                f"{path} has {names.count(name)} columns {name!r}; name the one to use by {flag}: there are {listed}."
            )
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UserError(
            f"{path} has {names.count(repeated)} columns {repeated!r}; keep one of them: there are {', '.join(names)}."
        )
