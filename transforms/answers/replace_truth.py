"""Replaces the truth beside answers by that of other files."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import apache_beam as beam

from bulklabel.model.errors import SourceChangedError, UserError
from bulklabel.model.labels.predictions import LABELS_COLUMN, TRUTH_COLUMNS
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.scoring.score_shards import ShardResult
from bulklabel.transforms.truth.keys import JoinCount, nothing_joins
from bulklabel.transforms.truth.truth_source import TruthSource
from bulklabel.transforms.truth.truth_table import TruthTable


def load_unchanged(truth: TruthSource, labels: tuple[str, ...], id_may_lack: bool = True) -> TruthTable:
    """Loads the truth that an evaluation names.

    Raises:
        UserError: if it cannot be used, or is not what it was when it was named.
    """
    try:
        return truth.load(labels, id_may_lack)
    except SourceChangedError as error:
        raise UserError(f"{truth.changed_file()}: this truth was changed since then; evaluate again.") from error


def count_used_truth(ids: Callable[[], Iterable[str]], truth: TruthTable) -> int:
    """Counts the rows of the truth that join a record; `ids` returns those of all records, however often it is called.

    Raises:
        UserError: if there is none, or one row would be the truth of several records.
    """
    count = JoinCount(truth.rows, truth.key)
    count.add(ids())
    error = None if count.used else nothing_joins(truth.origin, truth.key, truth.ids, ids)
    if error is not None:
        raise error
    return count.used


class ReplaceTruth(beam.DoFn):  # type: ignore[misc]
    """Replaces a result's truth by that of other files; records whose ids are not in them have unknown truth."""

    def __init__(self, truth: OncePerProcess[TruthTable]) -> None:
        self._truth = truth

    def process(self, result: ShardResult) -> Iterator[ShardResult]:
        """Yields the result with the other truth, in the columns where its own was."""
        part = result.predictions
        index = part.table.column_names.index(LABELS_COLUMN)
        table = part.table.drop_columns([name for name in TRUTH_COLUMNS if name in part.table.column_names])
        for name, column in reversed(self._truth.get().columns_for(table.column("id").to_pylist()).items()):
            table = table.add_column(index, name, column)
        yield replace(result, predictions=replace(part, table=table))
