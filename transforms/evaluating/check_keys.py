"""CheckTruthKeys: fails a run in which one row of truth, joined by how paths end, would be that of several."""

from collections.abc import Iterable, Iterator

import apache_beam as beam

from bulklabel.model.errors import UserError
from bulklabel.model.labels.predictions import LABELS_COLUMN
from bulklabel.model.statistic import Statistic
from bulklabel.transforms.files.text import shortened
from bulklabel.transforms.scoring.score_shards import ShardResult
from bulklabel.transforms.truth.keys import key_of, same_words


class CheckTruthKeys(beam.PTransform):  # type: ignore[misc]
    """Passes the statistic on if no two records of different ids have one key, where their truth is known.

    Only where all shards meet can it be seen, so the ids of records whose truth is known meet by their key.
    """

    def __init__(self, results: beam.PCollection[ShardResult], key: str) -> None:
        super().__init__()
        self._results = results
        self._key = key

    def expand(self, statistic: beam.PCollection[Statistic]) -> beam.PCollection[Statistic]:
        """Adds the search for such records, and the step that waits for it."""
        shared = (
            self._results
            | "Keys" >> beam.FlatMap(_keyed_ids, self._key)
            | "ByKey" >> beam.GroupByKey()
            | "Shared" >> beam.FlatMap(_first_two)
            | "Example" >> beam.combiners.Top.Smallest(1)
        )
        return statistic | beam.Map(_check_none, beam.pvalue.AsSingleton(shared), self._key)


def _keyed_ids(result: ShardResult, key: str) -> Iterator[tuple[str, str]]:
    table = result.predictions.table.select(["id", LABELS_COLUMN])
    for record_id in table.filter(table.column(LABELS_COLUMN).is_valid()).column("id").to_pylist():
        yield key_of(record_id, key), record_id


def _first_two(keyed: tuple[str, Iterable[str]]) -> list[tuple[str, str]]:
    """Returns the first two of the different ids of a key; none if it has one.

    >>> _first_two(("1.png", ["b/1.png", "a/1.png", "b/1.png"])), _first_two(("1.png", ["a/1.png", "a/1.png"]))
    ([('a/1.png', 'b/1.png')], [])
    """
    ids = sorted(set(keyed[1]))
    return [(ids[0], ids[1])] if len(ids) > 1 else []


def _check_none(statistic: Statistic, shared: list[tuple[str, str]], key: str) -> Statistic:
    for first, second in shared:
        raise UserError(
            f"--truth_key {key}: the records {shortened(first)} and {shortened(second)} have the same "
            f"{same_words(key)}, so one row of truth would join both; give truth with ids that tell them apart."
        )
    return statistic
