"""Says by what rows of truth are joined to records: whole ids, or how the paths in them end."""

import re
from collections.abc import Callable, Iterable, Sequence

from bulklabel.model.errors import UserError
from bulklabel.transforms.files.text import shortened
from bulklabel.transforms.truth import ID, LAST, STEM, TRUTH_KEYS

ID_COLUMNS = (
    "id",
    "image_id",
    "imageid",
    "image",
    "image index",
    "image_name",
    "file_name",
    "source-ref",
    "filename",
    "path",
    "name",
)
"""Names of columns that hold ids, in lower case."""

EXTENSION = re.compile(r"(?<=.)\.[a-z][a-z0-9]{0,4}$", re.IGNORECASE)
"""Matches what is left out of a stem; a number after a dot is a part of the id."""


SEPARATOR = re.compile(r"[/\\]")


def key_of(record_id: str, key: str) -> str:
    r"""Returns what is compared of an id.

    >>> [key_of("train/0001.v2.jpg", key) for key in TRUTH_KEYS], key_of("0001.5", "stem"), key_of("a\\1.png", "name")
    (['train/0001.v2.jpg', '0001.v2.jpg', '0001.v2'], '0001.5', '1.png')
    >>> key_of("small/train/p1/1.jpg", "last:3"), key_of("train\\p1\\1.jpg", "last:3"), key_of("1.jpg", "last:3")
    ('train/p1/1.jpg', 'train/p1/1.jpg', '1.jpg')
    """
    if key == ID:
        return record_id
    last = LAST.fullmatch(key)
    name = "/".join(SEPARATOR.split(record_id)[-int(last[1] if last else 1) :])
    return EXTENSION.sub("", name) if key == STEM else name


def same_words(key: str) -> str:
    """Returns what two ids have in common that are one by a key.

    >>> same_words("name"), same_words("last:3")
    ('name', 'last 3 parts')
    """
    last = LAST.fullmatch(key)
    return f"last {last[1]} parts" if last else key


def find_id_column(path: str, names: Sequence[str], named: str | None, labels: Sequence[str]) -> str:
    """Returns the column of ids: the one that the user names, else `id`, else the only one that is called like it.

    Raises:
        UserError: if there is none, or more than one.

    >>> find_id_column("a.csv", ["Image Index", "Finding Labels"], None, ["cat"])
    'Image Index'
    """
    listed = ", ".join(names) or "none"
    if named is None and "id" not in names:
        likely = [name for name in names if name.casefold() in ID_COLUMNS and name not in labels]
        if len(likely) != 1:
            raise UserError(
                f"{path} has {len(likely) or 'no'} columns that may hold ids{': ' * bool(likely)}{', '.join(likely)}; "
                f"name the one to use with --id_column: there are {listed}."
            )
        return likely[0]
    name = named or "id"
    if names.count(name) != 1:
        raise UserError(
            f"{path} has {names.count(name)} columns {name!r}; name the one to use with --id_column: "
            f"there are {listed}."
        )
    return name


class JoinCount:
    """Counts the rows of truth that join records, and finds records that would share one.

    >>> count = JoinCount({"1.jpg": 0}, "name")
    >>> count.add(["cats/1.jpg", "cats/2.jpg"]), count.used
    (None, 1)
    """

    def __init__(self, rows: dict[str, int], key: str) -> None:
        self._rows = rows
        self._key = key
        self._joined: dict[int, str] = {}

    @property
    def used(self) -> int:
        """Returns how many rows join a record."""
        return len(self._joined)

    def add(self, record_ids: Iterable[str]) -> None:
        """Adds the ids of records.

        Raises:
            UserError: if two records of different ids join the same row.
        """
        for record_id in record_ids:
            row = self._rows.get(key_of(record_id, self._key))
            if row is None:
                continue
            other = self._joined.setdefault(row, record_id)
            if other != record_id:
                raise UserError(
                    f"--truth_key {self._key}: the records {shortened(other)} and {shortened(record_id)} have the same "
                    f"{same_words(self._key)}, so one row of truth would join both; give truth with ids that "
                    "tell them apart."
                )


def joining_key(key: str, truth_ids: Sequence[str], record_ids: Callable[[], Iterable[str]]) -> str | None:
    """Returns what would join some row to a record, other than `key` itself; None if nothing would.

    Of several it is the one that compares the most. None counts by which two rows of truth would be one.

    >>> joining_key("id", ["1.jpg"], lambda: ["cats/1.jpg"])
    'name'
    >>> joining_key("id", ["full/p1/1.jpg", "full/p2/1.jpg"], lambda: ["small/p2/1.jpg"])
    'last:2'
    """
    parts = max((len(SEPARATOR.split(truth_id)) for truth_id in truth_ids), default=1)
    last = [f"last:{number}" for number in range(parts, 1, -1)]
    for other in (TRUTH_KEYS[0], *last, *TRUTH_KEYS[1:]):
        keys = {key_of(truth_id, other) for truth_id in truth_ids}
        if other == key or len(keys) < len(truth_ids):
            continue
        if any(key_of(record_id, other) in keys for record_id in record_ids()):
            return other
    return None


def nothing_joins(
    origin: str, key: str, truth_ids: Sequence[str], record_ids: Callable[[], Iterable[str]]
) -> UserError | None:
    """Returns the error that no truth joins any record, with what would join them; None if there are no records.

    Args:
        origin: the tables of truth.
        key: what they were joined by.
        truth_ids: the ids in the tables.
        record_ids: returns the ids of records, as often as it is called.
    """
    first = next(iter(record_ids()), None)
    if first is None:
        return None
    if not truth_ids:
        return UserError(f"{origin}: there is no row of truth; give a table with one row per record.")
    other = joining_key(key, truth_ids, record_ids)
    fix = f"give --truth_key {other}" if other else "name the column with the ids of the records with --id_column"
    joined_by = "id" if key == ID else f"--truth_key {key}"
    return UserError(
        f"{origin}: no row joins a record by {joined_by}: the truth is of {shortened(truth_ids[0])}, the first record "
        f"is {shortened(first)}; {fix}."
    )
