"""Reads tables with a row for each label of a record, such as those of Open Images."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bulklabel.model.errors import UserError
from bulklabel.model.labels import AUTO, LONG
from bulklabel.model.labels.choose_rule import LabelOptions
from bulklabel.model.labels.label_rule import TRUTH_OF, LabelRule, TruthReader, meaning
from bulklabel.model.labels.predictions import LABELS_COLUMN, UNKNOWN_COLUMN
from bulklabel.model.labels.truth import ABSENT, PRESENT, UNKNOWN
from bulklabel.transforms.reading.record_tables import id_of
from bulklabel.transforms.truth.table_rows import TableRows

MACHINE_NAME = re.compile(r"/[mtg]/\w+$")
"""Matches the names of Open Images' labels."""


def is_long(
    path: str,
    table: TableRows,
    first: Sequence[Mapping[str, Any]],
    id_column: str,
    label_column: str | None,
    options: LabelOptions,
) -> bool:
    """Returns whether a table has a row for each label of a record.

    Args:
        path: the table's, for messages.
        table: the table.
        first: its first rows.
        id_column: the column of ids.
        label_column: the column of labels, if there is one.
        options: what the user says of labels.

    Raises:
        UserError: if it has a column of confidence, or ids that repeat, and yet may be something else.
    """
    if options.labels_as not in (AUTO, LONG):
        return False
    if label_column is None:
        if options.labels_as == LONG:
            raise UserError(f"{path}: there is no column of labels; name it with --labels_column.")
        return False
    if options.labels_as == LONG:
        return True
    if not all(isinstance(row.get(label_column), str | None) for row in first):
        return False
    ids = [row.get(id_column) for row in first]
    repeated = len(set(map(str, ids))) < len(ids)
    confidence = _confidence(table)
    if confidence and (repeated or {"imageid", "labelname"} <= {name.casefold() for name in table.names}):
        return True
    if repeated or confidence:
        reason = "ids repeat" if repeated else f"there is a column {confidence!r}"
        raise UserError(
            f"{path}: {reason}; give --labels_as long if each row says one label of a record"
            + (", or --labels_as names if each says all." if not repeated else ", or one row per record.")
        )
    return False


def long_rows(
    path: str,
    table: TableRows,
    rows: Iterable[Mapping[str, Any]],
    id_column: str,
    label_column: str,
    labels: tuple[str, ...],
    options: LabelOptions,
) -> TableRows:
    """Returns a row for each record, with lists of labels: of those without a row, `--blank` says what they are.

    Without that they are unknown if there is a column of confidence, which says absent, too; else they are absent.

    Raises:
        UserError: if a confidence is neither 0 nor 1, rows contradict each other, or no label is the model's.
    """
    confidence = _confidence(table)
    reader = TruthReader(LabelRule(), labels)
    records: dict[str | None, dict[str, int]] = {}
    nothing: dict[str | None, dict[str, int]] = {}
    for number, row in enumerate(rows, 1):
        cells = records.setdefault(id_of(row.get(id_column)), {})
        name, known = row.get(label_column), meaning(row.get(confidence)) if confidence else PRESENT
        if known not in (PRESENT, ABSENT):
            shown = str(row.get(confidence or "") or "")[:40]
            raise UserError(
                f"{path}, row {number}: {confidence!r} is {shown!r}; expected 1 (present) or 0 (absent): leave out "
                "rows that nobody verified."
            )
        if name in options.no_label and known == PRESENT:
            nothing[id_of(row.get(id_column))] = cells
        if name is None or name == "" or name in options.no_label:
            continue
        if not isinstance(name, str):
            raise UserError(f"{path}, row {number}: the label {str(name)[:40]!r} is not text; give the labels' names.")
        if cells.setdefault(reader.known_name(name.strip()), known) != known:
            raise UserError(
                f"{path}, row {number}: another row says the opposite of {id_of(row.get(id_column))!r} and {name!r}."
            )
    check_known(path, {name for cells in records.values() for name in cells}, labels)
    for record_id, cells in nothing.items():
        if PRESENT in cells.values():
            raise UserError(f"{path}: rows of {record_id!r} say that it has no label, and that it has one.")
        cells |= dict.fromkeys(labels, ABSENT)
    policies = dict.fromkeys(labels, UNKNOWN if confidence else ABSENT)
    policies |= {label: TRUTH_OF[policy] for name, policy in options.blank for label in ([name] if name else labels)}
    words = "a row for each label of a record"
    return TableRows(
        [id_column, LABELS_COLUMN, UNKNOWN_COLUMN],
        _lists(records, id_column, policies),
        id_column=id_column,
        kind=words,
    )


def _lists(
    records: Mapping[str | None, Mapping[str, int]], id_column: str, policies: Mapping[str, int]
) -> Iterator[Mapping[str, Any]]:
    for record_id, cells in records.items():
        truth = {**policies, **cells}
        lists = [[label for label, known in truth.items() if known == value] for value in (PRESENT, UNKNOWN)]
        yield {id_column: record_id, LABELS_COLUMN: lists[0], UNKNOWN_COLUMN: lists[1]}


def _confidence(table: TableRows) -> str | None:
    return next((name for name in table.names if name.casefold() == "confidence"), None)


def check_known(path: str, names: Collection[str], labels: Sequence[str]) -> None:
    """Checks that some names are those of labels.

    Raises:
        UserError: if none is.
    """
    if not names or set(names) & set(labels):
        return
    first = min(names)
    fix = "name the labels as the model does"
    if MACHINE_NAME.match(first):
        fix = "replace these machine names by those of Open Images' class-descriptions.csv"
    raise UserError(
        f"{path}: no label of the truth is the model's: it has {first[:40]!r}, and the model {labels[0][:40]!r}; {fix}."
    )
