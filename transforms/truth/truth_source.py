"""Names the files that truth is from instead of the records, for a plan; and joins it to records as they are read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bulklabel.model.errors import SourceChangedError
from bulklabel.model.labels import LONG
from bulklabel.model.labels.choose_rule import AS_FOUND, LabelOptions
from bulklabel.model.labels.label_rule import NO_TRUTH, LabelRule
from bulklabel.model.labels.predictions import UNKNOWN_COLUMN
from bulklabel.model.tuples import as_tuples
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File, changed_words
from bulklabel.transforms.files.planned_files import with_hashes
from bulklabel.transforms.reading.records import Columns, RecordTable, Unreadable
from bulklabel.transforms.truth.keys import JoinCount, joining_key, nothing_joins
from bulklabel.transforms.truth.truth_table import TruthTable, list_truth, load_truth


@dataclass(frozen=True)
class TruthSource:
    """Names files of truth with hashes of their bytes, and says how they are read and joined.

    `key` is one of `TRUTH_KEYS`; `columns` names the columns of ids, labels and unknown labels, None where the table
    tells; `options` are what the user says of labels.
    """

    files: tuple[File, ...]
    key: str
    columns: tuple[str | None, str | None, str | None] = (None, None, None)
    options: LabelOptions = AS_FOUND

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TruthSource":
        """Returns what `content` was made of, after JSON made lists of its tuples.

        >>> import json
        >>> source = TruthSource((File("a.csv", 7, "blake2b:00"),), "id", options=LabelOptions(blank=(("", "absent"),)))
        >>> TruthSource.from_json(json.loads(json.dumps(source.content))) == source
        True
        """
        options = {name: as_tuples(value) for name, value in content["options"].items()}
        listed = tuple(File(*row) for row in content["files"])
        return cls(listed, content["key"], as_tuples(content["columns"]), LabelOptions(**options))

    @property
    def content(self) -> dict[str, Any]:
        """Returns what a plan saves of it."""
        return asdict(self) | {"files": [file.row for file in self.files]}

    def changed_file(self) -> str | None:
        """Returns the path of a file that is not what it was when it was named, or is gone; None if there is none."""
        changed = (file.path for file in self.files if with_hashes(files.list_file(file.path)) != (file,))
        return next(changed, None)

    def load(self, labels: tuple[str, ...], id_may_lack: bool = True) -> TruthTable:
        """Loads the truth of a model's labels.

        Args:
            labels: the model's, in order.
            id_may_lack: as `load_truth` takes it.

        Raises:
            SourceChangedError: if a file is not what it was when the plan was made.
            UserError: as `load_truth` does.
        """
        changed = self.changed_file()
        if changed is not None:
            raise SourceChangedError(changed_words(changed))
        named = Columns(id=self.columns[0], labels=self.columns[1], unknown=self.columns[2])
        return load_truth([file.path for file in self.files], named, labels, self.options, self.key, id_may_lack)


def find_truth(paths: Sequence[str], columns: Columns, options: LabelOptions, key: str) -> TruthSource | None:
    """Returns what `--truth` names; None if it names nothing."""
    if not paths:
        return None
    return TruthSource(with_hashes(list_truth(paths)), key, (columns.id, columns.labels, columns.unknown), options)


def rule_of(truth: TruthTable) -> LabelRule:
    """Returns the rule by which records are read whose truth is in a table: their own labels do not count."""
    return LabelRule(LONG) if UNKNOWN_COLUMN in truth.table.column_names else NO_TRUTH


def with_truth(
    tables: Iterator[RecordTable | Unreadable], truth: TruthTable | None
) -> Iterator[RecordTable | Unreadable]:
    """Yields records with the truth of a table for their own, which is unknown for records that it lacks.

    Without a table they are yielded as they are.
    """
    for table in tables:
        if truth is None or isinstance(table, Unreadable):
            yield table
            continue
        rows = table.rows
        for name, column in truth.columns_for(rows.column("id").to_pylist()).items():
            index = rows.schema.get_field_index(name)
            rows = rows.set_column(index, rows.schema.field(index), column.cast(rows.schema.field(index).type))
        yield replace(table, rows=rows)


def check_sample_joins(truth: TruthTable, record_ids: Sequence[str]) -> None:
    """Checks that truth joins one of the first records, unless no other key would join them either.

    Raises:
        UserError: if it joins none, though it would by another key; or one row is the truth of several records.
    """
    count = JoinCount(truth.rows, truth.key)
    count.add(record_ids)
    if count.used or (truth.ids and joining_key(truth.key, truth.ids, lambda: record_ids) is None):
        return
    error = nothing_joins(truth.origin, truth.key, truth.ids, lambda: record_ids)
    if error is not None:
        raise error
