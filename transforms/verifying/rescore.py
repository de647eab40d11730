"""Some records of a run scored once more: read from the input again, and compared with what the parts say."""

import hashlib
import os
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bulklabel.model.errors import first_line
from bulklabel.model.labels.predictions import PROBABILITIES, PROBABILITY, probabilities_of
from bulklabel.model.labels.thresholds import predict_labels
from bulklabel.model.labels.truth import decode_predicted
from bulklabel.model.network.golden_images import TOLERANCE
from bulklabel.transforms.concurrency.ordered_map import ordered_map
from bulklabel.transforms.evaluating.thumbnails import Place, only_files
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.reading.readers import read_shard
from bulklabel.transforms.reading.records import Shard, Unreadable
from bulklabel.transforms.reuse.known_images import with_hashes
from bulklabel.transforms.run_directory.part_tables import predictions_schema
from bulklabel.transforms.run_directory.parts import PREDICTIONS
from bulklabel.transforms.run_directory.plan import Plan, Recipe
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.scoring.decode import DecodedBatch, decode_batch
from bulklabel.transforms.scoring.predict import full_batches, predict_batch

if TYPE_CHECKING:
    from bulklabel.model.network.scorer import Scorer

THREADS = 4
"""Shards that are read at once: each holds the images of its chosen records in memory."""


@dataclass
class Rescored:
    """Records that were scored again: how many, what was wrong, and the largest difference of a probability, 0…1."""

    records: int = 0
    largest: float = 0.0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ReadAgain:
    """Records of one shard: their rows of the part, by place; their images, decoded; those that are gone."""

    stored: Mapping[Place, pa.Table]
    decoded: DecodedBatch | None
    faults: Sequence[str]


def choose_rows(rows: Sequence[int], count: int, seed: str) -> dict[int, list[int]]:
    """By part, which of its rows to look at: one in each of `count` equal stretches of all rows, by a hash.

    Args:
        rows: the rows of each part.
        count: how many to choose; all, if there are not more.
        seed: another one chooses others.
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


def rescore(place: str, plan: Plan, chosen: Mapping[int, Sequence[int]], scorer: "Scorer") -> Rescored:
    """Score chosen rows of the parts of predictions at a place again.

    Args:
        place: the output.
        plan: its plan.
        chosen: by shard, rows of its part.
        scorer: of the plan's model, on this machine.

    Raises:
        StoreError: if the store fails.
    """
    result = Rescored()
    stored: dict[Place, pa.Table] = {}
    inputs = {escape_surrogates(file.path): file for file in plan.inputs}

    def decoded() -> Iterator[DecodedBatch]:
        with ThreadPoolExecutor(THREADS, thread_name_prefix="verify") as pool:
            for again in ordered_map(
                pool, lambda item: _read_again(place, plan, inputs, *item), chosen.items(), 2 * THREADS
            ):
                result.faults.extend(again.faults)
                stored.update(again.stored)
                if again.decoded is not None:
                    yield again.decoded

    for batch in full_batches(decoded(), plan.recipe.batch_size):
        scored = predict_batch(batch, scorer, plan.recipe)
        for row in scored.rejected:
            record = _record(row["source"], row["position"])
            result.faults.append(f"{record} was scored, and now is rejected: {row['detail']}")
        for at in range(len(scored.predictions)):
            now = scored.predictions.slice(at, 1)
            _compare(stored.pop(_place(now)), now, plan.recipe, result)
    return result


def _read_again(place: str, plan: Plan, inputs: Mapping[str, File], index: int, rows: Sequence[int]) -> ReadAgain:
    """Chosen records of one shard; of a part that is damaged, which is said elsewhere, none."""
    shard, recipe = plan.shards[index], plan.recipe
    part = RunDirectory(place, plan.stamp).read_part(PREDICTIONS, shard)
    if part is None or len(part.table) <= max(rows) or not part.table.schema.equals(predictions_schema(recipe)):
        return ReadAgain({}, None, ())
    table = part.table.take(list(rows))  # a slice would keep all of it in memory
    stored = {_place(row): row for row in (table.slice(at, 1) for at in range(len(table)))}
    metadata = [escape_surrogates(shard.metadata)] if shard.metadata else []
    read = dict.fromkeys([*metadata, *(source for source, _ in stored)])
    wrong = {name: fault for name in read if name in inputs and (fault := _input_fault(inputs[name]))}
    wanted = {place for place in stored if not wrong.keys() & {place[0], *metadata}}
    tables, faults = _records(shard, wanted, recipe) if wanted else ([], [])
    decoded = decode_batch(pa.concat_tables(tables), recipe.preprocessing) if tables else None
    return ReadAgain(stored, decoded, [*wrong.values(), *faults])


def _input_fault(file: File) -> str | None:
    """Why an input is not as it was planned, as far as its size tells; None if it is."""
    try:
        with files.open_file(file.path) as opened:
            size = opened.seek(0, os.SEEK_END)
    except FileNotFoundError:
        return f"input {escape_surrogates(file.path)} is gone"
    if size == file.size or file.size < 0:
        return None
    path = escape_surrogates(file.path)
    return f"input {path} changed: it has {size:,} bytes, and had {file.size:,} when it was planned"


def _records(shard: Shard, wanted: Collection[Place], recipe: Recipe) -> tuple[list[pa.Table], list[str]]:
    """The records of a shard that are at these places, and why others are not; nothing is read after the last one."""
    left, tables, faults = set(wanted), [], []
    narrowed = only_files(shard, {source for source, _ in wanted})
    try:
        for table in read_shard(narrowed, recipe.read_spec):
            if not left:
                break
            if isinstance(table, Unreadable):
                source = escape_surrogates(table.source)
                bad = {place for place in left if place[0] == source and place[1] in table.positions}
                faults += [
                    f"{_record(*place)} was scored, and now cannot be read: {table.problem.detail}"
                    for place in sorted(bad)
                ]
                left -= bad
                continue
            places = list(zip(table.column("source").to_pylist(), table.column("position").to_pylist(), strict=True))
            rows = [row for row, place in enumerate(places) if place in left]
            if rows:
                some = table.take(rows)
                tables.append(with_hashes(some) if recipe.by_content else some)
            left -= set(places)
    except FileNotFoundError as error:
        return tables, [*faults, f"input {error.filename or error} is gone"]
    except Exception as error:
        raise_if_store_failed(error)
        return tables, [
            *faults,
            f"input {escape_surrogates(shard.source)} changed: it cannot be read ({first_line(error)})",
        ]
    return tables, faults + [f"{_record(*place)} is not there any more" for place in sorted(left)]


def _compare(then: pa.Table, now: pa.Table, recipe: Recipe, result: Rescored) -> None:
    """Two tables of one row, that of the part and that of today."""
    record, labels = _record(*_place(now)), recipe.labels
    old, new = probabilities_of(then, labels), probabilities_of(now, labels)
    apart = np.nan_to_num(np.abs(new.astype(float) - old), nan=np.inf)[0]
    result.records += 1
    result.largest = max(result.largest, float(apart.max()))
    if (apart > TOLERANCE).any():
        worst = int(apart.argmax())
        result.faults.append(
            f"{record} has {old[0, worst]:.6f} for {labels[worst]!r} in its part, and now gets {new[0, worst]:.6f} "
            f"(at most {TOLERANCE} apart is allowed): its image or its part changed"
        )
    predicted = decode_predicted(predict_labels(old, recipe.thresholds), labels).to_pylist()
    if then.column("predicted").to_pylist() != predicted:
        result.faults.append(f"{record} is predicted otherwise in its part than its probabilities and thresholds say")
    computed = {"predicted", PROBABILITIES, *(PROBABILITY + label for label in labels)}
    for name in (name for name in then.column_names if name not in computed):
        old_value, new_value = then.column(name)[0].as_py(), now.column(name)[0].as_py()
        if old_value != new_value:
            result.faults.append(f"{record} has {name} {old_value!r:.60} in its part, and now {new_value!r:.60}")


def _place(row: pa.Table) -> Place:
    return row.column("source")[0].as_py(), row.column("position")[0].as_py()


def _record(source: str, position: int) -> str:
    return f"input {source}: record {position}"
