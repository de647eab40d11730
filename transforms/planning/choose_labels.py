"""Looks at the first records of the input to choose how their labels are read."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from bulklabel.model.labels.choose_rule import LabelOptions, choose_rule
from bulklabel.model.labels.examine_rule import Choice, SampledRecord
from bulklabel.model.labels.label_rule import NO_TRUTH, LabelRule
from bulklabel.transforms.files.listing import Listing
from bulklabel.transforms.reading.image_metadata import is_metadata
from bulklabel.transforms.reading.path_fields import LABELS, groups_in_pattern, with_path_fields
from bulklabel.transforms.reading.readers import READERS
from bulklabel.transforms.reading.records import Columns, ReadSpec, Reference, Shard, Unreadable

SAMPLED_SHARDS = 10
"""So many shards are looked at, if the first ones have no truth."""

SAMPLED_RECORDS = 1000
"""So many records of each are looked at."""


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
    usable = [shard for shard in shards if not shard.problem and shard.reused is None]
    for shard in usable[:: max(1, -(-len(usable) // SAMPLED_SHARDS))]:
        records += islice(_sampled(shard, spec), SAMPLED_RECORDS)
        if any(value is not None for record in records for value in record.fields.values()):
            break
    return choose_rule(records, candidates, label_names, options, usable[0].source if usable else "the input")


def sampled_ids(shards: Sequence[Shard], input_format: str, columns: Columns) -> list[str]:
    """Returns the ids of the first records of some shards."""
    spec = ReadSpec(input_format, columns, None, SAMPLED_RECORDS, NO_TRUTH, images=False)
    usable = [shard for shard in shards if not shard.problem and shard.reused is None]
    few = usable[:: max(1, -(-len(usable) // SAMPLED_SHARDS))]
    return [record.id for shard in few for record in islice(_sampled(shard, spec), SAMPLED_RECORDS)]


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


def _sampled(shard: Shard, spec: ReadSpec) -> Iterator[SampledRecord]:
    """Yields what the readable records of a shard have in the fields that may hold labels."""
    for item in with_path_fields(READERS[spec.input_format].records(shard, spec), shard, spec):
        record = item.record if isinstance(item, Reference) else item
        if not isinstance(record, Unreadable):
            name = f"{record.source}#{record.position}" if record.id is None else record.id
            yield SampledRecord(name, record.fields, record.class_names)
