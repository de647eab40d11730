"""Looks at what a rule for labels makes of the first records: an example, the labels seen, and what looks wrong."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bulklabel.model.errors import RecordError, UserError
from bulklabel.model.labels import COLUMNS, FILE_INDICES, INDICES, MULTI_HOT, NAMES
from bulklabel.model.labels.label_rule import (
    LIST_TEXT,
    ONE_LABEL,
    LabelRule,
    TruthReader,
    compose,
)

MAX_VALUE_TEXT = 200
"""An example's value is shown by so many characters."""

MAX_LINE_TEXT = 60
"""An example's value and id stand in a line by so many characters each."""

NO_LABEL_KEYS = ("nofinding", "nofindings", "nolabel", "none", "nothing")
"""Names that say that no label is present, as `_key` has them."""

MAX_LISTED = 3
"""So many names of labels stand in a message."""


@dataclass(frozen=True)
class SampledRecord:
    """Holds what one of the first records has in the fields that may hold labels.

    `class_names` are the names that its file gives to the numbers in a field.
    """

    id: str
    fields: Mapping[str, Any]
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """Holds the rule that was chosen, why, and what it makes of the first records.

    Attributes:
        rule: how labels are read.
        words: the rule as a phrase.
        example: the first record whose truth is known, with its `id`, `value`, `labels` and, if any, `unknown`.
        seen: the labels that are present in one of the records; where there is a model, only those that it knows.
        records: how many records were looked at.
        warnings: lines about what looks wrong.
        accepted: whether the user said how labels are written, so that unknown names alone are no error.
    """

    rule: LabelRule
    words: str
    example: Mapping[str, Any] | None = None
    seen: frozenset[str] = frozenset()
    records: int = 0
    warnings: tuple[str, ...] = ()
    accepted: bool = False


def examine_rule(
    rule: LabelRule,
    reason: str,
    records: Sequence[SampledRecord],
    label_names: tuple[str, ...] | None,
    source: str,
    accepted: bool,
) -> Choice:
    """Returns a rule with what it makes of the first records.

    Args:
        rule: how labels are read.
        reason: why there is no truth; empty where there is.
        records: the first records of the input.
        label_names: the model's labels in order; None if they are to be found in the data.
        source: where the records are, for messages.
        accepted: whether the user said how labels are written, so that unknown names alone are no error.

    Raises:
        UserError: if no label that is present is the model's, unless the user said how labels are written.
    """
    reader = TruthReader(rule, label_names)
    present: dict[str, None] = {}
    example = None
    for record in records:
        try:
            labels, unknown = reader.read(record.fields, record.class_names)
        except RecordError:
            continue  # it will be rejected, with this reason
        if labels is None:
            continue
        present |= dict.fromkeys(label for label in labels if label is not None)
        if example is None or (not example["labels"] and labels):
            example = _example(record, rule, labels, unknown)
    known = set(label_names or present)
    strange = [label for label in present if label not in known]
    if present and not known & present.keys() and not accepted:
        raise UserError(
            f"{source}: no label of the truth is the model's: it has {_listed(strange)} in {rule.field!r}, read "
            f"as {rule.form}, and the model {_listed(sorted(known))}{_near_misses(strange, known)}; name another field "
            f"with --labels_column, or accept this with --labels_as {rule.form}."
        )
    # Other unknown labels are counted, and named at the end; these probably mean something else than an unknown label.
    hint = _near_misses(strange, known) or _no_label_hint(strange)
    warnings = (f"labels in the truth that the model does not know: {_listed(strange)}{hint}",) if hint else ()
    seen = frozenset(present.keys() & known)
    words = _words(rule, label_names) if not reason else f"none: {reason}"
    return Choice(rule, words, example, seen, len(records), warnings, accepted)


def truth_content(choice: Choice, label_names: Sequence[str]) -> dict[str, Any]:
    """Returns what `plan.json` and `metrics.json` say of how labels were read.

    `labels_seen` counts the model's labels that are present in one of the `records` that were looked at.

    >>> rule = LabelRule(NAMES, "labels")
    >>> truth_content(Choice(rule, "names in 'labels'", None, frozenset({"cat"}), 8), ["cat", "dog"])["labels_seen"]
    1
    """
    rule = choice.rule
    return {
        "labels_as": rule.form,
        "words": choice.words,
        "field": rule.field,
        "example": None if choice.example is None else dict(choice.example),
        "records": choice.records,
        "labels_seen": len(choice.seen),
        "labels": len(label_names),
        "warnings": list(choice.warnings),
        "accepted": choice.accepted,
    }


def truth_line(content: Mapping[str, Any]) -> str:
    """Returns one line for the terminal of what `truth_content` says.

    >>> choice = Choice(LabelRule(NAMES, "labels"), "names in 'labels'", {"id": "a", "value": "['cat']",
    ...     "labels": ["cat"]}, frozenset({"cat"}), 8)
    >>> truth_line(truth_content(choice, ["cat", "dog"]))
    "truth: names in 'labels', such as ['cat'] of a; 1 of 2 labels in the first 8 records"
    """
    example = content["example"]
    if example is None:
        return f"truth: {content['words']}"
    such = f"such as {example['value'][:MAX_LINE_TEXT]} of {example['id'][:MAX_LINE_TEXT]}"
    seen = f"{content['labels_seen']:,} of {content['labels']:,} labels in the first {content['records']:,} records"
    return f"truth: {content['words']}, {such}; {seen}"


def _example(record: SampledRecord, rule: LabelRule, labels: Sequence[Any], unknown: Any) -> dict[str, Any]:
    """Returns a record as the choice shows it."""
    value = (
        {name: record.fields.get(name) for name in rule.columns} if rule.columns else record.fields[rule.field or ""]
    )
    text = value if isinstance(value, str) else str(value)
    content: dict[str, Any] = {"id": record.id, "value": text[:MAX_VALUE_TEXT], "labels": list(labels)}
    return content | ({"unknown": list(unknown)} if unknown else {})


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:40]) for name in names[:MAX_LISTED]) + ", …" * (len(names) > MAX_LISTED)


def _near_misses(strange: Iterable[str], known: Iterable[str]) -> str:
    """Returns a hint at labels that are the model's but for case, spaces and the like; empty if there are none."""
    by_key = {_key(name): name for name in known}
    pairs = [(name, by_key[_key(name)]) for name in strange if _key(name) in by_key]
    return f" (did you mean {pairs[0][1]!r} by {pairs[0][0]!r}?)" if pairs else ""


def _no_label_hint(strange: Iterable[str]) -> str:
    """Returns a hint at a name that usually says that a record has no label; empty if there is none."""
    name = next((name for name in strange if _key(name) in NO_LABEL_KEYS), None)
    return f" (give --no_label {name!r} if it says that there is none)" if name else ""


def _key(name: str) -> str:
    """Returns what is left of a name without case, spaces and punctuation."""
    return "".join(letter for letter in compose(name).casefold() if letter.isalnum())


def _words(rule: LabelRule, label_names: Sequence[str] | None) -> str:
    count = len(label_names or ())
    separated = {LIST_TEXT: ", written as lists", ONE_LABEL: ", one a text", "\t": ", separated by tabs"}
    return {
        NAMES: f"names in {rule.field!r}"
        + (separated.get(rule.separator, "") or f", separated by {rule.separator!r}" * (rule.separator != "|")),
        INDICES: f"numbers of the model's labels from {rule.offset} in {rule.field!r}",
        FILE_INDICES: f"the file's own class numbers in {rule.field!r}",
        MULTI_HOT: f"0/1 vectors of {count} labels in {rule.field!r}",
        COLUMNS: f"a field for each of {len(rule.columns)} of {count} labels",
    }[rule.form]
