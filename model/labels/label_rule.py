"""Says how a field of a record means labels, and reads from its values which are present and which are unknown."""

import ast
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bulklabel.model.errors import RecordError
from bulklabel.model.labels import COLUMNS, FILE_INDICES, LONG, MULTI_HOT, NAMES, NONE, POLICIES
from bulklabel.model.labels.truth import ABSENT, PRESENT, UNKNOWN
from bulklabel.model.tuples import as_tuples

LIST_TEXT = "[]"
"""The separator of texts that are lists as JSON or Python writes them."""

ONE_LABEL = ""
"""The separator of texts that are one label each."""

DEFAULT_SEPARATOR = "|"

TRUTH_OF = dict(zip(POLICIES, (PRESENT, ABSENT, UNKNOWN), strict=True))

MEANINGS: dict[Any, int] = {
    **dict.fromkeys((1, "1", "1.0", "true"), PRESENT),
    **dict.fromkeys((0, "0", "0.0", "false"), ABSENT),
    **dict.fromkeys((-1, "-1", "-1.0"), UNKNOWN),
}
"""What a label's cell may hold, text in lower case; to Python True, 1.0 and a decimal 1 are the same key as 1."""

NUMPY_ITEM = re.compile(r"""'[^']*'|"[^"]*"|[-+.\w]+""")
NUMPY_LIST = re.compile(rf"\[\s*(?:(?:{NUMPY_ITEM.pattern})\s*)*\]")
"""Match what numpy prints: items with spaces between them, in brackets."""

Labels = list[str | None] | None
"""A record's labels, which may be null one by one; None where nothing is known of them."""

Policy = tuple[tuple[str, str], ...]
"""Pairs of a label and one of `POLICIES`; the label is empty for all that have no pair of their own."""


@dataclass(frozen=True)
class LabelRule:
    """Says how a record's fields mean labels.

    Attributes:
        form: one of `FORMS`.
        field: the field that holds them; None for `columns`, `long` and `none`.
        unknown_field: the field with the labels that nobody knows, if there is one.
        separator: what stands between the labels in a text; `ONE_LABEL` and `LIST_TEXT` are special.
        offset: the number of the first label, for `indices`.
        columns: the fields that are named like labels, for `columns`.
        unseen: fields that would hold labels, but that none of the first records had, for `none`.
        uncertain: what -1 means, in `columns` and `multi_hot`.
        blank: what an empty cell means there.
        no_label: names which say that no label is present.
    """

    form: str = NONE
    field: str | None = None
    unknown_field: str | None = None
    separator: str = DEFAULT_SEPARATOR
    offset: int = 0
    columns: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    uncertain: Policy = ()
    blank: Policy = ()
    no_label: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """Returns the fields that are needed to read a record's labels."""
        no_label = self.no_label if self.form == COLUMNS else ()
        named = (self.field, self.unknown_field, *self.columns, *no_label, *self.unseen)
        return tuple(dict.fromkeys(name for name in named if name))

    @property
    def three_valued(self) -> bool:
        """Returns whether some labels of a record may be unknown while others are known."""
        return self.unknown_field is not None or self.form in (MULTI_HOT, COLUMNS, LONG)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "LabelRule":
        """Returns the rule that `dataclasses.asdict` made content of, after JSON made lists of its tuples.

        >>> rule = LabelRule(COLUMNS, columns=("cat",), blank=(("", "absent"),))
        >>> from dataclasses import asdict
        >>> LabelRule.from_json(json.loads(json.dumps(asdict(rule)))) == rule
        True
        """
        return cls(**{name: as_tuples(value) for name, value in content.items()})


NO_TRUTH = LabelRule()
"""The rule of records without labels."""


@dataclass(frozen=True)
class TruthReader:
    """Reads the truth of records by a rule; `label_names` are the model's labels in order, None if there is no model.

    >>> reader = TruthReader(LabelRule(MULTI_HOT, "labels"), ("cat", "dog", "bird"))
    >>> reader.read({"labels": [0, 1, -1]})
    (['dog'], ['bird'])
    >>> TruthReader(LabelRule(NAMES, "labels", separator=","), None).read({"labels": "cat, dog"})
    (['cat', 'dog'], None)
    """

    rule: LabelRule
    label_names: tuple[str, ...] | None

    def read(
        self, fields: Mapping[str, Any], class_names: Mapping[str, Sequence[str]] | None = None
    ) -> tuple[Labels, Labels]:
        """Returns the labels that are present in a record, and those that are unknown.

        Args:
            fields: the record's values by name, as far as it has those of `rule.fields`.
            class_names: the names that the file gives to the numbers in a field.

        Returns:
            Two lists; the first is None if nothing is known, the second is None if nothing is unknown besides.

        Raises:
            RecordError: if a value is not what the rule expects.
        """
        rule = self.rule
        if rule.form == NONE:
            return self._read_unseen(fields), None
        if rule.form == LONG:
            return None, None  # the labels are in a table of their own, and joined later
        if rule.form == COLUMNS:
            return self._read_columns(fields)
        value = fields.get(rule.field or "")
        if rule.form == MULTI_HOT:
            return self._read_vector(value)
        names = (class_names or {}).get(rule.field or "")
        present = self._without_no_label(self._names(value, names))
        if rule.unknown_field is None:
            return present, None
        return self._without_conflict(present, self._names(fields.get(rule.unknown_field), names))

    def items(self, value: Any) -> list[Any] | None:
        """Returns the items of a value: a list's own, a text's by the rule's separator, or the value itself.

        >>> reader = TruthReader(LabelRule(NAMES, "labels", separator="[]"), None)
        >>> reader.items("['3', '7']"), reader.items(""), reader.items(["3"]), reader.items(7)
        (['3', '7'], None, ['3'], [7])
        """
        if isinstance(value, list | tuple):
            return [item.decode("utf-8", "backslashreplace") if isinstance(item, bytes) else item for item in value]
        if value is None or is_nan(value):
            return None
        if isinstance(value, bytes):
            value = value.decode("utf-8", "backslashreplace")
        if isinstance(value, str):
            nothing = value.strip().lower() == "nan" and self.known_name(value) not in self._spellings.values()
            return None if nothing else split_text(value, self.rule.separator)
        if isinstance(value, Mapping):
            raise RecordError("read", "bad_labels", f"the labels are {str(value)[:40]!r}; expected a list")
        return [value]

    def known_name(self, name: str) -> str:
        """Returns the model's spelling of a label; a name that the model does not know is returned composed (NFC).

        Spaces around a label that the model knows do not count.

        >>> TruthReader(LabelRule(), ("Caf\u00e9",)).known_name("Cafe\u0301") == "Caf\u00e9"
        True
        """
        if name in self._spellings:
            return self._spellings[name]
        composed = compose(name)
        return self._spellings.get(composed) or self._spellings.get(composed.strip(), composed)

    @cached_property
    def _spellings(self) -> dict[str, str]:
        names = self.label_names or ()
        return {compose(name).strip(): name for name in names} | {compose(name): name for name in names}

    @cached_property
    def _columns(self) -> dict[str, str]:
        """Returns the label of each field of `columns`."""
        return {name: self.known_name(name) for name in self.rule.columns}

    @cached_property
    def _policies(self) -> dict[int | None, dict[str, int]]:
        """Returns by -1 and None (a blank cell) what it means for each label; `""` is for all others."""
        pairs = {UNKNOWN: self.rule.uncertain, None: self.rule.blank}
        return {
            cell: {"": UNKNOWN} | {self.known_name(label): TRUTH_OF[policy] for label, policy in policy_pairs}
            for cell, policy_pairs in pairs.items()
        }

    def _names(self, value: Any, class_names: Sequence[str] | None) -> Labels:
        """Returns the labels in a value, by their names in the model's spelling."""
        items = self.items(value)
        if items is None:
            return None
        if self.rule.form == FILE_INDICES and items == [-1]:
            return None  # how data sets with numbered classes write a record without a label
        return list(dict.fromkeys(self._name(item, class_names) for item in items))

    def _name(self, item: Any, class_names: Sequence[str] | None) -> str | None:
        if item is None:
            return None
        if self.rule.form == NAMES:
            if not isinstance(item, str):
                fix = "say what numbers mean with --labels_as" if is_number(item) else "expected a name"
                raise RecordError("read", "bad_labels", f"the label {str(item)[:40]!r} is not text; {fix}")
            return self.known_name(item)
        number = whole_number(item)
        if number is None:
            raise RecordError("read", "bad_labels", f"the label {str(item)[:40]!r} is not a whole number")
        names = class_names if self.rule.form == FILE_INDICES else self.label_names
        if names is None:
            raise RecordError("read", "bad_labels", f"the file has no name for the label number {number}")
        index = number - (0 if self.rule.form == FILE_INDICES else self.rule.offset)
        if 0 <= index < len(names):
            return self.known_name(names[index])
        unknown_name = f"number {number}"  # not its digits, which may be another label's name
        if unknown_name in self._spellings:
            raise RecordError("read", "bad_labels", f"there is no label with the number {number}")
        return unknown_name

    def _read_vector(self, value: Any) -> tuple[Labels, Labels]:
        """Returns the labels at the ones of a vector of the model's length, and those at -1 and at nulls."""
        items, names = self.items(value), self.label_names or ()
        if items is None:
            return None, None
        if len(items) != len(names):
            detail = f"the labels are {len(items)} numbers; expected 0 or 1 for each of the model's {len(names)}"
            raise RecordError("read", "bad_labels", detail)
        return self._read_cells(zip(names, items, strict=True))

    def _read_columns(self, fields: Mapping[str, Any]) -> tuple[Labels, Labels]:
        """Returns the labels whose fields say that they are present, and those whose fields do not say it."""
        none = any(meaning(fields.get(name)) == PRESENT for name in self.rule.no_label)
        cells = {label: fields.get(name) for name, label in self._columns.items()}
        missing = [label for label in self.label_names or () if label not in cells]
        present, unknown = self._read_cells(cells.items(), none)
        if present is None or unknown is None:
            return present, unknown
        return present, [*unknown, *missing]

    def _read_cells(self, cells: Iterable[tuple[str, Any]], none: bool = False) -> tuple[Labels, Labels]:
        """Returns present and unknown labels of cells; blank ones are absent if the record says that it has `none`."""
        truth = {label: self._cell(label, value, none) for label, value in cells}
        if all(known == UNKNOWN for known in truth.values()):
            return None, None
        present: Labels = [label for label, known in truth.items() if known == PRESENT]
        return present, [label for label, known in truth.items() if known == UNKNOWN]

    def _cell(self, label: str, value: Any, none: bool) -> int:
        cell = meaning(value)
        if cell in (PRESENT, ABSENT):
            return int(cell)
        if cell is None and not is_blank(value):
            detail = f"{label!r} is {str(value)[:40]!r}; expected 1 (present), 0 (absent), -1 or nothing (unknown)"
            raise RecordError("read", "bad_labels", detail)
        if cell is None and none:
            return ABSENT
        policy = self._policies[cell]
        return policy.get(label, policy[""])

    def _without_no_label(self, present: Labels) -> Labels:
        """Returns the labels without those which say that there is none.

        Raises:
            RecordError: if one of them stands beside a label.
        """
        none = [name for name in present or () if name is not None and name in self.rule.no_label]
        if not none or present is None:
            return present
        if len(none) < len(present):
            other = next(name for name in present if name not in none)
            raise RecordError("read", "bad_labels", f"the record has {none[0]!r}, which says no label, and {other!r}")
        return [name for name in none if name in (self.label_names or ())]

    def _without_conflict(self, present: Labels, unknown: Labels) -> tuple[Labels, Labels]:
        both = next((label for label in present or () if label is not None and label in (unknown or ())), None)
        if both is not None:
            raise RecordError("read", "bad_labels", f"the label {both[:40]!r} is given as present and as unknown")
        return present, unknown

    def _read_unseen(self, fields: Mapping[str, Any]) -> Labels:
        """Returns the labels of a record where the first ones had none: lists of names alone can mean one thing only.

        Raises:
            RecordError: if the record has something else, since nobody said how to read it.
        """
        for name in self.rule.unseen:
            value = fields.get(name)
            if value is None or is_nan(value):
                continue
            if isinstance(value, list) and all(isinstance(item, str | None) for item in value):
                return [item and self.known_name(item) for item in value]
            detail = f"the record has labels in {name!r}, which the first records lack; give --labels_column {name}"
            raise RecordError("read", "bad_labels", detail)
        return None


def split_text(text: str, separator: str) -> list[Any] | None:
    """Returns the labels in a text, without spaces around them; None if it is blank.

    >>> split_text("cat| dog", "|"), split_text("|", "|"), split_text(" ", "|"), split_text("a, b", "")
    (['cat', 'dog'], [], None, ['a, b'])
    """
    text = text.strip(" \t\r\n\ufeff") if separator != "\t" else text.strip(" ")
    if not text:
        return None
    if separator == LIST_TEXT:
        items = list_in(text)
        return [text] if items is None else items
    if separator == ONE_LABEL:
        return [text]
    return [piece.strip() for piece in text.split(separator) if piece.strip()]


def list_in(text: str) -> list[Any] | None:
    """Returns the list that a text is in the notation of JSON, Python or numpy, None if it is none.

    >>> list_in('["cat", "dog"]'), list_in("['3', '7']"), list_in("[cat]")
    (['cat', 'dog'], ['3', '7'], None)
    >>> list_in("['cat' 'dog']"), list_in("[0 1 0]")
    (['cat', 'dog'], [0, 1, 0])
    """
    if not (text.startswith(("[", "(", "{")) and text.endswith(("]", ")", "}"))):
        return None
    # Without commas it is numpy's; Python would take neighbouring texts for one.
    if NUMPY_LIST.fullmatch(text):
        text = f"[{', '.join(NUMPY_ITEM.findall(text))}]"
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, list | tuple):
            return [item.decode("utf-8", "backslashreplace") if isinstance(item, bytes) else item for item in value]
        if isinstance(value, set | frozenset):
            return sorted(value, key=str)
    return None


def meaning(value: Any) -> int | None:
    """Returns present, absent or unknown (-1), None for a blank cell and for anything else.

    >>> meaning(" True "), meaning(0.0), meaning(-1), meaning(float("nan")), meaning("cat")
    (1, 0, -1, None, None)
    """
    if isinstance(value, str):
        value = value.strip().lower()
    try:
        return MEANINGS.get(value)
    except TypeError:  # a list
        return None


def is_blank(value: Any) -> bool:
    """Returns whether a cell is empty: null, NaN, which is how some tools write a missing number, or blank text."""
    return value is None or is_nan(value) or (isinstance(value, str) and value.strip().lower() in ("", "nan"))


def is_nan(value: Any) -> bool:
    """Returns whether a value is the float that is no number."""
    return isinstance(value, float) and math.isnan(value)


def is_number(value: Any) -> bool:
    """Returns whether a value is a number, be it a flag."""
    return isinstance(value, bool | int | float)


def whole_number(value: Any) -> int | None:
    """Returns the whole number that a value is, in whatever type or as text; None if it is none.

    >>> whole_number(3.0), whole_number("3"), whole_number(True), whole_number(0.5), whole_number("cat")
    (3, 3, None, None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str | bytes):
        try:
            return int(value)
        except ValueError:
            return None
    try:
        return int(value) if value == int(value) else None
    except (TypeError, ValueError, OverflowError):
        return None


def compose(name: str) -> str:
    """Returns a name with composed characters (Unicode's NFC), as most tools write them, but file systems may not."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)
