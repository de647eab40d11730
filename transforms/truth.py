"""Truth from elsewhere: tables of ids and labels in Parquet files."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from model.errors import RecordError, UserError, first_line
from transforms import files
from transforms.paths import unique
from transforms.readers.parquet import ParquetReader
from transforms.readers.schema import labels_problem
from transforms.rows import labels_of


@dataclass(frozen=True)
class TruthTable:
    """Truth by id, held whole in memory: about 200 bytes a record. `labels` is `list<string>`."""

    rows: dict[str, int]
    labels: pa.Array


def load_truth(paths: Sequence[str], id_column: str, labels_column: str, labels: tuple[str, ...]) -> TruthTable:
    """Truth from Parquet files; numbers in it are indices into `labels`.

    Raises:
        UserError: if there is no such file or column, or an id occurs twice.
    """
    found = unique([files.list_files(path, ParquetReader.names) for path in paths])
    table = pa.concat_tables([_read(file.path, id_column, labels_column, labels) for file in found])
    ids = table.column("id").to_pylist()
    rows = {record_id: row for row, record_id in enumerate(ids)}
    if len(rows) < len(ids):
        twice = next(record_id for row, record_id in enumerate(ids) if rows[record_id] != row)
        raise UserError(f"{', '.join(paths)}: the id {twice!r} occurs twice; give one row a record.")
    return TruthTable(rows, table.column("labels").combine_chunks())


def _read(path: str, id_column: str, labels_column: str, label_names: tuple[str, ...]) -> pa.Table:
    try:
        with files.open_file(path) as source:
            parquet = pq.ParquetFile(source)
            names = parquet.schema_arrow.names
            for name, flag in ((id_column, "--id_column"), (labels_column, "--labels_column")):
                if names.count(name) != 1:
                    raise UserError(
                        f"{path} has {names.count(name)} columns {name!r}; name the one to use by {flag}: "
                        f"there are {', '.join(names)}."
                    )
            problem = labels_problem(parquet.schema_arrow, labels_column)
            if problem:
                raise UserError(f"{path}: {problem}.")
            table = parquet.read([id_column, labels_column])
            truth = [labels_of(row, label_names) for row in table.column(labels_column).to_pylist()]
    except (pa.ArrowException, OSError, UnicodeDecodeError, RecordError) as error:
        raise UserError(f"{path} is not a Parquet file ({first_line(error)}); give one with ids and labels.") from error
    return pa.table({"id": table.column(id_column).cast(pa.string()), "labels": pa.array(truth, pa.list_(pa.string()))})
