"""Reads the values of Arrow columns, and knows of each of Arrow's types for the same values what it is plainly."""

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bulklabel.model.images.kinds import Encoded
from bulklabel.transforms.reading.record_tables import text_of

LARGE_IMAGE_BYTES = 2**14
"""Images that have so many bytes on average stay where they lie, since copying them takes longer."""

UUID_NAME = "arrow.uuid"
"""The name of the extension type that Parquet's UUIDs have too."""


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Returns the type of the same values without dictionary, run ends, views, large offsets, fixed sizes, extension.

    >>> plain_type(pa.dictionary(pa.int8(), pa.large_string())), plain_type(pa.binary_view())
    (DataType(string), DataType(binary))
    >>> plain_type(pa.list_view(pa.string_view()))
    ListType(list<item: string>)
    """
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return pa.binary()
    if types.is_fixed_size_binary(kind) and not types.is_decimal(kind):
        return pa.binary()
    if is_list(kind):
        return pa.list_(plain_type(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([field.with_type(plain_type(field.type)) for field in kind])
    return kind


def is_list(kind: pa.DataType) -> bool:
    """Tells whether a type is one of lists."""
    types = pa.types
    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
        or types.is_fixed_size_list(kind)
    )


def values_of(batch: pa.RecordBatch, name: str | None) -> list[Any]:
    r"""Returns a column's values, nulls if there is no such column; bytes in text that are not UTF-8 become `\x..`.

    >>> batch = pa.record_batch({"labels": [["cat"], None]})
    >>> values_of(batch, "labels"), values_of(batch, "id")
    ([['cat'], None], [None, None])
    """
    if name not in batch.schema.names:
        return [None] * len(batch)
    return python_values(batch.column(name))


def python_values(column: pa.Array) -> list[Any]:
    """Returns the values of a column as Python has them; times as text, since Python's have no nanoseconds.

    >>> python_values(pa.array(["cat", None, "cat"]).dictionary_encode())
    ['cat', None, 'cat']
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name != UUID_NAME:
        return python_values(column.storage)
    if pa.types.is_dictionary(kind):
        return python_values(column.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return python_values(pc.run_end_decode(column))
    if pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return python_values(column.cast(pa.string()))
    if pa.types.is_struct(kind):
        return _struct_values(column)
    if is_list(kind) and _holds_times(kind.value_type):
        return _list_values(column)
    if pa.types.is_map(kind) and _holds_times(kind):
        return [row and [tuple(entry.values()) for entry in row] for row in _list_values(column)]
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        if pa.types.is_nested(kind):  # a cast to lists of bytes makes empty lists of list views
            return _list_values(column)
        return [text_of(value) for value in column.cast(pa.binary()).to_pylist()]
    return values


def _list_values(column: pa.Array) -> list[Any]:
    return [python_values(row.values) if row.is_valid else None for row in column]


def _holds_times(kind: pa.DataType) -> bool:
    kind = plain_type(kind)
    return pa.types.is_temporal(kind) or any(_holds_times(kind.field(at).type) for at in range(kind.num_fields))


def _struct_values(column: pa.StructArray) -> list[Any]:
    names = [field.name for field in column.type]
    rows = zip(*map(python_values, column.flatten()), strict=True) if names else ((),) * len(column)
    valid = column.is_valid().to_pylist()
    return [dict(zip(names, row, strict=True)) if is_valid else None for row, is_valid in zip(rows, valid, strict=True)]


def images_in(column: pa.Array) -> list[Encoded | None]:
    """Returns the images of a column of binary values; views of them where they are large, which copy nothing.

    >>> images_in(pa.array([b"small", None]))
    [b'small', None]
    >>> images_in(pa.array([bytes(LARGE_IMAGE_BYTES), None]))[0].nbytes
    16384
    """
    if column.nbytes < (len(column) - column.null_count) * LARGE_IMAGE_BYTES:
        images: list[Encoded | None] = column.to_pylist()
        return images
    return _views(column) if len(column) else []


def _views(column: pa.Array) -> list[Encoded | None]:
    """Returns views of the values of a binary column, of which Arrow's own scalars would make a copy each."""
    _, places, values = column.buffers()
    kind = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    ends = np.frombuffer(places, kind)[column.offset :][: len(column) + 1].tolist()
    view, valid = memoryview(values or b"").cast("B"), column.is_valid().to_pylist()
    return [view[start:end] if there else None for (start, end), there in zip(pairwise(ends), valid, strict=True)]
