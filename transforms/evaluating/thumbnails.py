"""MakeThumbnails: reads the images of the records shown as examples again, once it is known which they are."""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.metrics import Metrics

from bulklabel.model.errors import RecordError
from bulklabel.model.report.gallery import Thumbnail, make_thumbnail
from bulklabel.model.statistic import Statistic
from bulklabel.model.statistic.examples import Examples
from bulklabel.transforms.concurrency.timeout import run_with_timeout
from bulklabel.transforms.files import files
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.reading.readers import read_shard
from bulklabel.transforms.reading.records import Shard, Unreadable
from bulklabel.transforms.run_directory.plan import Recipe

MOST_THUMBNAILS = 6000

RecordKey = tuple[str, int]
"""The source and the position of a record, which name it within its run."""

IdsByKey = Mapping[RecordKey, str]
"""The ids of the records whose thumbnails are wanted."""


class MakeThumbnails(beam.PTransform):  # type: ignore[misc]
    """Makes thumbnails of the records that the run's statistic keeps as examples.

    A record whose image cannot be read again has none: examples are worth no failed run. At most `MOST_THUMBNAILS` are
    made, those of the labels with the most mistakes.

    Reading again costs little, as examples are few; images kept until then would have to be kept by finished parts
    too, or a continued run would show less than another.
    """

    def __init__(self, shards: beam.PCollection[Shard], recipe: Recipe) -> None:
        super().__init__()
        self._shards = shards
        self._recipe = recipe

    def expand(self, statistic: beam.PCollection[Statistic]) -> beam.PCollection[Thumbnail]:
        """Adds the steps that choose the records and read them."""
        # The records are known once the statistic is merged: a side input, small enough for every worker.
        wanted = statistic | "Choose" >> beam.Map(_examples_of)
        # Few shards have examples, and they may lie side by side: the reshuffle spreads them over all workers.
        return (
            self._shards
            | "Find" >> beam.FlatMap(_wanted_of, beam.pvalue.AsSingleton(wanted))
            | "Reshuffle" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(_read, self._recipe)
        )


def choose_records(
    examples: Examples, mistakes: Sequence[int], most: int = MOST_THUMBNAILS
) -> dict[int, dict[RecordKey, str]]:
    """Chooses the records whose thumbnails are made, from the label with the most mistakes on; returns them by shard.

    Args:
        examples: of L labels.
        mistakes: false positives and false negatives of each label, L.
        most: how many records to choose at most.
    """
    table = examples.table
    order = np.argsort(-np.asarray(mistakes)[table.column("label").to_numpy()], kind="stable")
    columns = table.select(["source", "position", "shard", "id"]).take(pa.array(order))
    chosen: dict[RecordKey, tuple[int, str]] = {}
    for source, position, shard, record_id in zip(*(column.to_pylist() for column in columns.columns), strict=True):
        if len(chosen) == most:
            break
        chosen[source, position] = (shard, record_id)
    by_shard: dict[int, dict[RecordKey, str]] = {}
    for key, (shard, record_id) in chosen.items():
        by_shard.setdefault(shard, {})[key] = record_id
    return by_shard


def _examples_of(statistic: Statistic) -> dict[int, dict[RecordKey, str]]:
    total = statistic.sums.total()
    return choose_records(statistic.examples, (total["false_positives"] + total["false_negatives"]).tolist())


def _wanted_of(shard: Shard, wanted: Mapping[int, IdsByKey]) -> list[tuple[Shard, IdsByKey]]:
    return [(shard, wanted[shard.index])] if shard.index in wanted else []


def _read(chosen: tuple[Shard, IdsByKey], recipe: Recipe) -> list[Thumbnail]:
    return thumbnails_of(*chosen, recipe)


def thumbnails_of(shard: Shard, wanted: IdsByKey, recipe: Recipe) -> list[Thumbnail]:
    """Makes thumbnails of records of a shard, except those whose images are gone or cannot be decoded.

    Args:
        shard: the records', as it was planned.
        wanted: the ids of the records, by their keys.
        recipe: how the shard was read when it was scored.
    """
    thumbnails: list[Thumbnail] = []
    with contextlib.suppress(Exception):  # whatever became of the input since then, the records have been scored
        for (source, position), image in _images(shard, wanted, recipe):
            thumbnail = _thumbnail(image, recipe)
            if thumbnail is not None:
                thumbnails.append((source, position, thumbnail))
    Metrics.counter("bulklabel", "thumbnails_missing").inc(len(wanted) - len(thumbnails))
    return thumbnails


def _images(shard: Shard, wanted: IdsByKey, recipe: Recipe) -> Iterator[tuple[RecordKey, bytes | None]]:
    """Yields keys and images of the wanted records whose ids are the same as before; reads no further than the last."""
    positions = frozenset(position for _, position in wanted)
    spec = replace(recipe.read_spec, columns=replace(recipe.columns, carry=()), positions=positions)
    left = set(wanted)
    narrowed = restrict_to_sources(shard, {source for source, _ in wanted})
    for table in read_shard(narrowed, spec):
        if isinstance(table, Unreadable):
            continue
        keys = zip(table.column("source").to_pylist(), table.column("position").to_pylist(), strict=True)
        for row, key in enumerate(keys):
            if key in left:
                left.remove(key)
                if table.column("id")[row].as_py() == wanted[key]:
                    yield key, table.column("image")[row].as_py()
        if not left:
            return


def restrict_to_sources(shard: Shard, sources: Collection[str]) -> Shard:
    """Returns an image folder's shard with the files of these sources alone, and a shard of one file as it is."""
    return replace(
        shard, names=tuple(name for name in shard.names if escape_surrogates(files.join(shard.source, name)) in sources)
    )


def _thumbnail(image: bytes | None, recipe: Recipe) -> bytes | None:
    try:
        return run_with_timeout(lambda: make_thumbnail(image, recipe.limits), recipe.decode_seconds)
    except (RecordError, TimeoutError):
        return None
