"""Looks at the ids of the first records: a field that has one value in all of them identifies nothing."""

from collections.abc import Sequence
from dataclasses import replace

from bulklabel.model.errors import UserError
from bulklabel.model.labels.label_rule import NO_TRUTH
from bulklabel.transforms.files.text import shortened
from bulklabel.transforms.planning.first_records import SAMPLED_RECORDS, first_records, usable_shards
from bulklabel.transforms.reading.path_fields import groups_in
from bulklabel.transforms.reading.readers import READERS
from bulklabel.transforms.reading.records import Columns, ReadSpec, Shard


def with_useful_ids(shards: Sequence[Shard], input_format: str, columns: Columns) -> tuple[Columns, list[str]]:
    """Returns the columns without fields of ids that identify nothing, and a warning if there are any.

    Such a field is passed over: the next one counts, and in the end a record's file and position.

    Raises:
        UserError: if the pattern for paths matches none of the first.
    """
    usable = usable_shards(shards)
    _check_pattern(usable, columns)
    passed_over: list[str] = []
    words = ""
    while True:
        now = replace(columns, ignored_ids=tuple(passed_over))
        left = now.id_names(READERS[input_format].id_fields)
        ids = _first_ids(usable, input_format, now) if left else []
        if len(ids) < 2 or len(set(ids)) > 1 or ids[0] is None:
            return now, [words] if words else []
        passed_over.append(left[0])
        words = (
            f"all of the first {len(ids):,} records have the id {shortened(ids[0])}, which identifies nothing; ids are "
            "made of something else: name a better field with --id_column."
        )


def _first_ids(shards: Sequence[Shard], input_format: str, columns: Columns) -> list[str | None]:
    """Returns the ids that files give to their first records; those of the first shard that has more than one."""
    spec = ReadSpec(input_format, columns, None, SAMPLED_RECORDS, NO_TRUTH, images=False)
    for shard in shards[:2]:
        ids = [record.id for record in first_records(shard, spec, with_paths=False)]
        if len(ids) > 1:
            return ids
    return []


def _check_pattern(shards: Sequence[Shard], columns: Columns) -> None:
    if columns.path_pattern is None or any(shard.by_path for shard in shards):
        return
    paths = [path for shard in shards[:SAMPLED_RECORDS] for path in shard.names[:SAMPLED_RECORDS] or [shard.source]]
    if paths and not any(groups_in(path, columns.path_pattern) for path in paths):
        raise UserError(
            f"--path_pattern {columns.path_pattern}: it matches none of the first {len(paths):,} paths, such as "
            f"{shortened(paths[0])}; give a regular expression that occurs in them."
        )
