"""Checks label sets, and holds the truth of records as a matrix of present, absent and unknown."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bulklabel.model.errors import UserError

PRESENT, ABSENT, UNKNOWN = 1, 0, -1

Truth = npt.NDArray[np.int8]
"""N×L: 1 where a label is present, 0 where it is absent, -1 where nobody knows."""


def check_labels(names: Sequence[str], origin: str) -> tuple[str, ...]:
    """Returns the label set as a tuple, in order; `origin` names where it came from.

    Raises:
        UserError: if there is no label, an empty one, or one that occurs twice.

    >>> check_labels(["cat", "dog"], "labels.txt")
    ('cat', 'dog')
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


def encode_truth(
    labels: pa.Array, names: Sequence[str], unknown: pa.Array | None = None
) -> tuple[Truth, dict[str, int]]:
    """Returns the truth of N records as an N×L matrix, and the labels in it that are not in `names`.

    Args:
        labels: `list<string>`, N long: the labels that are present; null where nothing is known of a record.
        names: the L labels of the model, in order.
        unknown: `list<string>`, N long: the labels of which nobody knows whether they are present, which goes before
            what `labels` says of them; null or empty, as without it, where those not in `labels` are absent.

    Returns:
        The matrix (a record whose `labels` are null is a row of `UNKNOWN`), and for each label that the model does not
        know how many records name it, be it as present or as unknown.

    >>> truth, strange = encode_truth(pa.array([["dog", "cow"], [], None]), ["cat", "dog"])
    >>> truth.tolist(), strange
    ([[0, 1], [0, 0], [-1, -1]], {'cow': 1})
    """
    truth = np.full((len(labels), len(names)), ABSENT, np.int8)
    strange = _mark(truth, labels, names, PRESENT)
    if unknown is not None:
        strange = pa.concat_tables([strange, _mark(truth, unknown, names, UNKNOWN)])
    truth[labels.is_null().to_numpy(zero_copy_only=False)] = UNKNOWN
    if not len(strange):  # as nearly always, and grouping starts threads
        return truth, {}
    counted = strange.group_by(["row", "label"]).aggregate([]).column("label").value_counts().to_pylist()
    return truth, {item["values"]: item["counts"] for item in counted}


def _mark(truth: Truth, lists: pa.Array, names: Sequence[str], value: int) -> pa.Table:
    """Puts a value where a record's list names a label; returns what it names besides, as `row` and `label`."""
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.combine_chunks()
    rows = pc.list_parent_indices(lists)
    values = pc.list_flatten(lists)
    columns = pc.index_in(values, value_set=pa.array(names, pa.string()))
    known = columns.is_valid()
    truth[rows.filter(known).to_numpy(), columns.filter(known).to_numpy()] = value
    strange = pc.and_(columns.is_null(), values.is_valid())
    return pa.table({"row": rows.filter(strange), "label": values.filter(strange)})


def decode_truth(truth: Truth, names: Sequence[str]) -> tuple[pa.Array, pa.Array]:
    """Returns `labels` and `unknown` of an N×L matrix, both null where nothing is known: `encode_truth` reversed.

    >>> labels, unknown = decode_truth(np.array([[-1, 1], [-1, -1]], np.int8), ["cat", "dog"])
    >>> labels.to_pylist(), unknown.to_pylist()
    ([['dog'], None], [['cat'], None])
    """
    nothing = (truth == UNKNOWN).all(axis=1)
    unknown = (truth == UNKNOWN) & ~nothing[:, np.newaxis]
    return _lists(truth == PRESENT, names, nothing), _lists(unknown, names, nothing)


def decode_predicted(predicted: npt.NDArray[np.bool_], names: Sequence[str]) -> pa.Array:
    """Returns the labels where `predicted` (N×L) is true, as `list<string>` in the order of `names`.

    >>> decode_predicted(np.array([[True, True], [False, False]]), ["cat", "dog"]).to_pylist()
    [['cat', 'dog'], []]
    """
    return _lists(predicted, names)


def _lists(
    chosen: npt.NDArray[np.bool_], names: Sequence[str], missing: npt.NDArray[np.bool_] | None = None
) -> pa.Array:
    """Returns the names where `chosen` (N×L) is true, as `list<string>`, null where a record is `missing` (N)."""
    offsets = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))]).astype(np.int32)
    values = pa.array(names, pa.string()).take(pa.array(np.nonzero(chosen)[1].astype(np.int32)))
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=None if missing is None else pa.array(missing))
