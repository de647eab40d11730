"""The tables inside parts: their schemas, an empty one, and a row for a rejected record."""

from typing import Any

import numpy as np
import pyarrow as pa

from bulklabel.model.errors import RecordError
from bulklabel.model.labels.predictions import REJECTED_SCHEMA, fold_kinds, predictions_table, with_kinds
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.run_directory.plan import CONTENT, Recipe


def no_records(recipe: Recipe) -> pa.Table:
    """Returns the rows of no records."""
    return recipe.schema.empty_table()


def no_predictions(recipe: Recipe) -> pa.Table:
    """Returns the predictions of a shard without records."""
    nothing = np.empty((0, len(recipe.labels)), np.float32)
    return predictions_table(
        with_kinds(no_records(recipe), []), nothing, recipe.thresholds, recipe.labels, recipe.layout
    )


def predictions_schema(recipe: Recipe) -> pa.Schema:
    """Returns the schema of the tables in parts of predictions."""
    return fold_kinds(no_predictions(recipe)).schema


def rejected_schema(recipe: Recipe) -> pa.Schema:
    """Returns the schema of the tables in parts of rejected records."""
    return REJECTED_SCHEMA.append(CONTENT) if recipe.by_content else REJECTED_SCHEMA


def rejected_row(record_id: str | None, source: str, position: int, error: RecordError) -> dict[str, Any]:
    """Makes a row of `predictions.REJECTED_SCHEMA`; a record without an id gets its source and position for one."""
    return {
        "id": f"{source}#{position}" if record_id is None else escape_surrogates(record_id),
        "source": source,
        "position": position,
        "stage": error.stage,
        "reason": error.reason,
        "detail": escape_surrogates(error.detail),
    }


def rejected_row_of(records: pa.Table, row: int, error: RecordError) -> dict[str, Any]:
    """Makes the row of `predictions.REJECTED_SCHEMA` for one of the records of a batch, by its number there."""
    record_id, source, position = (records.column(name)[row].as_py() for name in ("id", "source", "position"))
    return rejected_row(record_id, source, position, error)
