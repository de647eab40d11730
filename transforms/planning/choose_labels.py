"""Looks at the first records of the input to choose how their labels are read."""

from collections.abc import Sequence
from dataclasses import replace

from bulklabel.model.labels.choose_rule import LabelOptions, choose_rule
from bulklabel.model.labels.examine_rule import Choice, SampledRecord
from bulklabel.model.labels.label_rule import NO_TRUTH, LabelRule
from bulklabel.transforms.files.listing import Listing
from bulklabel.transforms.planning.first_records import (
    SAMPLED_RECORDS,
    SAMPLED_SHARDS,
    first_records,
    spread,
    usable_shards,
)
from bulklabel.transforms.reading.image_metadata import is_metadata
from bulklabel.transforms.reading.path_fields import LABELS, groups_in_pattern
from bulklabel.transforms.reading.readers import READERS
from bulklabel.transforms.reading.record_tables import name_of
from bulklabel.transforms.reading.records import Columns, ReadSpec, Shard


def choose_labels(
    shards: Sequence[Shard],
    input_format: str,
    columns: Columns,
    label_names: tuple[str, ...] | None,
    options: LabelOptions,
) -> Choice:
    """Returns how the labels of some shards are read, from the first records of the first shard that has labels.

    Args:
        shards: the shards of the input, or some of them.
        input_format: one of `FORMATS`.
        columns: what the user calls a record's fields.
        label_names: the model's labels in order; None if they are to be found in the data.
        options: what the user says of labels.

    Raises:
        UserError: as `choose_rule` does.
    """
    reader = READERS[input_format]
    options = replace(options, field=columns.labels, unknown_field=columns.unknown)
    in_path = (LABELS,) if LABELS in groups_in_pattern(columns.path_pattern) else ()
    candidates = (columns.labels,) if columns.labels else in_path or reader.label_fields
    taken = {columns.id, columns.image, *columns.carry}
    own = [name for name in label_names or () if name not in taken]
    wanted = LabelRule(unseen=(*candidates, *own, *options.no_label), unknown_field=columns.unknown)
    spec = ReadSpec(input_format, columns, label_names, SAMPLED_RECORDS, wanted, images=False)
    records: list[SampledRecord] = []
    usable = usable_shards(shards)
    for shard in spread(usable):
        records += [
            SampledRecord(name_of(record), record.fields, record.class_names) for record in first_records(shard, spec)
        ]
        if any(value is not None for record in records for value in record.fields.values()):
            break
    return choose_rule(records, candidates, label_names, options, usable[0].source if usable else "the input")


def sampled_ids(shards: Sequence[Shard], input_format: str, columns: Columns) -> list[str]:
    """Returns the ids of the first records of some shards."""
    spec = ReadSpec(input_format, columns, None, SAMPLED_RECORDS, NO_TRUTH, images=False)
    return [name_of(record) for shard in spread(usable_shards(shards)) for record in first_records(shard, spec)]


def first_files(listings: Sequence[Listing], input_format: str) -> list[Listing]:
    """Returns listings of a few files, spread over all, with the metadata files that describe them."""
    listed = []
    for listing in listings:
        data = [file for file in listing.files if not is_metadata(file.path)]
        many = SAMPLED_RECORDS if input_format == "images" else SAMPLED_SHARDS
        step = 1 if input_format == "images" else max(1, -(-len(data) // many))
        kept = {file.path for file in data[::step][:many]}
        listed.append(
            replace(
                listing,
                files=tuple(file for file in listing.files if file.path in kept or is_metadata(file.path)),
                complete=False,
            )
        )
    return listed
