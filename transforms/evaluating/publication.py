"""Collects what the published files say besides what was counted: where the run came from, and what is required."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bulklabel.model.metrics import Goal
from bulklabel.model.metrics.requirements import Gates
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.run_directory.plan import ReusedRecords, reused_content
from bulklabel.transforms.run_directory.success import REQUESTED


@dataclass(frozen=True)
class Publication:
    """Holds what the published files say besides what was counted.

    `output` is absolute; `thresholds`, 0…1, are those of the `labels`; `provenance` is shown in the report and in the
    manifest; `goal` is what thresholds are suggested for; `slice_by` and `group_by` name carried columns;
    `max_rejected_fraction` is in 0…1; `gates` is what is required, and the baseline; `reused` and `truth` are as `Plan`
    has them; `truth_joined` tells whether truth is from files of its own, of which a row must join a record;
    `threshold_source` says where the thresholds come from.
    """

    output: str
    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    provenance: Mapping[str, Any]
    goal: Goal
    slice_by: Sequence[str] = ()
    group_by: str | None = None
    max_rejected_fraction: float = 1.0
    gates: Gates = field(default_factory=Gates)
    reused: Sequence[ReusedRecords] | None = None
    truth: Mapping[str, Any] = field(default_factory=dict)
    truth_joined: bool = False
    threshold_source: str = ""

    @property
    def requested(self) -> dict[str, Any]:
        """Returns, as the manifest has it, what the metrics are to show and to fulfil: no part of the plan."""
        values = (
            list(self.slice_by),
            self.group_by,
            self.goal.kind,
            self.goal.target,
            self.max_rejected_fraction,
            [requirement.text for requirement in self.gates.requirements],
            self.gates.baseline,
            self.gates.digest,
        )
        return dict(zip(REQUESTED, values, strict=True))

    @property
    def manifest_content(self) -> dict[str, Any]:
        """Returns all of it, as the manifest has it."""
        reused = {} if self.reused is None else {"reused": reused_content(self.reused)}
        return {**self.provenance, **self.requested, **reused}

    @property
    def origin(self) -> dict[str, Any]:
        """Returns where the run came from, as the report has it."""
        about = {
            "output": escape_surrogates(self.output),
            "thresholds": thresholds_in_words(self.thresholds, self.threshold_source),
        }
        earlier = {run.run: f"{run.scored + run.rejected:,} records" for run in self.reused or ()}
        none_yet = "no earlier run to compare with yet"
        baseline = {"baseline": self.gates.baseline if self.gates.before else none_yet} if self.gates.baseline else {}
        labels = {"labels": self.truth["words"]} if self.truth else {}
        grouped = {"intervals": f"by {self.group_by}"} if self.group_by else {}
        return {**about, **self.provenance, **labels, **({"reused": earlier} if earlier else {}), **baseline, **grouped}

    def is_stated(self, manifest: Mapping[str, Any]) -> bool:
        """Tells whether a manifest was asked for the same."""
        return all(manifest.get(name) == value for name, value in self.requested.items())


def thresholds_in_words(thresholds: Sequence[float], source: str) -> str:
    """Writes thresholds, and where they come from.

    >>> thresholds_in_words((0.5, 0.5), "default"), thresholds_in_words((0.25, 0.5), "tuned in training")
    ('0.5 for every label (default)', '0.25 to 0.5, one for each label (tuned in training)')
    """
    least, most = min(thresholds), max(thresholds)
    words = f"{least:.4g} for every label" if least == most else f"{least:.4g} to {most:.4g}, one for each label"
    return f"{words} ({source})" if source else words
