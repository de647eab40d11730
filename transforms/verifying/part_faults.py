"""Checks every part of an output against plan and manifest, and its rows against what was counted."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.labels.predictions import metadata_of
from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE
from bulklabel.transforms.run_directory.manifest import Manifest, file_fault
from bulklabel.transforms.run_directory.part_tables import predictions_schema, rejected_schema
from bulklabel.transforms.run_directory.parts import PART_KINDS, PREDICTIONS, REJECTED
from bulklabel.transforms.run_directory.places import place_fault, places_digest
from bulklabel.transforms.run_directory.plan import Plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.verifying.output_files import OutputFiles

PLACE = ["source", "position"]


@dataclass(frozen=True)
class PlannedPart:
    """Names a part that the output should have; `shard` is None where no plan says which one it is of."""

    name: str
    kind: str
    shard: Shard | None


@dataclass(frozen=True)
class CheckedPart:
    """Holds what is wrong with a part, None if nothing is, and the places of its records where it could be read."""

    fault: str | None
    places: pa.Table | None = None


@dataclass(frozen=True)
class CheckedShard:
    """Holds what is wrong with some parts, those of one shard where a plan says which, and what they add up to."""

    faults: Sequence[str]
    rows: Mapping[str, int]
    places: int


def planned_parts(output: OutputFiles) -> list[PlannedPart]:
    """Lists the parts that the output should have, in the order of their names: by the plan, or else the manifest."""
    if output.plan is not None:
        stamp, shards = output.plan.stamp, output.plan.shards
        return [PlannedPart(stamp.name(kind, shard), kind, shard) for kind in PART_KINDS for shard in shards]
    names = sorted(output.manifest.parts) if output.manifest else []
    return [PlannedPart(name, name.partition("/")[0], None) for name in names]


def part_faults(output: OutputFiles) -> Iterator[str]:
    """Yields what is wrong with the parts, read whole, a few at a time; those of an unfinished run may be missing.

    Raises:
        StoreError: if the store fails.
    """
    parts = planned_parts(output)
    if output.manifest is None:
        parts = [part for part in parts if part.name in output.names]
    else:
        for name in sorted(output.manifest.parts.keys() - {part.name for part in parts}):
            yield f"{MANIFEST_FILE} lists {name}, which the plan does not have"
    shards = [list(group) for _, group in groupby(sorted(parts, key=_shard_order), key=_shard_order)]
    rows: dict[str, int] = {}
    places = 0
    for checked in map_in_threads(lambda shard: _check_shard(output, shard), shards):
        yield from checked.faults
        rows |= checked.rows
        places = (places + checked.places) % 2**64
    if output.manifest:
        yield from _total_faults(output.manifest, parts, rows, places)


def _shard_order(part: PlannedPart) -> tuple[int, str]:
    """Returns what parts are sorted by, and those of a shard have in common."""
    return (-1, part.name) if part.shard is None else (part.shard.index, "")


def _check_shard(output: OutputFiles, parts: Sequence[PlannedPart]) -> CheckedShard:
    checked = [_check(output, part) for part in parts]
    faults = [result.fault for result in checked if result.fault]
    read = [(part, part_of.places) for part, part_of in zip(parts, checked, strict=True) if part_of.places is not None]
    tables = {part.kind: places for part, places in read}
    shard = parts[0].shard
    if output.plan and shard and not faults and len(tables) == len(PART_KINDS):
        fault = place_fault(shard, output.plan.recipe, tables[PREDICTIONS], tables[REJECTED])
        faults += [fault] if fault else []
    rows = {part.name: len(places) for part, places in read}
    return CheckedShard(faults, rows, sum(places_digest(table) for table in tables.values()) % 2**64)


def _check(output: OutputFiles, part: PlannedPart) -> CheckedPart:
    if output.manifest is None:
        directory = output.plan and RunDirectory(output.path, output.plan.stamp)
        kept = directory.read_part(part.kind, part.shard) if directory and part.shard else None
        again = f"{part.name} is damaged or another plan's; the same `bulklabel score` makes it again"
        return CheckedPart(None, kept.table.select(PLACE)) if kept else CheckedPart(again)
    content, entry = output.read(part.name), output.manifest.parts.get(part.name)
    fault = file_fault(part.name, content, entry)
    if fault or content is None or entry is None:
        return CheckedPart(fault)
    try:
        parquet = pq.ParquetFile(io.BytesIO(content))
        fault = _footer_fault(part, parquet.schema_arrow, output.plan)
        places = parquet.read(PLACE)
    except (pa.ArrowException, OSError) as error:
        raise_if_store_failed(error)
        return CheckedPart(f"{part.name} is no Parquet file")
    if len(places) != entry["rows"]:
        fault = f"{part.name} has {len(places):,} rows, and {MANIFEST_FILE} says {entry['rows']:,}"
    return CheckedPart(fault, places)


def _footer_fault(part: PlannedPart, schema: pa.Schema, plan: Plan | None) -> str | None:
    """Returns why a part is not the one that its name says, None if it is."""
    if plan is None or part.shard is None:
        return None
    footer = metadata_of(schema)
    for what, expected in plan.stamp.metadata(part.shard).items():
        if footer.get(what) != expected:
            return f"{part.name} is of another {what}: its footer says {footer.get(what)}, expected {expected}"
    recipe = plan.recipe
    columns = predictions_schema(recipe) if part.kind == PREDICTIONS else rejected_schema(recipe)
    return None if schema.equals(columns) else f"{part.name} has other columns than the plan asks for"


def _total_faults(
    manifest: Manifest, parts: Sequence[PlannedPart], rows: Mapping[str, int], places: int
) -> Iterator[str]:
    """Yields what the manifest counts otherwise than the rows, unless a part could not be read."""
    counts = manifest.counts
    if counts["records"] != counts["scored"] + counts["rejected"]:
        yield f"{MANIFEST_FILE}: the records are not those scored and those rejected: {dict(counts)}"
    if not rows.keys() >= {part.name for part in parts}:
        return
    for kind, what in ((PREDICTIONS, "scored"), (REJECTED, "rejected")):
        total = sum(rows[part.name] for part in parts if part.kind == kind)
        if total != counts[what]:
            yield f"{kind}/ has {total:,} rows, and {MANIFEST_FILE} counts {counts[what]:,} {what}"
    if f"{places:016x}" != manifest.places:
        yield f"the parts have other records than those that {MANIFEST_FILE} has counted"
