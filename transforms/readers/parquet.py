"""Records from Parquet files: shards are row groups, small neighbours packed together."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.errors import UserError
from transforms import files
from transforms.files import File
from transforms.records import RECORDS, Columns, Shard, Unreadable

PACKED_RECORDS = 1024
"""Row groups are packed into one shard while they have no more records together than this."""

READ_BYTES = 2**20
"""A column is read in pieces of this size, so that a huge row group is never in memory at once."""


class ParquetReader:
    """Parquet with an image column of binary values, as `transforms.records.Reader` has it."""

    extensions: tuple[str, ...] = (".parquet", ".parq", ".pq")

    def shards(self, file: File, columns: Columns) -> list[Shard]:
        """Shards from the footer alone."""
        try:
            with files.open_file(file.path) as source:
                metadata = pq.ParquetFile(source).metadata
        except (pa.ArrowException, OSError) as error:
            raise UserError(
                f"{file.path} is not a Parquet file ({_first_line(error)}); take it out of --input."
            ) from error
        names = metadata.schema.to_arrow_schema().names
        if columns.image not in names:
            raise UserError(
                f"{file.path} has no column {columns.image!r}, only {', '.join(names) or 'none'}; "
                "name the one with the images by --image_column."
            )
        return _pack([metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)], file.path)

    def read(
        self, shard: Shard, columns: Columns, label_names: tuple[str, ...] | None, batch_size: int
    ) -> Iterator[pa.Table | Unreadable]:
        """Batches of the shard's row groups; a row group that cannot be read to its end is unreadable from there."""
        position = shard.position
        with files.open_file(shard.source) as source:
            parquet = pq.ParquetFile(source, buffer_size=READ_BYTES)
            problem = _schema_problem(parquet.schema_arrow, columns)
            if problem:
                yield Unreadable(shard.source, range(position, position + shard.records), *problem)
                return
            wanted = [
                name for name in (columns.id, columns.image, columns.labels) if name in parquet.schema_arrow.names
            ]
            for group in range(shard.start, shard.stop):
                end = position + parquet.metadata.row_group(group).num_rows
                try:
                    for batch in parquet.iter_batches(batch_size, [group], wanted):
                        yield _to_records(batch, shard.source, position, columns, label_names)
                        position += len(batch)
                except (pa.ArrowException, OSError) as error:
                    if isinstance(error, OSError) and error.errno:
                        raise  # the store failed, not the data: Arrow's own have no number
                    yield Unreadable(shard.source, range(position, end), "damaged_file", _first_line(error))
                position = end


def read_truth(path: str, id_column: str, labels_column: str, label_names: tuple[str, ...]) -> pa.Table:
    """The columns `id` and `labels` of a Parquet file that needs no images.

    Raises:
        UserError: if it is no Parquet file, or one of the columns is missing or of a wrong type.
    """
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
            problem = _labels_problem(parquet.schema_arrow, labels_column)
            if problem:
                raise UserError(f"{path}: {problem}.")
            table = parquet.read([id_column, labels_column]).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{path} is not a Parquet file ({_first_line(error)}); give one with ids and labels."
        ) from error
    batch = table.to_batches()[0] if len(table) else pa.RecordBatch.from_pylist([], table.schema)
    return pa.table(
        {"id": batch.column(id_column).cast(pa.string()), "labels": _labels(batch, labels_column, label_names)}
    )


def _pack(sizes: list[int], path: str) -> list[Shard]:
    shards: list[Shard] = []
    position = 0
    for group, size in enumerate(sizes):
        if shards and shards[-1].records + size <= PACKED_RECORDS:
            last = shards.pop()
            shards.append(replace(last, stop=group + 1, records=last.records + size))
        else:
            shards.append(Shard(len(shards), path, group, group + 1, position, size))
        position += size
    return shards


def _schema_problem(schema: pa.Schema, columns: Columns) -> tuple[str, str] | None:
    """Why no record of a file with this schema can be used: reason and detail."""
    for name in (columns.id, columns.image, columns.labels):
        if schema.names.count(name) > 1:
            return "duplicate_column", f"the file has {schema.names.count(name)} columns named {name!r}"
    kind = schema.field(columns.image).type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind)):
        return "wrong_type", f"column {columns.image!r} is {kind}; expected binary"
    problem = _labels_problem(schema, columns.labels)
    if problem:
        return "wrong_type", problem
    if columns.id in schema.names and pa.types.is_nested(schema.field(columns.id).type):
        return "wrong_type", f"column {columns.id!r} is {schema.field(columns.id).type}; expected string or int"
    return None


def _labels_problem(schema: pa.Schema, name: str) -> str | None:
    kind = schema.field(name).type if name in schema.names else pa.null()
    if pa.types.is_null(kind) or (_is_list(kind) and _is_label(kind.value_type)):
        return None
    return f"column {name!r} is {kind}; expected list<string> or list<int>"


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_label(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_null(kind)
    )


def _to_records(
    batch: pa.RecordBatch, source: str, position: int, columns: Columns, label_names: tuple[str, ...] | None
) -> pa.Table:
    count = len(batch)
    positions = pa.array(range(position, position + count), pa.int64())
    values: dict[str, Any] = {
        "id": _ids(batch, columns.id, source, positions),
        "source": pa.repeat(pa.scalar(source, pa.string()), count),
        "position": positions,
        "labels": _labels(batch, columns.labels, label_names),
        "image": batch.column(columns.image).cast(pa.binary()),
    }
    return pa.table(values, schema=RECORDS)


def _ids(batch: pa.RecordBatch, name: str, source: str, positions: pa.Array) -> pa.Array:
    generated = pc.binary_join_element_wise(source, positions.cast(pa.string()), "#")
    if name not in batch.schema.names:
        return generated
    return pc.coalesce(batch.column(name).cast(pa.string()), generated)


def _labels(batch: pa.RecordBatch, name: str, label_names: tuple[str, ...] | None) -> pa.Array:
    if name not in batch.schema.names or pa.types.is_null(batch.schema.field(name).type):
        return pa.nulls(len(batch), pa.list_(pa.string()))
    column = batch.column(name)
    if pa.types.is_integer(column.type.value_type):
        if label_names is None:
            raise UserError(f"column {name!r} has numbers for labels; give --label_file with their names, one a line.")
        return pa.array(
            [None if row is None else [_label_of(number, label_names) for number in row] for row in column.to_pylist()],
            pa.list_(pa.string()),
        )
    return column.cast(pa.list_(pa.string()))


def _label_of(number: int | None, label_names: tuple[str, ...]) -> str | None:
    """The label that a number stands for; one that stands for none is a label unknown to the model."""
    if number is None:
        return None
    return label_names[number] if 0 <= number < len(label_names) else str(number)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
