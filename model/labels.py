"""Label sets, and the truth of records as a matrix of present, absent and unknown."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from model.errors import UserError

PRESENT, ABSENT, UNKNOWN = 1, 0, -1

Truth = npt.NDArray[np.int8]
"""N×L: 1 where a label is present, 0 where it is absent, -1 where nobody knows."""


def check_labels(names: Sequence[str], origin: str) -> tuple[str, ...]:
    """The label set as a tuple, in order; `origin` names where it came from.

    Raises:
        UserError: if there is no label, an empty one, or one that occurs twice.
    """
    if not names:
        raise UserError(f"{origin} has no labels; give at least one label.")
    seen: set[str] = set()
    for name in names:
        if not name:
            raise UserError(f"{origin} has an empty label; give every label a name.")
        if name in seen:
            raise UserError(f"{origin} has the label {name!r} twice; keep one of them.")
        seen.add(name)
    return tuple(names)


def encode_truth(labels: pa.Array, names: Sequence[str]) -> tuple[Truth, dict[str, int]]:
    """Truth of N records as an N×L matrix, and the labels in it that are not in `names`.

    Args:
        labels: `list<string>`, N long; null where a record's truth is unknown.
        names: the L labels of the model, in order.

    Returns:
        The matrix (a null record is a row of `UNKNOWN`, any other holds `PRESENT` and `ABSENT`), and for each
        label that the model does not know how many records name it.
    """
    if isinstance(labels, pa.ChunkedArray):
        labels = labels.combine_chunks()
    truth = np.full((len(labels), len(names)), ABSENT, np.int8)
    truth[labels.is_null().to_numpy(zero_copy_only=False)] = UNKNOWN
    rows = pc.list_parent_indices(labels)
    values = pc.list_flatten(labels)
    columns = pc.index_in(values, value_set=pa.array(names, pa.string()))
    known = columns.is_valid()
    truth[rows.filter(known).to_numpy(), columns.filter(known).to_numpy()] = PRESENT
    strange = pc.and_(columns.is_null(), values.is_valid())
    pairs = pa.table({"row": rows.filter(strange), "label": values.filter(strange)})
    counted = pairs.group_by(["row", "label"]).aggregate([]).column("label").value_counts().to_pylist()
    return truth, {item["values"]: item["counts"] for item in counted}


def decode_predicted(predicted: npt.NDArray[np.bool_], names: Sequence[str]) -> pa.Array:
    """The labels where `predicted` (N×L) is true, as `list<string>` in the order of `names`."""
    counts = predicted.sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    columns = np.nonzero(predicted)[1].astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(names, pa.string()).take(pa.array(columns)))
