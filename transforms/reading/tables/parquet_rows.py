"""Reads the rows of Parquet as those of other tables, where all of it is wanted."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.transforms.reading.arrow_values import values_of

BATCH_ROWS = 2**14
"""So many rows become Python values at once."""


def read_schema(source: BinaryIO) -> pa.Schema:
    """Returns the schema of a file."""
    return pq.ParquetFile(source).schema_arrow


def read_rows(source: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yields the rows of a file.

    >>> import io
    >>> source = io.BytesIO()
    >>> pq.write_table(pa.table({"id": [1], "labels": [["cat"]]}), source)
    >>> list(read_rows(source))
    [{'id': 1, 'labels': ['cat']}]
    """
    for batch in pq.ParquetFile(source).iter_batches(BATCH_ROWS):
        names = batch.schema.names
        for values in zip(*(values_of(batch, name) for name in names), strict=True):
            yield dict(zip(names, values, strict=True))
