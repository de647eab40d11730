"""Loads truth from files other than the input, and looks it up by the ids of records."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bulklabel.model.errors import UserError
from bulklabel.model.labels.predictions import LABELS_COLUMN, TRUTH_COLUMNS
from bulklabel.model.labels.truth import UNKNOWN, decode_truth
from bulklabel.transforms.evaluating.truth_files import TRUTH_FILES, read_truth_file
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import unique_files
from bulklabel.transforms.files.stores.path_names import MISSING
from bulklabel.transforms.reading.records import MISSING_FILE, Columns


@dataclass(frozen=True)
class TruthTable:
    """Holds truth by id, whole in memory: about 200 bytes a record, and one more for each label with a column.

    `rows` has the row of each id in `table`, whose columns are those of `truth_files.read_truth_file` but the id;
    `labels` are the model's L labels, in order.
    """

    rows: dict[str, int]
    table: pa.Table
    labels: tuple[str, ...]

    @property
    def labels_without_column(self) -> list[str]:
        """Returns the labels that are unknown for all records, since others have a column and they have none."""
        if LABELS_COLUMN in self.table.column_names:
            return []
        return [label for index, label in enumerate(self.labels) if str(index) not in self.table.column_names]

    def columns_for(self, ids: Sequence[str]) -> dict[str, pa.Array]:
        """Returns the columns of truth of a table with these ids; unknown, or null, for ids that are not in `rows`."""
        truth_rows = self.table.take(pa.array([self.rows.get(record_id) for record_id in ids], pa.int64()))
        if LABELS_COLUMN in truth_rows.column_names:
            return {name: truth_rows.column(name) for name in TRUTH_COLUMNS if name in truth_rows.column_names}
        truth = np.full((len(ids), len(self.labels)), UNKNOWN, np.int8)
        for name in truth_rows.column_names:
            truth[:, int(name)] = truth_rows.column(name).fill_null(UNKNOWN).to_numpy()
        return dict(zip(TRUTH_COLUMNS, decode_truth(truth, self.labels), strict=True))


def load_truth(paths: Sequence[str], columns: Columns, labels: tuple[str, ...]) -> TruthTable:
    """Loads truth from Parquet and CSV files, all with lists of labels, or all with columns named like labels.

    Raises:
        UserError: if there is no such file or column, something in it is no truth, or an id occurs twice.
    """
    listed = unique_files([files.list_files(path, TRUTH_FILES) for path in paths])
    missing = next((file.path for file in listed if file.size == MISSING), None)
    if missing:
        raise UserError(f"{missing}: {MISSING_FILE.detail}.")
    tables = {file.path: read_truth_file(file.path, columns, labels) for file in listed}
    lists = [path for path, table in tables.items() if LABELS_COLUMN in table.column_names]
    others = [path for path in tables if path not in lists]
    if lists and others:
        raise UserError(f"{lists[0]} has lists of labels, {others[0]} a column for each; give one of both a command.")
    table = pa.concat_tables(tables.values(), promote_options="default").combine_chunks()
    ids = table.column("id").to_pylist()
    rows = {record_id: row for row, record_id in enumerate(ids)}
    if len(rows) < len(ids):
        twice = next(record_id for row, record_id in enumerate(ids) if rows[record_id] != row)
        raise UserError(f"{', '.join(paths)}: the id {twice!r} occurs twice; give one row a record.")
    return TruthTable(rows, table.drop_columns(["id"]), labels)
