"""Checks every part of an output against plan and manifest, and its rows against what was counted."""

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
from bulklabel.transforms.run_directory.parts import PART_KINDS, PREDICTIONS, REJECTED
from bulklabel.transforms.run_directory.plan import Plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.verifying.output_files import OutputFiles, file_fault


@dataclass(frozen=True)
class PlannedPart:
    """Names a part that the output should have; `shard` is None where no plan says which one it is of."""

    name: str
    kind: str
    shard: Shard | None


@dataclass(frozen=True)
class CheckedPart:
    """Holds what is wrong with a part, None if nothing is, and its number of rows where it could be read."""

    fault: str | None
    rows: int | None = None


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
    rows: dict[str, int] = {}
    for part, checked in zip(parts, map_in_threads(lambda part: _check(output, part), parts), strict=True):
        if checked.fault:
            yield checked.fault
        if checked.rows is not None:
            rows[part.name] = checked.rows
    if output.plan:
        yield from _shard_faults(output.plan, rows)
    if output.manifest:
        yield from _total_faults(output.manifest.counts, parts, rows)


def _check(output: OutputFiles, part: PlannedPart) -> CheckedPart:
    if output.manifest is None:
        directory = output.plan and RunDirectory(output.path, output.plan.stamp)
        kept = directory.read_part(part.kind, part.shard) if directory and part.shard else None
        again = f"{part.name} is damaged or another plan's; the same `bulklabel score` makes it again"
        return CheckedPart(None, len(kept.table)) if kept else CheckedPart(again)
    content, entry = output.read(part.name), output.manifest.parts.get(part.name)
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
    fault = _footer_fault(part, schema, output.plan)
    return CheckedPart(fault, None if fault else rows)


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


def _shard_faults(plan: Plan, rows: Mapping[str, int]) -> Iterator[str]:
    """Yields the shards whose number of records is known and differs from the rows of their two parts.

    Shards made from earlier runs are left out, of which not all records need be taken over, and all shards of a run
    that knows images by their content, which does not write all records.
    """
    for shard in [] if plan.recipe.by_content else plan.new_shards:
        scored, rejected = (rows.get(plan.stamp.name(kind, shard)) for kind in PART_KINDS)
        if scored is None or rejected is None or shard.records in (None, scored + rejected):
            continue
        yield (
            f"shard {shard.index} has {shard.records:,} records of {escape_surrogates(shard.source)}, "
            f"and its parts have {scored:,} scored and {rejected:,} rejected"
        )


def _total_faults(counts: Mapping[str, int], parts: Sequence[PlannedPart], rows: Mapping[str, int]) -> Iterator[str]:
    """Yields counts of the manifest that differ from the rows, unless a part could not be read."""
    if counts["records"] != counts["scored"] + counts["rejected"]:
        yield f"{MANIFEST_FILE}: the records are not those scored and those rejected: {dict(counts)}"
    for kind, what in ((PREDICTIONS, "scored"), (REJECTED, "rejected")):
        counted = [rows.get(part.name) for part in parts if part.kind == kind]
        total = sum(count for count in counted if count is not None)
        if None not in counted and total != counts[what]:
            yield f"{kind}/ has {total:,} rows, and {MANIFEST_FILE} counts {counts[what]:,} {what}"
