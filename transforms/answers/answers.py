"""Answers: what `evaluate` and `compare` ask of a run, of an evaluation of one, or of another system's predictions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import apache_beam as beam

from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.plan import Recipe
from bulklabel.transforms.scoring.score_shards import ShardResult
from bulklabel.transforms.truth.truth_source import TruthSource


@runtime_checkable  # Beam compares the types of what its steps are given
class AnswerReader(Protocol):
    """Reads answers where they are. It is small, since it travels to workers with the graph."""

    def carrying(self, columns: Sequence[str]) -> "AnswerReader":
        """Returns a reader that reads these columns, too, beside the answers."""

    def shards(self) -> Iterator[Shard]:
        """Yields the shards, in order and the same each time."""

    def read(self, shard: Shard) -> Iterator[ShardResult]:
        """Yields the answers of a shard, in one table or several.

        Raises:
            UserError: if they cannot be read, or are not what they were.
        """

    def ids(self) -> Iterator[str]:
        """Yields the ids of all records, scored or rejected."""

    def scored_ids(self, shard: int) -> list[str]:
        """Returns the ids of the scored records of the shard with this index."""


@dataclass(frozen=True)
class Answers:
    """Holds probabilities of records, the thresholds and the truth by which they are judged, and where they are from.

    Attributes:
        path: where they are, as the user named it.
        labels: in the order of the probabilities.
        thresholds: of each label, 0…1.
        reader: reads the probabilities, and the truth that lies beside them.
        records: how many there are, roughly; nothing but memory and speed depends on it.
        origin: what the manifest of an evaluation keeps, so that they are found again.
        about: where they came from, as manifests and pages have it.
        carried: the columns beside the answers, by which these can be sliced and grouped.
        counts: of the records, as far as somebody has counted them.
        truth_words: how the truth beside them is read, as `truth_content` has it.
        tuned_thresholds: those that the model has got from its training; None if there are none.
        truth: the files whose truth counts instead, if there are any.
        group_by: the column whose records of one value belong together, if one was named.
        recipe: how the images are read again, for pictures of them; None if there are no images.
    """

    path: str
    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    reader: AnswerReader
    records: int
    origin: Mapping[str, Any]
    about: Mapping[str, Any]
    carried: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    truth_words: Mapping[str, Any] = field(default_factory=dict)
    tuned_thresholds: tuple[float, ...] | None = None
    truth: TruthSource | None = None
    group_by: str | None = None
    recipe: Recipe | None = None

    @property
    def content(self) -> dict[str, Any]:
        """Returns what an evaluation's manifest keeps of them: where they are, and what they were judged by."""
        truth = None if self.truth is None else self.truth.content
        return {**self.origin, "thresholds": list(self.thresholds), "truth": truth}

    @property
    def summary(self) -> dict[str, Any]:
        """Returns what a comparison says of them."""
        truth = {} if self.truth is None else {"truth": ", ".join(file.path for file in self.truth.files)}
        return {"path": self.path, "counts": dict(self.counts), **self.about, **truth}


class ReadAnswers(beam.DoFn):  # type: ignore[misc]
    """Reads the answers of each shard."""

    def __init__(self, reader: AnswerReader) -> None:
        self._reader = reader

    def process(self, shard: Shard) -> Iterator[ShardResult]:
        """Yields the answers of a shard, in one table or several."""
        yield from self._reader.read(shard)
