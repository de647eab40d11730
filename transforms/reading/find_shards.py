"""Finds the files that `--input` stands for, their format, and the shards in them."""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import bracex

from bulklabel.model.errors import UserError
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import Listing, unique_files
from bulklabel.transforms.reading.readers import ANY_FORMAT, AUTO, READERS, choose_format
from bulklabel.transforms.reading.records import Columns, Inputs, Shard

MAX_EXPANDED_PATHS = 1_000_000
"""The most paths that one `--input` with braces may stand for."""

log = logging.getLogger("bulklabel")


def find_shards(
    inputs: Sequence[str], input_format: str, columns: Columns, output: str | None = None
) -> tuple[str, Inputs]:
    """Returns the format of the inputs, and their files and shards.

    Args:
        inputs: paths, globs, or patterns with braces, as `--input` gives them.
        input_format: one of `FORMATS`, or `auto`.
        columns: what the user calls a record's fields.
        output: a folder whose files are not taken as inputs.

    Raises:
        UserError: if no file matches, none can be read, or none holds a record.
    """
    chosen, listings = find_listings(inputs, input_format, [] if output is None else [output])
    contents = shards_of(listings, chosen, columns)
    check_usable(inputs, contents.shards)
    return chosen, contents


def find_listings(inputs: Sequence[str], input_format: str, outputs: Sequence[str]) -> tuple[str, list[Listing]]:
    """Returns the format of the inputs, and a listing of the files that each of their paths stands for.

    Braces are expanded. Files below one of the `outputs` are left out, since a run must not read its own parts.

    Raises:
        UserError: if no file matches, or the files are of no known format, or of several.
    """
    patterns = {AUTO: ANY_FORMAT} | {name: reader.file_pattern for name, reader in READERS.items()}
    paths = [path for pattern in inputs for path in _expand_braces(pattern)]
    listings = [files.list_files(path, patterns[input_format]) for path in paths]
    below = tuple(files.real(f"{output}/") for output in outputs)
    listings = [listing.without(lambda path: files.real(path).startswith(below)) for listing in listings]
    listings = _without_second_names(listings)
    aliases = list(_aliases(listings))
    if aliases:
        others = f", and {len(aliases) - 1:,} more like them" * (len(aliases) > 1)
        first, second = aliases[0]
        log.warning(
            f"{first} and {second} are links to one file{others}: its records count under each name; "
            "give one name of it, if that is not meant."
        )
    if not any(listing.files for listing in listings):
        raise UserError(f"{', '.join(inputs)}: there is nothing but the output {outputs[0]}; give other files.")
    return choose_format(listings) if input_format == AUTO else (input_format, listings)


def shards_of(listings: Sequence[Listing], input_format: str, columns: Columns) -> Inputs:
    """Returns the files of the listings and their shards, numbered, without shards that are known to be empty.

    Listings without any file have no shards.

    Raises:
        UserError: if no file has a column that is asked for.
    """
    if not any(listing.files for listing in listings):
        return Inputs((), ())
    contents = READERS[input_format].shards(listings, columns)
    shards = [shard for shard in contents.shards if shard.records != 0]
    return Inputs(contents.files, tuple(replace(shard, index=index) for index, shard in enumerate(shards)))


def check_usable(inputs: Sequence[str], shards: Sequence[Shard]) -> None:
    """Checks that the inputs hold a record, and that not all shards have a problem.

    Raises:
        UserError: if there is nothing to read; it gives the first shard's problem.
    """
    if not shards:
        raise UserError(f"{', '.join(inputs)}: the input holds no records; give files with at least one.")
    problem = shards[0].problem
    if problem and all(shard.problem for shard in shards):
        raise UserError(f"{shards[0].source}: {problem.detail}.")


def _without_second_names(listings: Sequence[Listing]) -> list[Listing]:
    """Returns the listings without files that one before has by another name, as a link leads to their folder."""
    names: dict[str, str] = {}
    for listing in listings:
        for file in listing.files:
            names.setdefault(files.real(file.path), file.path)
    return [listing.without(lambda path: names[files.real(path)] != path) for listing in listings]


def _aliases(listings: Sequence[Listing]) -> Iterator[tuple[str, str]]:
    """Yields pairs of listed names that are links to one local file, as stores make that keep equal contents once.

    A file system that makes inodes up, as some mounts of object stores do, may give two files the same one: what else
    is known of them must be equal too.
    """
    local = sorted((file for file in unique_files(listings) if file.inode), key=lambda file: file.inode)
    for file, other in pairwise(local):
        if (file.inode, file.size, file.version) == (other.inode, other.size, other.version):
            yield file.path, other.path


def _expand_braces(path: str) -> list[str]:
    """Returns `shard-{000..127}.tar` as 128 paths, but as one if there is a file of this very name.

    A backslash is a character like any other, and so is a brace or a comma in brackets.

    Raises:
        UserError: if it stands for too many paths.
    """
    if "{" not in path or files.exists(files.absolute(path)):
        return [path]
    try:
        plain = re.sub(r"\\|(?<=\[)[{},](?=\])", r"\\\g<0>", path)  # bracex has its own use for backslashes
        return list(bracex.expand(plain, limit=MAX_EXPANDED_PATHS))
    except bracex.ExpansionLimitException as error:
        raise UserError(f"{path} expands to more than {MAX_EXPANDED_PATHS:,} paths; give a glob.") from error
