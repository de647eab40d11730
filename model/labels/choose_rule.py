"""Chooses how a field means labels, from the first records: what can be told apart is, and what cannot is asked for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from bulklabel.model.errors import RecordError, UserError
from bulklabel.model.labels import AUTO, COLUMNS, FILE_INDICES, INDICES, LONG, MULTI_HOT, NAMES, NONE
from bulklabel.model.labels.examine_rule import Choice, SampledRecord, examine_rule
from bulklabel.model.labels.label_rule import (
    DEFAULT_SEPARATOR,
    LIST_TEXT,
    ONE_LABEL,
    LabelRule,
    Policy,
    TruthReader,
    compose,
    is_nan,
    list_in,
    split_text,
    whole_number,
)

SEPARATORS = (DEFAULT_SEPARATOR, ",", ";", "\t", "\n", " ")
"""What may stand between labels in a text. The first is that of Hugging Face's ImageFolder, and of NIH's tables."""

SURE_SEPARATORS = (DEFAULT_SEPARATOR, "\t", "\n")
"""Those that hardly stand in a label's name, so that they separate even if no label is known."""

FEWEST_TELLING_LABELS = 3
"""With fewer, a short list of zeros and ones may be numbers of labels as well as a vector."""

MOST = 0.9
"""So many of the values must be 0/1 vectors for all to be taken for them; records with others are rejected."""

HALF = 0.5
"""So many of the pieces of texts must be labels of the model for what separates them to be plain."""

CAPTION_FIELDS = ("txt", "text", "caption")
"""Fields that hold labels in some data sets, and a sentence about the image in others."""


@dataclass(frozen=True)
class LabelOptions:
    """Holds what the user says of labels: how they are written, and in which field.

    `labels_as` is one of `FORMS` or `AUTO`; `separator` and `offset` are None unless given; `field` and
    `unknown_field` are those of present and of unknown labels; the others are as in `LabelRule`.
    """

    labels_as: str = AUTO
    field: str | None = None
    unknown_field: str | None = None
    separator: str | None = None
    offset: int | None = None
    uncertain: Policy = ()
    blank: Policy = ()
    no_label: tuple[str, ...] = ()


AS_FOUND = LabelOptions()
"""What holds if the user says nothing of labels."""


def choose_rule(
    records: Sequence[SampledRecord],
    candidates: Sequence[str],
    label_names: tuple[str, ...] | None,
    options: LabelOptions,
    source: str,
) -> Choice:
    """Returns the rule by which the labels of some records are read.

    Args:
        records: the first records of the input.
        candidates: the fields in which the format has labels, the first that a record has being the one.
        label_names: the model's labels in order; None if they are to be found in the data.
        options: what the user says of it.
        source: where the records are, for messages.

    Raises:
        UserError: if the values could mean several things, cannot be labels, or name no label of the model.

    >>> records = [SampledRecord("a", {"labels": [0, 1, 0]}), SampledRecord("b", {"labels": [1, 0, 0]})]
    >>> choice = choose_rule(records, ["labels"], ("cat", "dog", "bird"), LabelOptions(), "a.parquet")
    >>> choice.rule.form, choice.words, choice.example
    ('multi_hot', "0/1 vectors of 3 labels in 'labels'", {'id': 'a', 'value': '[0, 1, 0]', 'labels': ['dog']})
    """
    rule, reason = _Chooser(records, candidates, label_names, options, source).choose()
    return examine_rule(rule, reason, records, label_names, source, accepted=options.labels_as != AUTO)


@dataclass(frozen=True)
class ItemList:
    """Holds the items in a record's field of labels."""

    record: SampledRecord
    items: Sequence[Any]


@dataclass(frozen=True)
class _Chooser:
    """Looks at the values of some records; its methods return a rule, or raise a question as `UserError`."""

    records: Sequence[SampledRecord]
    candidates: Sequence[str]
    label_names: tuple[str, ...] | None
    options: LabelOptions
    source: str

    @cached_property
    def known(self) -> set[str]:
        """Returns the model's labels, composed."""
        return {compose(name) for name in self.label_names or ()}

    @property
    def base(self) -> LabelRule:
        """Returns a rule with what the user says, whatever the notation."""
        return LabelRule(
            uncertain=self.options.uncertain,
            blank=self.options.blank,
            no_label=self.options.no_label,
            unknown_field=self.options.unknown_field,
            offset=self.options.offset or 0,
        )

    def choose(self) -> tuple[LabelRule, str]:
        """Returns the rule, and a reason where it is that there is no truth."""
        labels_as = self.options.labels_as
        if labels_as == NONE:
            return replace(self.base, form=NONE, unknown_field=None), "--labels_as none"
        if labels_as == COLUMNS:
            return self._columns(), ""
        if labels_as == LONG:
            raise UserError(f"{self.source}: --labels_as long is for a table of --truth; a record has all its labels.")
        name = self.options.field or self._first_filled(self.candidates)
        if name is None and labels_as == AUTO and self._label_columns():
            return self._columns(), ""
        if name is None:
            return self._without_field()
        return self._of_field(name)

    def _of_field(self, name: str) -> tuple[LabelRule, str]:
        labels_as = self.options.labels_as
        values = [(record, record.fields[name]) for record in self.records if not _is_empty(record.fields.get(name))]
        separator = self._separator(name, [value for _, value in values])
        rule = replace(self.base, form=NAMES, field=name, separator=separator)
        if labels_as != AUTO:
            self._check_names_are_there(labels_as, name)
            return replace(rule, form=labels_as), ""
        if not values:
            return rule, ""
        return self._by_kind(rule, _item_lists(TruthReader(rule, self.label_names), values))

    def _by_kind(self, rule: LabelRule, lists: Sequence[ItemList]) -> tuple[LabelRule, str]:
        """Returns the rule for the kind that most values are of; records of another kind will be rejected."""
        name = rule.field or ""
        filled = [each for each in lists if each.items]
        named = [each for each in filled if all(isinstance(item, str | None) for item in each.items)]
        texts = [item for each in named for item in each.items if item is not None]
        as_text = all(isinstance(each.record.fields[name], str | bytes) for each in named)
        if len(named) * 2 >= len(filled) and lists and not (as_text and self._are_digits(texts)):
            return self._named_in_text(rule, texts)
        numbered = [each for each in filled if all(_is_numeric(item) for item in each.items)]
        if not numbered:
            raise UserError(
                f"{self.source}: {name!r} holds no labels, but values {self._such(rule)}; "
                "name another field with --labels_column, or give --labels_as none."
            )
        if any(name in record.class_names for record in self.records):
            return replace(rule, form=FILE_INDICES), ""
        return self._numbered(rule, numbered, any(not each.items for each in lists)), ""

    def _named_in_text(self, rule: LabelRule, names: Sequence[str]) -> tuple[LabelRule, str]:
        """Returns the rule for names, unless they are a caption of which no word is a label."""
        name = rule.field or ""
        if not names or name not in CAPTION_FIELDS or name == self.options.field:
            return rule, ""
        if self.label_names is None:
            raise UserError(
                f"{self.source}: {name!r} may hold labels or a caption, such as {names[0][:40]!r}; "
                f"give --labels_column {name} if it holds labels, or --labels_as none."
            )
        known = sum(compose(text) in self.known for text in names)
        if known * 2 >= len(names):
            return rule, ""
        if known:
            raise UserError(
                f"{self.source}: {name!r} holds labels of the model and other text, such as {names[0][:40]!r}; "
                f"give --labels_column {name} if it holds labels, or --labels_as none."
            )
        none = replace(self.base, form=NONE, unknown_field=None)
        return none, f"{name!r} holds no label of the model, so is taken for captions"

    def _numbered(self, rule: LabelRule, lists: Sequence[ItemList], some_are_empty: bool) -> LabelRule:
        """Returns the rule for values that are numbers: a vector, or numbers of labels."""
        name, such = rule.field or "", self._such(rule)
        if self.label_names is None:
            raise UserError(
                f"{self.source}: the labels in {name!r} are numbers, {such}; give --label_file with their names, "
                "one per line."
            )
        count = len(self.label_names)
        vectors = sum(len(each.items) == count and all(map(_is_cell, each.items)) for each in lists)
        numbers = [whole_number(item) for each in lists for item in each.items if item is not None]
        indices = all(number is not None for number in numbers)
        in_range = all(number is not None and 0 <= number - rule.offset < count for number in numbers)
        is_vector = vectors >= MOST * len(lists) and not (some_are_empty and in_range and count < FEWEST_TELLING_LABELS)
        if is_vector and in_range and count < FEWEST_TELLING_LABELS:
            raise UserError(
                f"{self.source}: the numbers in {name!r}, {such}, may be label numbers or a 0/1 vector; "
                "say which with --labels_as indices or --labels_as multi_hot."
            )
        if is_vector:
            return replace(rule, form=MULTI_HOT)
        other = _vector_length(lists) if count >= FEWEST_TELLING_LABELS else 0
        if other:
            raise UserError(
                f"{self.source}: {name!r} has 0/1 vectors of {other} labels, {such}, and the model {count}; give the "
                "labels that they stand for in another field, or accept them as numbers with --labels_as indices."
            )
        if in_range:
            return replace(rule, form=INDICES)
        known = {number for number in numbers if number is not None} if indices else None
        raise UserError(f"{self.source}: {self._wrong_numbers(name, such, known, rule.offset)}")

    def _such(self, rule: LabelRule) -> str:
        """Returns an example of a field's values, for messages."""
        name = rule.field or ""
        record = next(record for record in self.records if record.fields.get(name) not in ([], None))
        return f"such as {str(record.fields[name])[:40]} of {record.id[:40]!r}"

    def _wrong_numbers(self, name: str, such: str, numbers: set[int] | None, offset: int) -> str:
        count = len(self.label_names or ())
        if numbers is None:
            return (
                f"the values in {name!r}, {such}, are neither labels nor 0 or 1 for each of {count} labels; "
                "name another field with --labels_column, or give --labels_as none."
            )
        first, last = min(numbers), max(numbers)
        if offset == 0 and first == 1 and last == count:
            fix = "if they count from 1 give --label_offset 1, or accept this with --labels_as indices"
        else:
            fix = "give --label_offset with the number of the first label, or accept this with --labels_as indices"
        return (
            f"the label numbers in {name!r} are {first!s:.20} to {last!s:.20}, {such}, and those of the model "
            f"{offset} to {offset + count - 1}; {fix}."
        )

    def _columns(self) -> LabelRule:
        """Returns the rule for a field a label.

        Raises:
            UserError: if there is no such field, or one has a value that is no truth.
        """
        if self.label_names is None:
            raise UserError("--labels_as columns needs to know the labels; give --label_file with one label per line.")
        columns = self._label_columns()
        if not columns:
            raise UserError(
                f"{self.source}: no field is named like a label of the model, such as {self.label_names[0]!r}; "
                "rename them, or give another --labels_as."
            )
        rule = replace(self.base, form=COLUMNS, columns=columns, unknown_field=None)
        reader = TruthReader(rule, self.label_names)
        for record in self.records:
            try:
                reader.read(record.fields)
            except RecordError as error:
                raise UserError(
                    f"{self.source}, record {record.id!r}: {error.detail}; or give --labels_as none."
                ) from error
        return rule

    def _label_columns(self) -> tuple[str, ...]:
        """Returns the fields that are named like labels of the model, in the model's order."""
        fields = {compose(name): name for record in self.records for name in record.fields}
        return tuple(fields[compose(name)] for name in self.label_names or () if compose(name) in fields)

    def _first_filled(self, names: Iterable[str]) -> str | None:
        """Returns the first of some fields in which a record has a label; else the first with an empty list."""
        filled = [name for name in names if any(not _is_empty(record.fields.get(name)) for record in self.records)]
        with_labels = (
            name for name in filled if any(record.fields.get(name) not in ([], None) for record in self.records)
        )
        return next(with_labels, filled[0] if filled else None)

    def _without_field(self) -> tuple[LabelRule, str]:
        """Returns that there is no truth; or, where a form was asked for, that its field is missing."""
        looked = " or ".join(map(repr, self.candidates))
        if self.options.labels_as != AUTO:
            raise UserError(
                f"--labels_as {self.options.labels_as}: none of the first {len(self.records):,} records of "
                f"{self.source} has labels in {looked}; name their field with --labels_column."
            )
        rule = replace(self.base, form=NONE, unseen=tuple(self.candidates), unknown_field=None)
        return rule, f"the first {len(self.records):,} records have no {looked}"

    def _check_names_are_there(self, labels_as: str, name: str) -> None:
        if (
            labels_as == FILE_INDICES
            and self.records
            and not any(name in record.class_names for record in self.records)
        ):
            raise UserError(
                f"--labels_as file_indices: {self.source} has no names for the numbers in {name!r}; "
                "give --labels_as indices if they are in the model's order."
            )
        if labels_as in (INDICES, MULTI_HOT) and self.label_names is None:
            raise UserError(
                f"--labels_as {labels_as} needs to know the labels; give --label_file with one label per line."
            )

    def _separator(self, name: str, values: Sequence[Any]) -> str:
        """Returns what stands between labels in the texts among some values.

        Raises:
            UserError: if it cannot be told.
        """
        if self.options.separator is not None:
            return self.options.separator
        texts = [text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text for text in values]
        texts = [text.strip() for text in texts if isinstance(text, str)]
        if texts and any(isinstance(value, list) and len(value) > 1 for value in values):
            return ONE_LABEL  # where a field has several values, each is a label
        if texts and all(list_in(text) is not None for text in texts):
            return LIST_TEXT
        known = {separator: self._known_pieces(texts, separator) for separator in (ONE_LABEL, *SEPARATORS)}
        # What stands in a label's own name separates labels only where it leaves nothing unknown.
        in_names = [each for each in SEPARATORS if any(each in label for label in self.known)]
        known = {each: share for each, share in known.items() if each not in in_names or share[0] == 1}
        best = max(known.values())
        if best[0] < HALF:  # a few words of a sentence may be labels by chance
            return ONE_LABEL if name in CAPTION_FIELDS else self._unknown_separator(name, texts)
        fitting = [separator for separator, pieces in known.items() if pieces == best]
        # Where a label alone is in each text, the usual separator is as good, and serves a later text with two.
        return DEFAULT_SEPARATOR if DEFAULT_SEPARATOR in fitting else fitting[0]

    def _known_pieces(self, texts: Sequence[str], separator: str) -> tuple[float, int]:
        """Returns the share of pieces that are labels of the model, and their number."""
        pieces = [compose(str(piece)) for text in texts for piece in split_text(text, separator) or ()]
        known = sum(piece in self.known for piece in pieces)
        return known / max(1, len(pieces)), known

    def _unknown_separator(self, name: str, texts: Sequence[str]) -> str:
        """Returns the separator of texts in which no label is known, be it that there is no model yet."""
        sure = next((each for each in SURE_SEPARATORS if any(each in text for text in texts)), None)
        if sure is not None:
            return sure
        unsure = next((text for text in texts if any(each in text for each in ",;")), None)
        if unsure is not None and self.options.labels_as in (AUTO, NAMES) and not self.known:
            separator = "," if "," in unsure else ";"
            raise UserError(
                f"{self.source}: {unsure[:40]!r} in {name!r} may be one label or several; "
                f"give --label_separator '{separator}', or --label_separator '' if each text is one label."
            )
        if unsure is not None:
            return "," if "," in unsure else ";"
        digits = any(" " in text for text in texts) and self._are_digits(
            [piece for text in texts for piece in text.split()]
        )
        return " " if digits else DEFAULT_SEPARATOR

    def _are_digits(self, texts: Sequence[Any]) -> bool:
        """Returns whether texts are numbers and none of them is the name of a label."""
        numbers = bool(texts) and all(whole_number(text) is not None for text in texts)
        return numbers and self.label_names is not None and not any(compose(str(text)) in self.known for text in texts)


def _item_lists(reader: TruthReader, values: Sequence[tuple[SampledRecord, Any]]) -> list[ItemList]:
    """Returns the items of each value; a value that cannot hold labels is its own single item."""
    lists = []
    for record, value in values:
        try:
            lists.append(ItemList(record, reader.items(value) or []))
        except RecordError:
            lists.append(ItemList(record, [value]))
    return lists


def _vector_length(lists: Sequence[ItemList]) -> int:
    """Returns the length of lists that all seem to be 0/1 vectors of one length; 0 if they do not."""
    lengths = {len(each.items) for each in lists}
    cells = all(_is_cell(item) for each in lists for item in each.items)
    return lengths.pop() if cells and len(lengths) == 1 and min(lengths) >= FEWEST_TELLING_LABELS else 0


def _is_numeric(item: Any) -> bool:
    return item is None or isinstance(item, bool) or is_nan(item) or whole_number(item) is not None


def _is_cell(item: Any) -> bool:
    """Returns whether a value may stand in a 0/1 vector, in which -1 and nulls are unknown."""
    return item is None or is_nan(item) or isinstance(item, bool) or whole_number(item) in (-1, 0, 1)


def _is_empty(value: Any) -> bool:
    return value is None or is_nan(value) or (isinstance(value, str) and not value.strip())
