"""Part files: their names, what their footers say, and their bytes."""

import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.labels.predictions import fold_kinds, metadata_of, with_metadata
from bulklabel.transforms.reading.records import Shard

REUSED = "reused"

PASSING = "passing"
"""The entry of a part's footer, and of its entry in the manifest, that counts failures which may not come again."""

PASSING_REASONS = ("timed_out", "unreadable_file", "changed_source")
"""Why records are rejected that may be scored on another try: their shard is scored again by the next run."""

PREDICTIONS, REJECTED = PART_KINDS = ("predictions", "rejected")

Entry = dict[str, Any]
"""What the manifest says of a file."""

PART_NAME = re.compile(r"/part-(\d{5,})-of-(\d{5,})-([0-9a-f]{8})\.parquet$")
"""Matches shard, shards and the start of the plan's digest: a run that writes too late, in a folder that has become
another plan's, replaces none of its parts."""


@dataclass(frozen=True)
class PartStamp:
    """Says what a part belongs to, as its footer does: digests of plan and model, and the plan's number of shards."""

    plan_digest: str
    model_digest: str
    shards: int

    def name(self, kind: str, shard: Shard) -> str:
        """Returns the name of a shard's part, below the output: it follows from the plan alone."""
        return self.name_of(kind, shard.index)

    def name_of(self, kind: str, index: int) -> str:
        """Returns the name of the part of the shard with this index; names sort in the order of the shards."""
        digits = max(5, len(str(self.shards - 1)))
        return f"{kind}/part-{index:0{digits}d}-of-{self.shards:05d}-{self.plan_digest[:8]}.parquet"

    @property
    def names(self) -> list[str]:
        """Returns the names of all parts of the plan."""
        return [self.name_of(kind, index) for kind in PART_KINDS for index in range(self.shards)]

    def is_foreign(self, path: str) -> bool:
        """Returns whether a path is named as a part, but of no shard of this plan."""
        named = PART_NAME.search(path)
        own = self.plan_digest[:8]
        return named is not None and not (int(named[1]) < self.shards == int(named[2]) and named[3] == own)

    def metadata(self, shard: Shard) -> dict[str, str]:
        """Returns the entries of the footer."""
        return {"plan": self.plan_digest, "model": self.model_digest, "shard": str(shard.index)}


@dataclass(frozen=True)
class Part:
    """Holds one part file: its name below the output, its rows, and its exact bytes."""

    name: str
    table: pa.Table
    content: bytes

    @cached_property
    def entry(self) -> Entry:
        """Returns its entry in the manifest: name, rows, bytes and SHA-256, and what was added to its footer."""
        digest = hashlib.sha256(self.content).hexdigest()
        entry: Entry = {"name": self.name, "rows": len(self.table), "bytes": len(self.content), "sha256": digest}
        footer = metadata_of(self.table.schema)
        return entry | {name: json.loads(footer[name]) for name in (REUSED, PASSING) if name in footer}

    @property
    def is_passing(self) -> bool:
        """Returns whether it has records that another try may score."""
        return PASSING in metadata_of(self.table.schema)


def with_reused(table: pa.Table, reused: Sequence[Sequence[int]]) -> pa.Table:
    """Adds to a table's metadata how many records of its shard each earlier run had scored, and rejected.

    A continued run needs to know it too.
    """
    return with_metadata(table, metadata_of(table.schema) | {REUSED: json.dumps(reused)})


def with_passing(rejected: pa.Table) -> pa.Table:
    """Adds to the metadata of rejected rows how many of them another try may score; nothing if there are none."""
    count = sum(reason in PASSING_REASONS for reason in rejected.column("reason").to_pylist())
    return with_metadata(rejected, metadata_of(rejected.schema) | {PASSING: str(count)}) if count else rejected


def reused_counts(schema: pa.Schema) -> list[list[int]]:
    """Returns what `with_reused` added to a table of this schema; empty if it added nothing."""
    counts: list[list[int]] = json.loads(metadata_of(schema).get(REUSED, "[]"))
    return counts


def make_part(kind: str, shard: Shard, table: pa.Table, stamp: PartStamp) -> Part:
    """Encodes a shard's table; equal tables give equal bytes."""
    table = fold_kinds(table)
    stamped = with_metadata(table, metadata_of(table.schema) | stamp.metadata(shard))
    return Part(stamp.name(kind, shard), stamped, to_parquet(stamped))


def to_parquet(table: pa.Table) -> bytes:
    """Encodes a table as a Parquet file with checksums; equal tables give equal bytes."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()
