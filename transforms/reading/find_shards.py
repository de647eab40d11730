"""What `--input` and `--input_format` mean: the files, their format, and the shards in them."""

from collections.abc import Sequence
from dataclasses import replace

import bracex

from bulklabel.model.errors import UserError
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import Listing
from bulklabel.transforms.reading.readers import ANY_FORMAT, AUTO, READERS, choose_format
from bulklabel.transforms.reading.records import Columns, Inputs, Shard

MAX_EXPANDED_PATHS = 1_000_000
"""Paths that braces may stand for."""


def find_shards(
    inputs: Sequence[str], input_format: str, columns: Columns, output: str | None = None
) -> tuple[str, Inputs]:
    """The format, the files and the shards that `--input` and `--input_format` mean, as `find_listings` has it.

    Raises:
        UserError: if no file matches, none can be read, or none holds a record.
    """
    chosen, listings = find_listings(inputs, input_format, [] if output is None else [output])
    found = shards_of(listings, chosen, columns)
    check_usable(inputs, found.shards)
    return chosen, found


def find_listings(inputs: Sequence[str], input_format: str, outputs: Sequence[str]) -> tuple[str, list[Listing]]:
    """The format and the files that `--input` and `--input_format` mean; braces are expanded.

    What lies below one of the `outputs` does not count: a run must not find its own parts.

    Raises:
        UserError: if no file matches, or they are of no known format, or of several.
    """
    names = {AUTO: ANY_FORMAT} | {name: reader.file_pattern for name, reader in READERS.items()}
    listings = [files.list_files(path, names[input_format]) for given in inputs for path in _expanded(given)]
    below = tuple(f"{output}/" for output in outputs)
    listings = [listing.without(lambda path: path.startswith(below)) for listing in listings]
    if not any(listing.files for listing in listings):
        raise UserError(f"{', '.join(inputs)}: there is nothing but the output {outputs[0]}; give other files.")
    return choose_format(listings) if input_format == AUTO else (input_format, listings)


def shards_of(listings: Sequence[Listing], input_format: str, columns: Columns) -> Inputs:
    """The files, and the shards that hold records, counted; none of listings without files.

    Raises:
        UserError: if no file has a column that is asked for.
    """
    if not any(listing.files for listing in listings):
        return Inputs((), ())
    found = READERS[input_format].shards(listings, columns)
    shards = [shard for shard in found.shards if shard.records != 0]
    return Inputs(found.files, tuple(replace(shard, index=index) for index, shard in enumerate(shards)))


def check_usable(inputs: Sequence[str], shards: Sequence[Shard]) -> None:
    """Raise if there is nothing in the inputs that can be read.

    Raises:
        UserError: which says so.
    """
    if not shards:
        raise UserError(f"{', '.join(inputs)}: the input holds no records; give files with at least one.")
    problem = shards[0].problem
    if problem and all(shard.problem for shard in shards):
        raise UserError(f"{shards[0].source}: {problem.detail}.")


def _expanded(path: str) -> list[str]:
    """`shard-{000..127}.tar` as 128 paths, unless there is a file of this very name.

    Raises:
        UserError: if it stands for too many.
    """
    if "{" not in path or files.exists(files.absolute(path)):
        return [path]
    try:
        return list(bracex.expand(path, keep_escapes=True, limit=MAX_EXPANDED_PATHS))
    except bracex.ExpansionLimitException as error:
        raise UserError(f"{path} stands for more than {MAX_EXPANDED_PATHS:,} paths; give a glob.") from error
