"""MakeThumbnails: reads the images of the records shown as examples again, once it is known which they are."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.metrics import Metrics

from bulklabel.model.errors import RecordError
from bulklabel.model.images.kinds import Encoded
from bulklabel.model.report.gallery import Thumbnail, make_thumbnail
from bulklabel.model.statistic import Statistic
from bulklabel.transforms.concurrency.timeout import run_with_timeout
from bulklabel.transforms.files import files
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.reading.readers import read_shard
from bulklabel.transforms.reading.records import Shard, Unreadable
from bulklabel.transforms.run_directory.places import places_of
from bulklabel.transforms.run_directory.plan import Recipe

MOST_THUMBNAILS = 6000

RecordKey = tuple[str, int]
"""The source and the position of a record, which name it within its run."""

IdsByKey = Mapping[RecordKey, str]
"""The ids of the records whose thumbnails are wanted."""

Wanted = dict[int, dict[RecordKey, str]]
"""By shard, the records whose thumbnails are wanted."""


class MakeThumbnails(beam.PTransform):  # type: ignore[misc]
    """Makes thumbnails of records that are known at the end: those that a run's statistic keeps as examples, or others.

    A record whose image cannot be read again has none: examples are worth no failed run. At most `MOST_THUMBNAILS` are
    made, those of the labels with the most mistakes.

    Reading again costs little, as examples are few; images kept until then would have to be kept by finished parts
    too, or a continued run would show less than another.
    """

    def __init__(
        self, shards: beam.PCollection[Shard], recipe: Recipe, choose: Callable[[Any], Wanted] | None = None
    ) -> None:
        """Keeps what the steps are made of.

        Args:
            shards: those of the run that has the images.
            recipe: how they are read.
            choose: returns the records of interest in what was merged; the examples of a statistic unless given.
        """
        super().__init__()
        self._shards = shards
        self._recipe = recipe
        self._choose = choose or _examples_of

    def expand(self, merged: beam.PCollection[Any]) -> beam.PCollection[Thumbnail]:
        """Adds the steps that choose the records and read them."""
        # The records are known once everything is merged: a side input, small enough for every worker.
        wanted = merged | "Choose" >> beam.Map(self._choose)
        # Few shards have examples, and they may lie side by side: the reshuffle spreads them over all workers.
        return (
            self._shards
            | "Find" >> beam.FlatMap(_wanted_of, beam.pvalue.AsSingleton(wanted))
            | "Reshuffle" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(_read, self._recipe)
        )


def choose_records(table: pa.Table, mistakes: Sequence[int], most: int = MOST_THUMBNAILS) -> Wanted:
    """Chooses the records whose thumbnails are made, from the label with the most mistakes on; returns them by shard.

    Args:
        table: records with `label`, an index of L labels, `id`, `source`, `position` and `shard`.
        mistakes: what each label has of false positives and false negatives, or of flips; L.
        most: how many records to choose at most.
    """
    order = np.argsort(-np.asarray(mistakes)[table.column("label").to_numpy()], kind="stable")
    columns = table.select(["source", "position", "shard", "id"]).take(pa.array(order))
    chosen: dict[RecordKey, tuple[int, str]] = {}
    for source, position, shard, record_id in zip(*(column.to_pylist() for column in columns.columns), strict=True):
        if len(chosen) == most:
            break
        chosen[source, position] = (shard, record_id)
    by_shard: Wanted = {}
    for key, (shard, record_id) in chosen.items():
        by_shard.setdefault(shard, {})[key] = record_id
    return by_shard


def _examples_of(statistic: Statistic) -> Wanted:
    total = statistic.sums.total()
    return choose_records(statistic.examples.table, (total["false_positives"] + total["false_negatives"]).tolist())


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


def _images(shard: Shard, wanted: IdsByKey, recipe: Recipe) -> Iterator[tuple[RecordKey, Encoded | None]]:
    """Yields keys and images of the wanted records whose ids are the same as before; reads no further than the last."""
    positions = frozenset(position for _, position in wanted)
    spec = replace(recipe.read_spec, columns=replace(recipe.columns, carry=()), positions=positions)
    left = set(wanted)
    narrowed = restrict_to_sources(shard, {source for source, _ in wanted})
    for table in read_shard(narrowed, spec):
        if isinstance(table, Unreadable):
            continue
        for row, key in enumerate(places_of(table.rows)):
            if key in left:
                left.remove(key)
                if table.rows.column("id")[row].as_py() == wanted[key]:
                    yield key, table.images[row]
        if not left:
            return


def restrict_to_sources(shard: Shard, sources: Collection[str]) -> Shard:
    """Returns an image folder's shard with the files of these sources alone, and a shard of one file as it is."""
    return replace(
        shard, names=tuple(name for name in shard.names if escape_surrogates(files.join(shard.source, name)) in sources)
    )


def _thumbnail(image: Encoded | None, recipe: Recipe) -> bytes | None:
    try:
        make = partial(make_thumbnail, image, recipe.limits, recipe.preprocessing.pixel_range)
        return run_with_timeout(make, recipe.decode_seconds)
    except (RecordError, TimeoutError):
        return None
