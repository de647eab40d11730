"""KnownImageFilter: keeps known images from the network, and joins their answers to those of the new ones."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bulklabel.model.errors import RecordError
from bulklabel.model.images.kinds import Kind
from bulklabel.model.labels.predictions import (
    fold_kinds,
    kinds_of,
    predictions_table,
    probabilities_of,
    with_kinds,
)
from bulklabel.transforms.reading.records import RecordTable, Unreadable
from bulklabel.transforms.reuse.known_images import KnownImages, KnownRow, Outcome, outcomes_of_part, with_hashes
from bulklabel.transforms.run_directory.part_tables import rejected_row_of
from bulklabel.transforms.run_directory.parts import PREDICTIONS
from bulklabel.transforms.run_directory.places import places_of
from bulklabel.transforms.run_directory.plan import CONTENT, Recipe

Row = dict[str, Any]


class KnownImageFilter:
    """Filters one shard's records, so that each image is scored once, and none that an earlier run knows.

    `new_records` is exhausted before `joined` is called. Records that are known are joined again if the recipe carries
    answers over, else left out and counted; those that repeat an image of the shard are always joined.
    """

    def __init__(self, recipe: Recipe, known: KnownImages) -> None:
        self._recipe = recipe
        self._known = known
        self._rows: dict[tuple[str, int], tuple[int, bytes | None]] = {}
        self._seen: set[bytes] = set()
        self._held_back: list[pa.Table] = []
        self._known_rows: list[KnownRow | None] = []

    def new_records(self, tables: Iterable[RecordTable | Unreadable]) -> Iterator[RecordTable | Unreadable]:
        """Yields the tables with the column `content`, without the records that need not be scored."""
        for table in tables:
            if isinstance(table, Unreadable):
                yield table
                continue
            table = with_hashes(table)
            contents = table.rows.column(CONTENT.name).to_pylist()
            self._remember(table.rows, contents)
            known = self._known.find(contents)
            new = [row is None and self._is_first(content) for row, content in zip(known, contents, strict=True)]
            self._held_back.append(table.rows.filter(pa.array([not is_new for is_new in new])))
            self._known_rows += [row for row, is_new in zip(known, new, strict=True) if not is_new]
            if any(new):
                yield table.filter(new)

    def joined(self, predictions: pa.Table, rejected: Sequence[Row]) -> tuple[pa.Table, list[Row], list[list[int]]]:
        """Joins the outcomes of the records that were held back to those of the new ones.

        Args:
            predictions: of the new records.
            rejected: the rows of the new records that were rejected.

        Returns:
            The predictions of all records that are joined, in the order in which they were read; their rejected rows,
            in any order; and for each earlier run how many records it had scored, and rejected.
        """
        rejected = [row | {CONTENT.name: self._content_of(row)} for row in rejected]
        counts = [[0, 0] for _ in self._recipe.since]
        for known in self._known_rows:
            if known is not None:
                counts[known.run][known.kind != PREDICTIONS] += 1
        if not self._known_rows:
            return predictions, rejected, counts
        held_back = pa.concat_tables(self._held_back)
        scored: dict[int, tuple[npt.NDArray[np.float32], Kind]] = {}
        for row, outcome in self._outcomes(held_back, self._own(predictions, rejected)):
            if isinstance(outcome, RecordError):
                content = held_back.column(CONTENT.name)[row].as_py()
                rejected.append(rejected_row_of(held_back, row, outcome) | {CONTENT.name: content})
            else:
                scored[row] = outcome
        return (
            self._in_order(predictions, held_back.take(pa.array(list(scored), pa.int64())), [*scored.values()]),
            rejected,
            counts,
        )

    def _remember(self, table: pa.Table, contents: Sequence[bytes | None]) -> None:
        """Keeps the order of the records, and the hashes that their rejected rows will need."""
        for place, content in zip(places_of(table), contents, strict=True):
            self._rows[place] = (len(self._rows), content)

    def _is_first(self, content: bytes | None) -> bool:
        """Returns whether no record of the shard before this one has the image; always where there is no image."""
        first = content not in self._seen
        if content is not None:
            self._seen.add(content)
        return first

    def _content_of(self, row: Row) -> bytes | None:
        return self._rows.get((row["source"], row["position"]), (0, None))[1]

    def _own(self, predictions: pa.Table, rejected: Sequence[Row]) -> dict[bytes | None, Outcome]:
        """Returns the outcomes of the new records, by hash."""
        contents = predictions.column(CONTENT.name).to_pylist()
        kinds = kinds_of(fold_kinds(predictions))
        outcomes: dict[bytes | None, Outcome] = dict(
            zip(contents, zip(probabilities_of(predictions, self._recipe.labels), kinds, strict=True), strict=True)
        )
        return outcomes | {
            row[CONTENT.name]: RecordError(row["stage"], row["reason"], row["detail"]) for row in rejected
        }

    def _outcomes(self, held_back: pa.Table, own: Mapping[bytes | None, Outcome]) -> Iterator[tuple[int, Outcome]]:
        """Yields the outcome of each record held back that is joined, with its row among them."""
        recipe = self._recipe
        contents = held_back.column(CONTENT.name).to_pylist()
        for row, (known, content) in enumerate(zip(self._known_rows, contents, strict=True)):
            if known is None:
                yield row, own[content]
            elif recipe.carry_over:
                run = recipe.since[known.run]
                yield row, outcomes_of_part(run, recipe.model_digest, known.kind, known.shard, recipe.labels)[known.row]

    def _in_order(
        self, predictions: pa.Table, records: pa.Table, outcomes: Sequence[tuple[npt.NDArray[np.float32], Kind]]
    ) -> pa.Table:
        """Returns predictions with those of more records, in the order in which all were read."""
        recipe = self._recipe
        block = np.array([probabilities for probabilities, _ in outcomes], np.float32).reshape(
            len(records), len(recipe.labels)
        )
        more = predictions_table(
            with_kinds(records, [kind for _, kind in outcomes]), block, recipe.thresholds, recipe.labels, recipe.layout
        )
        both = pa.concat_tables([predictions, more])
        return both.take(pa.array(np.argsort([self._rows[place][0] for place in places_of(both)], kind="stable")))
