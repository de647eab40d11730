"""Finds the columns of tables, text or Parquet: which has the images, and which names are there, once or more often."""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass

from bulklabel.model.errors import RecordError
from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.files.listing import File, Listing, unique_files
from bulklabel.transforms.reading.path_fields import names_in_paths
from bulklabel.transforms.reading.records import Columns, Inputs, Problem, Shard

IMAGE_COLUMN = "image"
"""The name that the column of images has unless the user gives another."""

PATH_COLUMNS = ("path", "file_name", "filename", "file_path", "filepath", "image_path", "uri", "url", "image_uri")
"""Other names, in lower case, that columns of paths have; one of them counts if it is the only one."""

ID_COLUMN = "id"
"""The name that the column of ids has unless the user gives another."""

LABEL_COLUMNS = ("labels", "label")
"""The names that the column of labels has unless the user gives another."""


@dataclass(frozen=True)
class Table:
    """Holds what one file is found to hold: its shards, and the names of its columns as far as they matter."""

    file: File
    shards: Sequence[Shard]
    names: Set[str] = frozenset()


def shards_of_tables(
    listings: Sequence[Listing],
    columns: Columns,
    open_table: Callable[[File, Columns], Table],
) -> tuple[Inputs, set[str], dict[str, str]]:
    """Returns the listed tables with their shards, the names of their columns, and those asked for that are missing.

    Args:
        listings: what the user's paths stand for.
        columns: what the user calls a record's fields.
        open_table: finds out what one file holds.

    Returns:
        The files and shards; the names of the columns; and the names of `columns.asked_for` that are neither among
        these nor in a path, each with its flag.
    """
    tables = [*map_in_threads(lambda file: open_table(file, columns), unique_files(listings))]
    inputs = Inputs(tuple(table.file for table in tables), tuple(shard for table in tables for shard in table.shards))
    known_names = {name for table in tables for name in table.names}
    found = known_names | names_in_paths((file.path for file in inputs.files), columns)
    missing = {name: flag for name, flag in columns.asked_for.items() if name not in found}
    return inputs, known_names, missing


def duplicate_column(names: Sequence[str], wanted: Iterable[str | None]) -> Problem | None:
    """Returns that a wanted column is there more than once; None if each is there once at most.

    >>> duplicate_column(["id", "image", "id"], ["image", None, "id"]).detail
    "the file has 2 columns named 'id'"
    """
    repeated = next((name for name in wanted if name is not None and names.count(name) > 1), None)
    if repeated is None:
        return None
    return Problem("duplicate_column", f"the file has {names.count(repeated)} columns named {repeated!r}")


def label_columns(columns: Columns) -> tuple[str | None, ...]:
    """Returns the columns that may hold labels, present or unknown."""
    return (*((columns.labels,) if columns.labels else LABEL_COLUMNS), columns.unknown)


def image_column(names: Iterable[str], given: str | None) -> str:
    """Returns which of some columns has the images: the one that the user gives, `image`, or the one of paths.

    Raises:
        RecordError: if there is none, or more than one that has paths.

    >>> image_column(["id", "Path"], None)
    'Path'
    """
    known = list(names)
    named = [name for name in known if name.lower() in PATH_COLUMNS]
    wanted = [given] if given else [IMAGE_COLUMN] if IMAGE_COLUMN in known else named
    if len(wanted) > 1:
        words = ", ".join(map(repr, wanted))
        raise RecordError("read", "missing_column", f"any of {words} may be the images; name one with --image_column")
    if not wanted or wanted[0] not in known:
        shown = ", ".join(known) or "none"
        detail = f"no column {given or IMAGE_COLUMN!r}, only {shown}; name the one with the images with --image_column"
        raise RecordError("read", "missing_column", detail)
    return wanted[0]
