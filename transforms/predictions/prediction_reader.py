"""Reads the answers in tables of another system's predictions, as `answers.AnswerReader`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from bulklabel.model.errors import RecordError, SourceChangedError, UserError
from bulklabel.model.images.kinds import kinds_to_json
from bulklabel.model.labels.label_rule import TruthReader
from bulklabel.model.labels.predictions import (
    LABELS_COLUMN,
    PROBABILITIES,
    REJECTED_SCHEMA,
    UNKNOWN_COLUMN,
    with_metadata,
)
from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.predictions.prediction_files import Rows, read_rows, shards_of
from bulklabel.transforms.predictions.prediction_spec import PredictionSpec
from bulklabel.transforms.predictions.probabilities import probabilities_in, values_in
from bulklabel.transforms.reading.record_tables import escape_all, id_of, text_of
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.part_tables import rejected_row
from bulklabel.transforms.run_directory.parts import Part
from bulklabel.transforms.scoring.score_shards import ShardResult

BATCH_NUMBERS = 2**19
"""Rows are read until they have so many probabilities."""

TEXTS = pa.list_(pa.string())


@dataclass(frozen=True)
class PredictionReader:
    """Reads tables, which must be as they were listed, by one spec; with `carried` columns beside the answers."""

    files: tuple[File, ...]
    spec: PredictionSpec
    carried: tuple[str, ...] = ()

    def carrying(self, columns: Sequence[str]) -> "PredictionReader":
        """Returns a reader that reads these columns, too."""
        return replace(self, carried=tuple(columns))

    def shards(self) -> Iterator[Shard]:
        """Yields runs of rows, of all tables in order.

        Raises:
            UserError: if a table cannot be read, or was changed.
        """
        index = 0
        for shards in map_in_threads(_shards, self.files):
            for shard in shards:
                yield replace(shard, index=index)
                index += 1

    def read(self, shard: Shard) -> Iterator[ShardResult]:
        """Yields the answers in a shard, a few at a time.

        Raises:
            UserError: if the table cannot be read, or was changed.
        """
        names = [*self._id_columns, *self.spec.columns, *self.spec.rule.fields, *self.carried]
        for rows in self._rows(shard, names):
            predictions, rejected = self._tables(rows, shard.source)
            # Nobody writes them as parts, so they have no bytes.
            yield ShardResult(shard, Part("", predictions, b""), Part("", rejected, b""), committed=True)

    def ids(self) -> Iterator[str]:
        """Yields the ids in all tables, and reads nothing else of them."""
        for shard in self.shards():
            for rows in self._rows(shard, self._id_columns):
                yield from self._ids(rows, shard.source)

    def scored_ids(self, shard: int) -> list[str]:
        """Returns the ids of the records of a shard that have probabilities."""
        wanted = (each for each in self.shards() if each.index == shard)
        results = (result for each in wanted for result in self.read(each))
        return [name for result in results for name in result.predictions.table.column("id").to_pylist()]

    @property
    def _id_columns(self) -> list[str]:
        return [] if self.spec.id_column is None else [self.spec.id_column]

    def _rows(self, shard: Shard, names: Sequence[str]) -> Iterator[Rows]:
        try:
            yield from read_rows(shard, names, max(1, BATCH_NUMBERS // len(self.spec.labels)))
        except SourceChangedError as error:
            raise _changed(shard.source) from error

    def _ids(self, rows: Rows, source: str) -> list[str]:
        column = self.spec.id_column
        values = [None] * rows.count if column is None else values_in(rows.columns[column])
        ids = (id_of(value) for value in values)
        return [
            escape_surrogates(f"{source}#{position}" if name is None else name)
            for position, name in enumerate(ids, rows.position)
        ]

    def _tables(self, rows: Rows, source: str) -> tuple[pa.Table, pa.Table]:
        """Returns the records that have probabilities, and those that are rejected."""
        numbers, unusable = probabilities_in(rows.columns, self.spec)
        errors = {**unusable, **rows.errors}
        truth = self._truth(rows, errors)
        ids, source = self._ids(rows, source), escape_surrogates(source)
        good = np.ones(rows.count, bool)
        good[list(errors)] = False
        positions = np.arange(rows.position, rows.position + rows.count, dtype=np.int64)
        columns: dict[str, Any] = {
            "id": pa.array(ids, pa.string()),
            "source": pa.repeat(pa.scalar(source), rows.count),
            "position": pa.array(positions),
            LABELS_COLUMN: pa.array([present for present, _ in truth], TEXTS),
        }
        if self.spec.rule.three_valued:
            columns[UNKNOWN_COLUMN] = pa.array([unknown for _, unknown in truth], TEXTS)
        flat = pa.array(np.ascontiguousarray(numbers).reshape(-1))
        columns[PROBABILITIES] = pa.FixedSizeListArray.from_arrays(flat, len(self.spec.labels))
        for name in self.carried:
            texts = escape_all([text_of(value) for value in values_in(rows.columns[name])])
            columns[name] = pa.array(texts, pa.string())
        table = with_metadata(pa.table(columns).filter(pa.array(good)), {"images": kinds_to_json([])})
        rejected = [rejected_row(ids[row], source, rows.position + row, errors[row]) for row in sorted(errors)]
        return table.combine_chunks(), pa.Table.from_pylist(rejected, REJECTED_SCHEMA)

    def _truth(self, rows: Rows, errors: dict[int, RecordError]) -> list[tuple[Any, Any]]:
        """Returns what is present and what is unknown of each record; adds to `errors` whose labels mean nothing."""
        fields = [name for name in self.spec.rule.fields if name in rows.columns]
        if not fields:
            return [(None, None)] * rows.count
        reader, truth = TruthReader(self.spec.rule, self.spec.labels), []
        values = zip(*(values_in(rows.columns[name]) for name in fields), strict=True)
        for row, cells in enumerate(values):
            try:
                present, unknown = reader.read(dict(zip(fields, cells, strict=True)), rows.class_names)
            except RecordError as error:
                errors.setdefault(row, error)
                present, unknown = None, None
            truth.append((escape_all(present), escape_all(unknown)))
        return truth


def changed_files(listed: Sequence[File]) -> list[str]:
    """Returns the paths of the tables that are not what they were when they were listed, or are gone."""
    now = map_in_threads(lambda file: files.list_file(file.path), listed)
    return [file.path for file, listing in zip(listed, now, strict=True) if listing != [file]]


def _shards(file: File) -> list[Shard]:
    try:
        return list(shards_of(file))
    except SourceChangedError as error:
        raise _changed(file.path) from error


def _changed(path: str) -> UserError:
    return UserError(f"{path} has changed since it was first read; evaluate again.")
