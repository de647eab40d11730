"""Splits the names of a tar's members into a record's key and a field, and finds keys that are no single record's."""

import hashlib
import re
from collections.abc import Callable, Iterable
from itertools import islice

from bulklabel.transforms.reading.records import Problem

SplitName = Callable[[str], tuple[str, str]]
"""Returns the key and the field (in lower case) of a member's name; both are empty if it belongs to no record."""

HEAD_MEMBERS = 256
"""How many members of a file decide how its names are split, at most."""

AT_FIRST_DOT = re.compile(r"^(?P<key>(?:.*/)?[^./][^./]*)\.(?P<field>[^/]+)$", re.DOTALL)
AT_LAST_DOT = re.compile(r"^(?P<key>(?:.*/)?[^./][^/]*)\.(?P<field>[^./]+)$", re.DOTALL)

ARCHIVE_KEY = re.compile(r"(^|/)__[^/]*__$")
"""Matches the keys of members that describe the whole archive, such as `__meta__`, and belong to no record."""


def split_at_first_dot(name: str) -> tuple[str, str]:
    """Splits by the convention: the key is the path up to the first dot of its last part, what follows is the field.

    >>> split_at_first_dot("v1.0/01.seg.PNG"), split_at_first_dot("__meta__.json"), split_at_first_dot("README")
    (('v1.0/01', 'seg.png'), ('', ''), ('', ''))
    """
    return _key_and_field(AT_FIRST_DOT, name)


def split_at_last_dot(name: str) -> tuple[str, str]:
    """Splits at the last dot instead: the field is what other programs call the extension.

    >>> split_at_last_dot("2023.01.05.img1.JPG")
    ('2023.01.05.img1', 'jpg')
    """
    return _key_and_field(AT_LAST_DOT, name)


def _key_and_field(pattern: re.Pattern[str], name: str) -> tuple[str, str]:
    match = pattern.match(name)
    if not match or ARCHIVE_KEY.search(match["key"]):
        return "", ""
    return match["key"], match["field"].lower()


def choose_split(names: Iterable[str], fields: set[str], image_fields: set[str]) -> SplitName:
    """Returns how the names of a file are split, which its first members decide.

    The convention holds unless it would give no record an image, and the names show that their dots part no fields:
    each image has a name of its own after the first dot, and beside them stands no field of the convention's key. For
    `01.left.jpg`, `01.right.jpg`, `02.left.jpg`, … it holds therefore: which of the two is the image the user must say,
    and records that were made of both would be other records.

    Args:
        names: the names of the file's members, of which no more are taken than are needed.
        fields: the fields that are read. If one of them has a dot, the names were made by the convention.
        image_fields: those of them that hold images.

    >>> names = ["2023.01.05.img1.jpg", "2023.01.05.img1.json", "2023.01.05.img2.jpg"]
    >>> choose_split(names, {"jpg", "json"}, {"jpg"}).__name__
    'split_at_last_dot'
    >>> choose_split(["01.jpg", "01.seg.jpg"], {"jpg", "json"}, {"jpg"}).__name__
    'split_at_first_dot'
    """
    if any("." in field for field in fields):
        return split_at_first_dot
    images: list[str] = []
    keys_of_images: set[str] = set()
    keys_of_fields: set[str] = set()
    for key, field in map(split_at_first_dot, islice(names, HEAD_MEMBERS)):
        if field in image_fields:
            return split_at_first_dot
        if field in fields:
            keys_of_fields.add(key)
        elif field.rpartition(".")[2] in image_fields:
            images.append(field)
            keys_of_images.add(key)
    own_names = len(images) == len(set(images)) > 0
    return split_at_last_dot if own_names and not keys_of_images & keys_of_fields else split_at_first_dot


class SeenKeys:
    """Holds hashes of the keys of a shard's records, of which no two may be the same.

    >>> seen = SeenKeys()
    >>> [problem and problem.reason for problem in map(seen.add, ["01", "02", "01", "02.seg"])]
    [None, None, 'scattered_members', 'ambiguous_names']
    """

    def __init__(self) -> None:
        self._hashes: set[bytes] = set()

    def add(self, key: str) -> Problem | None:
        """Adds the key of the next record, and returns what is wrong with a record of this key.

        One that comes back is half of a record, or one that would be counted twice. Where names are split at the last
        dot, `02.seg` beside `02` may be a field of that record.
        """
        dotted = AT_FIRST_DOT.match(key)
        beside = dotted["key"] if dotted else f"{key}."
        problem = None
        if self._has(key):
            problem = Problem(
                "scattered_members",
                f"members of {key!r} stand apart in the archive, or two records have this key; "
                "write it again with tar --sort=name, so that a record's members follow each other",
            )
        elif self._has(beside):
            detail = f"{key!r} and another name that starts so may be one record or two; rename one of them"
            problem = Problem("ambiguous_names", detail)
        self._hashes |= {_hash(key), _hash(f"{beside}.")} if dotted else {_hash(key)}
        return problem

    def _has(self, key: str) -> bool:
        return _hash(key) in self._hashes


def _hash(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
