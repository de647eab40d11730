"""Says how tables of another system's predictions are read; kept by the manifest of an evaluation."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bulklabel.model.labels.label_rule import NO_TRUTH, LabelRule
from bulklabel.model.tuples import as_tuples
from bulklabel.transforms.predictions import PROBABILITIES


@dataclass(frozen=True)
class PredictionSpec:
    """Says which columns of a table hold ids, probabilities and truth.

    Attributes:
        labels: in the order of the probabilities.
        columns: a column for each label, in their order; or the one column that has all of a record's numbers.
        by_label: whether there is a column for each label.
        named: whether the numbers in the one column have the names of their labels with them.
        id_column: the column of ids; None if records have none but their file and position.
        outputs: one of `OUTPUTS`.
        rule: how the truth beside them is read.
        other_columns: those that can be carried along.
    """

    labels: tuple[str, ...]
    columns: tuple[str, ...]
    by_label: bool
    named: bool = False
    id_column: str | None = None
    outputs: str = PROBABILITIES
    rule: LabelRule = NO_TRUTH
    other_columns: tuple[str, ...] = ()

    @property
    def content(self) -> dict[str, Any]:
        """Returns what a manifest keeps of it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "PredictionSpec":
        """Returns what `content` was made of, after JSON made lists of its tuples.

        >>> import json
        >>> spec = PredictionSpec(("cat",), ("prob_cat",), by_label=True)
        >>> PredictionSpec.from_json(json.loads(json.dumps(spec.content))) == spec
        True
        """
        fields = {name: as_tuples(value) for name, value in content.items() if name != "rule"}
        return cls(**fields, rule=LabelRule.from_json(content["rule"]))
