"""Scores a sample of a run's records again, from the input, and compares them with what the parts hold."""

import hashlib
import os
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import accumulate

import numpy as np
import pyarrow as pa

from bulklabel.model.errors import SourceChangedError, first_line
from bulklabel.model.labels.predictions import PROBABILITIES, PROBABILITY, probabilities_of
from bulklabel.model.labels.thresholds import predict_labels
from bulklabel.model.labels.truth import decode_predicted
from bulklabel.model.network import TOLERANCE
from bulklabel.model.network.scorer import Scorer
from bulklabel.transforms.concurrency.ordered_map import ordered_map
from bulklabel.transforms.concurrency.stage_clock import StageClock
from bulklabel.transforms.evaluating.thumbnails import RecordKey, restrict_to_sources
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.reading.readers import read_shard
from bulklabel.transforms.reading.records import RecordTable, Shard, Unreadable
from bulklabel.transforms.reuse.known_images import with_hashes
from bulklabel.transforms.run_directory.part_tables import predictions_schema
from bulklabel.transforms.run_directory.parts import PREDICTIONS
from bulklabel.transforms.run_directory.places import places_of
from bulklabel.transforms.run_directory.plan import Plan, Recipe
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.scoring.decode_and_predict import BatchScorer, ScoringThreads
from bulklabel.transforms.scoring.score_shards import load_planned_truth
from bulklabel.transforms.truth.truth_source import with_truth
from bulklabel.transforms.truth.truth_table import TruthTable

THREADS = 4
"""Shards that are read at once; the images of their chosen records are in memory."""


@dataclass
class Rescored:
    """Counts records that were scored again, with what was wrong and the largest difference of a probability, 0…1."""

    records: int = 0
    largest: float = 0.0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RereadRecords:
    """Holds chosen records of one shard: their rows of the part, as they are now, and why others are missing."""

    stored: Mapping[RecordKey, pa.Table]
    tables: Sequence[RecordTable]
    faults: Sequence[str]


def choose_rows(rows: Sequence[int], count: int, seed: str) -> dict[int, list[int]]:
    """Chooses rows of parts, one in each of `count` equal stretches of all rows, by a hash; returns them by part.

    So the sample is spread over the whole run, and the same seed chooses the same rows on every machine.

    Args:
        rows: how many rows each part has.
        count: how many to choose; all of them if there are no more.
        seed: another seed chooses other rows.

    >>> choose_rows([2, 0, 1], count=3, seed="")
    {0: [0, 1], 2: [0]}
    """
    ends = list(accumulate(rows))
    total = ends[-1] if ends else 0
    count = min(count, total)
    chosen: dict[int, list[int]] = {}
    for stretch in range(count):
        start, stop = stretch * total // count, (stretch + 1) * total // count
        number = int.from_bytes(hashlib.blake2b(f"{seed}/{stretch}".encode(), digest_size=8).digest())
        row = start + number % (stop - start)
        part = bisect_right(ends, row)
        chosen.setdefault(part, []).append(row - ends[part] + rows[part])
    return chosen


def rescore(
    directory: RunDirectory,
    plan: Plan,
    chosen: Mapping[int, Sequence[int]],
    scorer: Scorer,
    tolerance: float = TOLERANCE,
) -> Rescored:
    """Scores the records of chosen rows again, and compares them with their parts.

    Args:
        directory: the run's.
        plan: the run's.
        chosen: rows of the parts of predictions, by the index of the shard.
        scorer: of the plan's model, on this machine.
        tolerance: how far apart probabilities may be, 0…1.

    Raises:
        StoreError: if the store fails.
    """
    result = Rescored()
    stored: dict[RecordKey, pa.Table] = {}
    inputs = {escape_surrogates(file.path): file for file in plan.inputs}

    truth = load_planned_truth(plan.recipe)

    def reread() -> Iterator[RecordTable]:
        with ThreadPoolExecutor(THREADS, thread_name_prefix="verify") as pool:
            for records in ordered_map(
                lambda item: pool.submit(_reread, directory, plan, inputs, truth, *item), chosen.items(), 2 * THREADS
            ):
                result.faults.extend(records.faults)
                stored.update(records.stored)
                yield from records.tables

    with closing(ScoringThreads()) as threads:
        for scored in BatchScorer(plan.recipe, scorer, threads).score(reread(), StageClock()):
            for rejected in scored.rejected:
                record = _record(rejected["source"], rejected["position"])
                result.faults.append(f"{record} was scored, and now is rejected: {rejected['detail']}")
            for row in range(len(scored.predictions)):
                prediction = scored.predictions.slice(row, 1)
                _compare(stored.pop(_key_of(prediction)), prediction, plan.recipe, result, tolerance)
    return result


def _reread(
    directory: RunDirectory,
    plan: Plan,
    inputs: Mapping[str, File],
    truth: TruthTable | None,
    index: int,
    rows: Sequence[int],
) -> RereadRecords:
    """Reads chosen records of one shard; none if its part is damaged, which `part_faults` reports."""
    shard, recipe = plan.shards[index], plan.recipe
    part = directory.read_part(PREDICTIONS, shard)
    if part is None or len(part.table) <= max(rows) or not part.table.schema.equals(predictions_schema(recipe)):
        return RereadRecords({}, (), ())
    table = part.table.take(list(rows))  # a slice would keep all of it in memory
    stored = {_key_of(row): row for row in (table.slice(number, 1) for number in range(len(table)))}
    metadata = [escape_surrogates(shard.metadata)] if shard.metadata else []
    sources = dict.fromkeys([*metadata, *(source for source, _ in stored)])
    changed = {name: fault for name in sources if name in inputs and (fault := _input_fault(inputs[name]))}
    wanted = {(source, position) for source, position in stored if not changed.keys() & {source, *metadata}}
    tables, faults = _records(shard, wanted, recipe, truth) if wanted else ([], [])
    return RereadRecords(stored, tables, [*changed.values(), *faults])


def _input_fault(file: File) -> str | None:
    """Returns why an input is not as it was planned, as far as its size tells; None if it is."""
    try:
        with files.open_file(file.path) as opened:
            size = opened.seek(0, os.SEEK_END)
    except FileNotFoundError:
        return f"input {escape_surrogates(file.path)} is gone"
    if size == file.size or file.size < 0:
        return None
    path = escape_surrogates(file.path)
    return f"input {path} changed: it has {size:,} bytes, and had {file.size:,} when it was planned"


def _records(
    shard: Shard, wanted: Collection[RecordKey], recipe: Recipe, truth: TruthTable | None
) -> tuple[list[RecordTable], list[str]]:
    """Reads the wanted records of a shard, no further than the last; returns them, and why others are missing."""
    left, tables, faults = set(wanted), [], []
    narrowed = restrict_to_sources(shard, {source for source, _ in wanted})
    try:
        spec = replace(recipe.read_spec, positions=frozenset(place for _, place in wanted))
        for table in with_truth(read_shard(narrowed, spec), truth):
            if not left:
                break
            if isinstance(table, Unreadable):
                source = escape_surrogates(table.source)
                unreadable = {key for key in left if key[0] == source and key[1] in table.positions}
                faults += [
                    f"{_record(*key)} was scored, and now cannot be read: {table.problem.detail}"
                    for key in sorted(unreadable)
                ]
                left -= unreadable
                continue
            keys = places_of(table.rows)
            rows = [row for row, key in enumerate(keys) if key in left]
            if rows:
                records = table.take(rows)
                tables.append(with_hashes(records) if recipe.by_content else records)
            left -= set(keys)
    except FileNotFoundError as error:
        return tables, [*faults, f"input {error.filename or error} is gone"]
    except SourceChangedError:
        source = escape_surrogates(shard.source)
        return tables, [*faults, f"input {source} changed: its records are not where they were planned"]
    except Exception as error:
        raise_if_store_failed(error)
        return tables, [
            *faults,
            f"input {escape_surrogates(shard.source)} changed: it cannot be read ({first_line(error)})",
        ]
    return tables, faults + [f"{_record(*key)} is not there any more" for key in sorted(left)]


def _compare(stored: pa.Table, rescored: pa.Table, recipe: Recipe, result: Rescored, tolerance: float) -> None:
    """Compares a record's row of the part with the one it gets now, and adds the faults to `result`."""
    record, labels = _record(*_key_of(rescored)), recipe.labels
    old, new = probabilities_of(stored, labels), probabilities_of(rescored, labels)
    apart = np.nan_to_num(np.abs(new.astype(float) - old), nan=np.inf)[0]
    result.records += 1
    result.largest = max(result.largest, float(apart.max()))
    if (apart > tolerance).any():
        worst = int(apart.argmax())
        result.faults.append(
            f"{record} has {old[0, worst]:.6f} for {labels[worst]!r} in its part, and now gets {new[0, worst]:.6f} "
            f"(at most {tolerance:g} apart is allowed): its image or its part changed"
        )
    predicted = decode_predicted(predict_labels(old, recipe.thresholds), labels).to_pylist()
    if stored.column("predicted").to_pylist() != predicted:
        result.faults.append(f"{record} is predicted otherwise in its part than its probabilities and thresholds say")
    computed = {"predicted", PROBABILITIES, *(PROBABILITY + label for label in labels)}
    for name in (name for name in stored.column_names if name not in computed):
        old_value, new_value = stored.column(name)[0].as_py(), rescored.column(name)[0].as_py()
        if old_value != new_value:
            result.faults.append(f"{record} has {name} {old_value!r:.60} in its part, and now {new_value!r:.60}")


def _key_of(row: pa.Table) -> RecordKey:
    return row.column("source")[0].as_py(), row.column("position")[0].as_py()


def _record(source: str, position: int) -> str:
    return f"input {source}: record {position}"
