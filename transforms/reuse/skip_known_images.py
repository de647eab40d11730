"""Lets those records of a shard through to the network whose images nobody has answered, and joins the others again."""

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
from bulklabel.transforms.reading.records import Unreadable
from bulklabel.transforms.reuse.known_images import Answer, KnownContents, Place, answers_at, with_contents
from bulklabel.transforms.run_directory.part_tables import rejected_row_of
from bulklabel.transforms.run_directory.parts import PREDICTIONS
from bulklabel.transforms.run_directory.plan import CONTENT, Recipe

Row = dict[str, Any]


class Sieve:
    """One shard's records, of which each image is scored once, and none that is known.

    `fresh` is run through to its end before `joined`. Records that are known are joined again if the recipe carries
    answers over, else left out and counted; those that repeat an image of the shard are always joined.
    """

    def __init__(self, recipe: Recipe, known: KnownContents) -> None:
        self._recipe = recipe
        self._known = known
        self._rows: dict[tuple[str, int], tuple[int, bytes | None]] = {}
        self._seen: set[bytes] = set()
        self._aside: list[pa.Table] = []
        self._places: list[Place | None] = []

    def fresh(self, tables: Iterable[pa.Table | Unreadable]) -> Iterator[pa.Table | Unreadable]:
        """The tables with the column `content`, without the records that need not be scored."""
        for table in tables:
            if isinstance(table, Unreadable):
                yield table
                continue
            table = with_contents(table)
            contents = table.column(CONTENT.name).to_pylist()
            self._remember(table, contents)
            places = self._known.find(contents)
            new = [place is None and self._is_first(content) for place, content in zip(places, contents, strict=True)]
            self._aside.append(table.drop_columns(["image"]).filter(pa.array([not one for one in new])))
            self._places += [place for place, one in zip(places, new, strict=True) if not one]
            if any(new):
                yield table.filter(pa.array(new))

    def joined(self, predictions: pa.Table, rejected: Sequence[Row]) -> tuple[pa.Table, list[Row], list[list[int]]]:
        """What the shard became.

        Args:
            predictions: of the fresh records.
            rejected: rows of those that were rejected.

        Returns:
            predictions of all records that are joined, in the order in which they were read; their rejected rows, in
            any order; and for each earlier run how many records it had scored, and rejected.
        """
        rejected = [row | {CONTENT.name: self._content_of(row)} for row in rejected]
        counts = [[0, 0] for _ in self._recipe.since]
        for place in self._places:
            if place is not None:
                counts[place.run][place.kind != PREDICTIONS] += 1
        if not self._places:
            return predictions, rejected, counts
        aside = pa.concat_tables(self._aside)
        scored: dict[int, tuple[npt.NDArray[np.float32], Kind]] = {}
        for row, answer in self._answers(aside, self._own(predictions, rejected)):
            if isinstance(answer, RecordError):
                content = aside.column(CONTENT.name)[row].as_py()
                rejected.append(rejected_row_of(aside, row, answer) | {CONTENT.name: content})
            else:
                scored[row] = answer
        return (
            self._in_order(predictions, aside.take(pa.array(list(scored), pa.int64())), [*scored.values()]),
            rejected,
            counts,
        )

    def _remember(self, table: pa.Table, contents: Sequence[bytes | None]) -> None:
        """The order of the records, and the contents of those that will be rejected."""
        for source, position, content in zip(
            table.column("source").to_pylist(), table.column("position").to_pylist(), contents, strict=True
        ):
            self._rows[source, position] = (len(self._rows), content)

    def _is_first(self, content: bytes | None) -> bool:
        """Whether no record of the shard before this one has the image; those without an image are all the first."""
        first = content not in self._seen
        if content is not None:
            self._seen.add(content)
        return first

    def _content_of(self, row: Row) -> bytes | None:
        return self._rows.get((row["source"], row["position"]), (0, None))[1]

    def _own(self, predictions: pa.Table, rejected: Sequence[Row]) -> dict[bytes | None, Answer]:
        """The answers to the fresh records, by content."""
        contents = predictions.column(CONTENT.name).to_pylist()
        kinds = kinds_of(fold_kinds(predictions))
        found: dict[bytes | None, Answer] = dict(
            zip(contents, zip(probabilities_of(predictions, self._recipe.labels), kinds, strict=True), strict=True)
        )
        return found | {row[CONTENT.name]: RecordError(row["stage"], row["reason"], row["detail"]) for row in rejected}

    def _answers(self, aside: pa.Table, own: Mapping[bytes | None, Answer]) -> Iterator[tuple[int, Answer]]:
        """The answer to each record aside that is joined, with its row there."""
        recipe = self._recipe
        for row, (place, content) in enumerate(zip(self._places, aside.column(CONTENT.name).to_pylist(), strict=True)):
            if place is None:
                yield row, own[content]
            elif recipe.carry_over:
                run = recipe.since[place.run]
                yield row, answers_at(run, recipe.model_digest, place.kind, place.shard, recipe.labels)[place.row]

    def _in_order(
        self, predictions: pa.Table, records: pa.Table, answers: Sequence[tuple[npt.NDArray[np.float32], Kind]]
    ) -> pa.Table:
        """Predictions with those of some more records, as they were read."""
        recipe = self._recipe
        block = np.array([some for some, _ in answers], np.float32).reshape(len(records), len(recipe.labels))
        more = predictions_table(
            with_kinds(records, [kind for _, kind in answers]), block, recipe.thresholds, recipe.labels, recipe.layout
        )
        both = pa.concat_tables([predictions, more])
        places = zip(both.column("source").to_pylist(), both.column("position").to_pylist(), strict=True)
        return both.take(pa.array(np.argsort([self._rows[place][0] for place in places], kind="stable")))
