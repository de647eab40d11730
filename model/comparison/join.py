"""Puts two runs' answers to the same records side by side."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bulklabel.model.labels.predictions import RECORD_FIELDS, probabilities_of, truth_of
from bulklabel.model.labels.truth import UNKNOWN, Truth
from bulklabel.model.statistic.hash_ids import Hashes, group_name, hash_groups

GROUP_FIELD = pa.field("group", pa.string())

PICTURED_FIELDS = pa.schema([*RECORD_FIELDS, pa.field("shard", pa.int32())])
"""The columns that say which record it is, and where its image is."""


@dataclass(frozen=True)
class RecordCounts:
    """Counts the records that two runs have in common, and the others. Merging by `+` is exact in any order.

    An id that occurs more than once in either run says nothing of which record is which: all records of such an id
    are left out, and counted as `repeated` in the run they are of. So each run's scored records are
    `both` + its `only` + its `repeated`. `other_truth` are those in both whose truth is known to both and differs.
    """

    both: int = 0
    only_before: int = 0
    only_after: int = 0
    repeated_before: int = 0
    repeated_after: int = 0
    other_truth: int = 0

    def __add__(self, other: "RecordCounts") -> "RecordCounts":
        """The counts of both sets of records together."""
        return RecordCounts(*(first + second for first, second in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, eq=False)
class Joined:
    """Holds N records that are in both runs, with L labels that both runs know.

    `records` are N rows with `id` and, of the run from which pictures are made, `source`, `position` and `shard`;
    `truth` is N×L, the later run's where
    that is known, else the earlier one's; `before` and `after` are the N×L probabilities, 0…1; `counts` says too what
    is not among the N. `grouped_by` are N numbers, which records that belong together share; None if none do.
    `without_group` counts those that belong to no other.
    """

    records: pa.Table
    truth: Truth
    before: npt.NDArray[np.float32]
    after: npt.NDArray[np.float32]
    counts: RecordCounts
    grouped_by: Hashes | None = None
    without_group: int = 0


def answers_schema(labels: int, grouped: bool = False) -> pa.Schema:
    """Returns the schema of `answers_table` for so many labels, with the values of groups or without."""
    return pa.schema(
        [
            *PICTURED_FIELDS,
            *([GROUP_FIELD] if grouped else []),
            pa.field("truth", pa.list_(pa.int8(), labels)),
            pa.field("probabilities", pa.list_(pa.float32(), labels)),
        ]
    )


def answers_table(
    predictions: pa.Table, run_labels: Sequence[str], shared: Sequence[str], shard: int, group_by: str | None = None
) -> pa.Table:
    """Returns what is compared of a part: its records, and their `truth` and `probabilities` of the shared labels.

    Args:
        predictions: the part's table, N rows, of either layout.
        run_labels: all labels of its run, in order.
        shared: the L labels that both runs know, in the order wanted.
        shard: the index of the part's shard.
        group_by: the column whose records of one value belong together, which one of two runs may lack; or None.
    """
    truth, _ = truth_of(predictions, shared)
    places = {label: place for place, label in enumerate(run_labels)}
    probabilities = probabilities_of(predictions, run_labels)[:, [places[label] for label in shared]]
    columns = [predictions.column(name) for name in RECORD_FIELDS.names]
    columns.append(pa.repeat(pa.scalar(shard, pa.int32()), len(predictions)))
    if group_by is not None:
        columns.append(_group_values(predictions, group_by))
    schema = answers_schema(len(shared), group_by is not None)
    return pa.table([*columns, _lists(truth), _lists(probabilities)], schema=schema)


def join(before: pa.Table, after: pa.Table, pictured_before: bool = False) -> Joined:
    """Joins two tables of answers by id; rows may come in any order, and the result has any order.

    A record's group is the one of the later run, else that of the earlier one. Its picture is in the later run unless
    `pictured_before` says that it is in the earlier one.
    """
    repeated = pa.concat_arrays([_repeated(before), _repeated(after)])
    single_before, single_after = (
        table.filter(pc.invert(pc.is_in(table.column("id"), value_set=repeated))) for table in (before, after)
    )
    places = pc.index_in(single_before.column("id"), value_set=single_after.column("id").combine_chunks())
    earlier, later = single_before.filter(places.is_valid()), single_after.take(places.drop_null())
    truth_before, truth_after = _block(earlier, "truth"), _block(later, "truth")
    differs = (truth_before != truth_after) & (truth_before != UNKNOWN) & (truth_after != UNKNOWN)
    grouped_by, without_group = _groups(earlier, later)
    return Joined(
        records=(earlier if pictured_before else later).select(PICTURED_FIELDS.names),
        truth=np.where(truth_after != UNKNOWN, truth_after, truth_before),
        before=_block(earlier, "probabilities"),
        after=_block(later, "probabilities"),
        counts=RecordCounts(
            both=len(later),
            only_before=len(single_before) - len(later),
            only_after=len(single_after) - len(later),
            repeated_before=len(before) - len(single_before),
            repeated_after=len(after) - len(single_after),
            other_truth=int(differs.any(axis=1).sum()),
        ),
        grouped_by=grouped_by,
        without_group=without_group,
    )


def _group_values(predictions: pa.Table, group_by: str) -> pa.Array:
    """Returns the value of each record's group; null where there is none."""
    if group_by not in predictions.column_names:
        return pa.nulls(len(predictions), GROUP_FIELD.type)
    return pa.array(map(group_name, predictions.column(group_by).to_pylist()), GROUP_FIELD.type)


def _groups(earlier: pa.Table, later: pa.Table) -> tuple[Hashes | None, int]:
    """Returns the hash of each record's group, None if they are not grouped, and how many have no value."""
    if GROUP_FIELD.name not in later.column_names:
        return None, 0
    values = pc.coalesce(later.column(GROUP_FIELD.name), earlier.column(GROUP_FIELD.name).combine_chunks())
    records = pa.table({"id": later.column("id"), GROUP_FIELD.name: values})
    return hash_groups(records, GROUP_FIELD.name), values.null_count


def _repeated(table: pa.Table) -> pa.Array:
    counted = table.column("id").value_counts()
    return counted.field("values").filter(pc.greater(counted.field("counts"), 1))


def _lists(block: npt.NDArray[np.generic]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(block).reshape(-1)), block.shape[1])


def _block(table: pa.Table, name: str) -> npt.NDArray[Any]:
    """Returns a column of fixed-size lists as an N×L matrix."""
    column = table.column(name)
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat).reshape(len(table), column.type.list_size)
