"""Every part of an output held against plan and manifest, and its rows against what was counted."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.labels.predictions import metadata_of
from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.files.paths import raise_if_store_failed
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE
from bulklabel.transforms.run_directory.part_tables import predictions_schema, rejected_schema
from bulklabel.transforms.run_directory.parts import KINDS, PREDICTIONS, REJECTED
from bulklabel.transforms.run_directory.plan import Plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.verifying.found_output import Output, file_fault


@dataclass(frozen=True)
class PlannedPart:
    """A part that there should be; `shard` is None where no plan says which one it is of."""

    name: str
    kind: str
    shard: Shard | None


@dataclass(frozen=True)
class CheckedPart:
    """What is wrong with a part, None if nothing is, and its rows where they could be read."""

    fault: str | None
    rows: int | None = None


def planned_parts(found: Output) -> list[PlannedPart]:
    """The parts that there should be, in the order of their names: by the plan, or else by the manifest."""
    if found.plan is not None:
        stamp, shards = found.plan.stamp, found.plan.shards
        return [PlannedPart(stamp.name(kind, shard), kind, shard) for kind in KINDS for shard in shards]
    names = sorted(found.manifest.parts) if found.manifest else []
    return [PlannedPart(name, name.partition("/")[0], None) for name in names]


def part_faults(found: Output) -> Iterator[str]:
    """What is wrong with the parts, each read whole, a few at a time; those of an unfinished run may be missing.

    Raises:
        StoreError: if the store fails.
    """
    parts = planned_parts(found)
    if found.manifest is None:
        parts = [part for part in parts if part.name in found.names]
    else:
        for name in sorted(found.manifest.parts.keys() - {part.name for part in parts}):
            yield f"{MANIFEST_FILE} lists {name}, which the plan does not have"
    rows: dict[str, int] = {}
    for part, checked in zip(parts, map_in_threads(lambda part: _check(found, part), parts), strict=True):
        if checked.fault:
            yield checked.fault
        if checked.rows is not None:
            rows[part.name] = checked.rows
    if found.plan:
        yield from _shard_faults(found.plan, rows)
    if found.manifest:
        yield from _total_faults(found.manifest.counts, parts, rows)


def _check(found: Output, part: PlannedPart) -> CheckedPart:
    if found.manifest is None:
        directory = found.plan and RunDirectory(found.place, found.plan.stamp)
        kept = directory.read_part(part.kind, part.shard) if directory and part.shard else None
        again = f"{part.name} is damaged or another plan's; the same `bulklabel score` makes it again"
        return CheckedPart(None, len(kept.table)) if kept else CheckedPart(again)
    content, entry = found.read(part.name), found.manifest.parts.get(part.name)
    fault = file_fault(part.name, content, entry)
    if fault or content is None or entry is None:
        return CheckedPart(fault)
    try:
        parquet = pq.ParquetFile(io.BytesIO(content))
        rows, schema = parquet.metadata.num_rows, parquet.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise_if_store_failed(error)
        return CheckedPart(f"{part.name} is no Parquet file")
    if rows != entry["rows"]:
        return CheckedPart(f"{part.name} has {rows:,} rows, and {MANIFEST_FILE} says {entry['rows']:,}", rows)
    fault = _footer_fault(part, schema, found.plan)
    return CheckedPart(fault, None if fault else rows)


def _footer_fault(part: PlannedPart, schema: pa.Schema, plan: Plan | None) -> str | None:
    """Why a part does not belong where it is."""
    if plan is None or part.shard is None:
        return None
    said = metadata_of(schema)
    for what, expected in plan.stamp.metadata(part.shard).items():
        if said.get(what) != expected:
            return f"{part.name} is of another {what}: its footer says {said.get(what)}, expected {expected}"
    recipe = plan.recipe
    columns = predictions_schema(recipe) if part.kind == PREDICTIONS else rejected_schema(recipe)
    return None if schema.equals(columns) else f"{part.name} has other columns than the plan asks for"


def _shard_faults(plan: Plan, rows: Mapping[str, int]) -> Iterator[str]:
    """Shards whose number of records is known and is not that of both their parts.

    Of earlier runs' shards not all records need be wanted, and of known images' records not all are written.
    """
    for shard in [] if plan.recipe.by_content else plan.new_shards:
        scored, rejected = (rows.get(plan.stamp.name(kind, shard)) for kind in KINDS)
        if scored is None or rejected is None or shard.records in (None, scored + rejected):
            continue
        yield (
            f"shard {shard.index} has {shard.records:,} records of {escape_surrogates(shard.source)}, "
            f"and its parts have {scored:,} scored and {rejected:,} rejected"
        )


def _total_faults(counts: Mapping[str, int], parts: Sequence[PlannedPart], rows: Mapping[str, int]) -> Iterator[str]:
    """Counts that are not those of the rows, unless a part could not be read, which has been said."""
    if counts["records"] != counts["scored"] + counts["rejected"]:
        yield f"{MANIFEST_FILE}: the records are not those scored and those rejected: {dict(counts)}"
    for kind, what in ((PREDICTIONS, "scored"), (REJECTED, "rejected")):
        found = [rows.get(part.name) for part in parts if part.kind == kind]
        total = sum(count for count in found if count is not None)
        if None not in found and total != counts[what]:
            yield f"{kind}/ has {total:,} rows, and {MANIFEST_FILE} counts {counts[what]:,} {what}"
