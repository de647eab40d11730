"""Makes and reads the tables of the part files: predictions with truth beside them, and rejected records."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bulklabel.model.images.kinds import IMAGE_PROPERTIES, Kind, kinds_from_json, kinds_to_json
from bulklabel.model.labels.thresholds import predict_labels
from bulklabel.model.labels.truth import Truth, decode_predicted, encode_truth

WIDE, LIST = "wide", "list"
PROBABILITY = "prob_"
PROBABILITIES = "probabilities"

RECORD_FIELDS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("position", pa.int64()),
    ]
)

LABELS_COLUMN, UNKNOWN_COLUMN = TRUTH_COLUMNS = ("labels", "unknown")
"""Columns of truth as `encode_truth` takes it. Without the second a record's is all or nothing."""

KIND_COLUMN = pa.field(
    "bulklabel.kind", pa.struct({"format": pa.string(), "size": pa.int64(), "truncated": pa.bool_()})
)
"""`kinds.Kind` of each image, while a table is not yet, or no longer, a part's."""

REJECTED_SCHEMA = pa.schema(
    [*RECORD_FIELDS, pa.field("stage", pa.string()), pa.field("reason", pa.string()), pa.field("detail", pa.string())]
)


def column_names(labels: Sequence[str]) -> list[str]:
    """Returns the columns that a predictions table may have in one layout or another, besides carried ones.

    Those that it has for a while, before it is a part's, are among them.

    >>> column_names(["cat"])
    ['id', 'source', 'position', 'labels', 'unknown', 'predicted', 'probabilities', 'prob_cat', 'bulklabel.kind']
    """
    block = [PROBABILITIES, *(PROBABILITY + label for label in labels)]
    return [*RECORD_FIELDS.names, *TRUTH_COLUMNS, "predicted", *block, KIND_COLUMN.name]


def predictions_table(
    records: pa.Table,
    probabilities: npt.NDArray[np.float32],
    thresholds: Sequence[float],
    labels: Sequence[str],
    layout: str,
) -> pa.Table:
    """Returns the table of one part; its metadata names the labels in order.

    Args:
        records: N rows with `id`, `source`, `position`, `labels` and perhaps `unknown` (the truth), and whatever else
            is carried along: it comes last.
        probabilities: N×L.
        thresholds: L numbers, 0…1.
        labels: the L labels, in order.
        layout: `wide` for a column a label, `list` for one column of fixed-size lists.

    >>> records = pa.table({"id": ["a"], "source": ["cats.parquet"], "position": [0]})
    >>> table = predictions_table(records, np.array([[0.75, 0.25]], np.float32), [0.5, 0.5], ["cat", "dog"], "wide")
    >>> table.drop_columns(["source", "position"]).to_pylist()
    [{'id': 'a', 'predicted': ['cat'], 'prob_cat': 0.75, 'prob_dog': 0.25}]
    """
    first = [name for name in (*RECORD_FIELDS.names, *TRUTH_COLUMNS) if name in records.column_names]
    columns = {name: records.column(name) for name in first}
    columns["predicted"] = decode_predicted(predict_labels(probabilities, thresholds), labels)
    if layout == LIST:
        flat = pa.array(np.ascontiguousarray(probabilities).reshape(-1), pa.float32())
        columns[PROBABILITIES] = pa.FixedSizeListArray.from_arrays(flat, len(labels))
    else:
        for index, label in enumerate(labels):
            columns[PROBABILITY + label] = pa.array(np.ascontiguousarray(probabilities[:, index]), pa.float32())
    columns |= {name: records.column(name) for name in records.column_names if name not in columns}
    return with_metadata(pa.table(columns), {"labels": json.dumps(labels, ensure_ascii=False)})


def probabilities_of(table: pa.Table, labels: Sequence[str]) -> npt.NDArray[np.float32]:
    """Returns the probabilities, N×L, of a table that `predictions_table` made, of either layout."""
    if PROBABILITIES in table.column_names:
        flat = table.column(PROBABILITIES).combine_chunks().flatten()
        return np.asarray(flat.to_numpy(zero_copy_only=False), np.float32).reshape(len(table), len(labels))
    block = np.empty((len(table), len(labels)), np.float32)
    for index, label in enumerate(labels):
        block[:, index] = table.column(PROBABILITY + label).to_numpy()
    return block


def truth_of(table: pa.Table, labels: Sequence[str]) -> tuple[Truth, dict[str, int]]:
    """Returns the truth of a table that `predictions_table` made, as `truth.encode_truth` does."""
    unknown = table.column(UNKNOWN_COLUMN) if UNKNOWN_COLUMN in table.column_names else None
    return encode_truth(table.column(LABELS_COLUMN), labels, unknown)


def with_kinds(table: pa.Table, kinds: Sequence[Kind]) -> pa.Table:
    """Returns the table with the kinds of its N images in a column, which `fold_kinds` takes away again."""
    return table.append_column(KIND_COLUMN, pa.array(kinds, KIND_COLUMN.type))


def fold_kinds(table: pa.Table) -> pa.Table:
    """Moves the column that `with_kinds` added into the table's metadata, where it is not in the way."""
    if KIND_COLUMN.name not in table.column_names:
        return table
    fields = (values.to_pylist() for values in table.column(KIND_COLUMN.name).flatten())
    kinds = map(Kind._make, zip(*fields, strict=True))
    return with_metadata(
        table.drop_columns([KIND_COLUMN.name]), metadata_of(table.schema) | {"images": kinds_to_json(kinds)}
    )


def kinds_of(table: pa.Table) -> list[Kind]:
    """Returns the kinds of the N images of a table that `fold_kinds` made."""
    return kinds_from_json(metadata_of(table.schema)["images"])


def with_image_properties(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Adds those of `IMAGE_PROPERTIES` among the names to a table that `fold_kinds` made; a carried one stays itself.

    >>> records = with_kinds(pa.table({"id": ["a", "b"]}), [Kind("PNG", 32), Kind("JPEG", 512)])
    >>> with_image_properties(fold_kinds(records), ["camera", "image_size"]).column("image_size").to_pylist()
    ['32-63 px', '512-1023 px']
    """
    wanted = [name for name in names if name in IMAGE_PROPERTIES and name not in table.column_names]
    kinds = kinds_of(table) if wanted else []
    for name in wanted:
        table = table.append_column(name, pa.array(list(map(IMAGE_PROPERTIES[name], kinds)), pa.string()))
    return table


def with_metadata(table: pa.Table, metadata: Mapping[str, str]) -> pa.Table:
    """Returns the table with `bulklabel.<key>` entries in its schema, which Parquet keeps in the file's footer."""
    return table.replace_schema_metadata({f"bulklabel.{key}": value for key, value in metadata.items()})


def metadata_of(schema: pa.Schema) -> dict[str, str]:
    """Returns the entries that `with_metadata` put into a schema.

    >>> metadata_of(with_metadata(pa.table({"id": ["a"]}), {"plan": "f3a1"}).schema)
    {'plan': 'f3a1'}
    """
    return {
        key.decode().removeprefix("bulklabel."): value.decode()
        for key, value in (schema.metadata or {}).items()
        if key.startswith(b"bulklabel.")
    }
