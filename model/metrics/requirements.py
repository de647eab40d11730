"""Parses and checks requirements on metrics, such as `recall[cat]>=baseline-0.02`, and judges them at the end."""

import difflib
import operator
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from bulklabel.model.errors import UserError
from bulklabel.model.metrics.by_name import number_of, numbers_of_labels, overall_numbers

OPERATORS = {">=": operator.ge, "<=": operator.le, "==": operator.eq, ">": operator.gt, "<": operator.lt}

_NUMBER = r"(?:\d{1,18}\.?\d{0,18}|\.\d{1,18})(?:[eE][-+]?\d{1,2})?"  # none of which is infinite as a float
_REQUIREMENT = re.compile(
    rf"\s*(?P<metric>\w+)\s*(?:\[(?P<label>.*)\])?\s*(?P<comparison>{'|'.join(OPERATORS)})\s*"
    rf"(?:(?P<baseline>baseline)\s*(?:(?P<change>[-+*])\s*(?P<by>{_NUMBER}))?|(?P<limit>[-+]?{_NUMBER}))\s*",
    re.DOTALL,
)
"""A limit holds no bracket, so that a label ends at the last one, whatever is in it."""

DRIFT = "drift_"

LATEST = "latest"
"""What `--baseline` may say instead of a path: the newest finished run beside the output."""

NOTHING_YET = "not judged: there is no earlier run to compare with yet"


@dataclass(frozen=True)
class Requirement:
    """Describes one `--require`: a metric, of a label or of all, what it is compared by, and with what.

    The limit is the number `by`, or the baseline's value of the same metric (`change` is `+`, `-` or `*`), changed by
    that number.
    """

    text: str
    metric: str
    label: str | None
    comparison: str
    change: str | None
    by: Decimal

    def __str__(self) -> str:
        """As it was given."""
        return self.text

    @property
    def name(self) -> str:
        """The metric as the user writes it, with its label."""
        return self.metric if self.label is None else f"{self.metric}[{self.label}]"

    @property
    def needs_baseline(self) -> bool:
        """Whether it says anything only beside an earlier run."""
        return self.change is not None or self.metric.startswith(DRIFT)

    def limit(self, baseline: float | None) -> float | None:
        """Returns what the metric is compared with; None if that rests on an undefined value of the baseline.

        Computed in decimals: 0.9157-0.02 is 0.8957.
        """
        if self.change is None:
            return float(self.by)
        if baseline is None:
            return None
        value = Decimal(repr(baseline))
        return float({"+": value + self.by, "-": value - self.by, "*": value * self.by}[self.change])


@dataclass(frozen=True)
class Verdict:
    """Says whether a requirement holds: the metric's value, the limit (None is undefined), and why not, in words.

    `passed` is None if it could not be judged, since there is no earlier run yet.
    """

    requirement: str
    value: float | None
    limit: float | None
    passed: bool | None
    reason: str | None


@dataclass(frozen=True)
class Gates:
    """Holds what is required of a run, and the metrics of the one that it is compared with, if any.

    `baseline` is that run's path as the user named it, `digest` that of its `metrics.json`, and `before` of that what
    is compared. `choice` says how `LATEST` was chosen; if nothing was found, `baseline` stays `LATEST`.
    """

    requirements: Sequence[Requirement] = ()
    baseline: str | None = None
    digest: str | None = None
    before: Mapping[str, Any] | None = None
    choice: Mapping[str, Any] | None = None

    def judge(self, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Returns the verdicts on the content of a `metrics.json`, in the order of the requirements."""
        return [asdict(_judge(requirement, metrics, self.before)) for requirement in self.requirements]


def parse_requirement(text: str) -> Requirement:
    """Returns the requirement that follows `--require`.

    Raises:
        UserError: if it is none.

    >>> requirement = parse_requirement("recall[cat] >= baseline - 0.02")
    >>> requirement.name, requirement.comparison, requirement.limit(0.9157)
    ('recall[cat]', '>=', 0.8957)
    """
    match = _REQUIREMENT.fullmatch(text)
    if not match:
        quotes = "" if re.search("[<>=]", text) else "; quote it, since a shell takes > and < for its own"
        raise UserError(
            f"--require {text!r} is not a requirement; write METRIC or METRIC[LABEL], then one of "
            f"{' '.join(OPERATORS)}, then a number or baseline, baseline-0.02, baseline*0.98{quotes}."
        )
    parts = match.groupdict()
    if parts["baseline"]:
        change, by = parts["change"] or "+", parts["by"] or "0"
    else:
        change, by = None, parts["limit"]
    return Requirement(text.strip(), parts["metric"], parts["label"], parts["comparison"], change, Decimal(by))


def check_requirement(requirement: Requirement, metrics: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
    """Checks that a requirement can be judged once there are metrics.

    Args:
        requirement: one that was parsed.
        metrics: those of no records: their names and labels count alone.
        before: the baseline's, or None without one.

    Raises:
        UserError: if there is no such metric or label, or it needs a baseline and there is none.
    """
    flag = f"--require {requirement.text!r}"
    metric, label = requirement.metric, requirement.label
    if requirement.needs_baseline and before is None:
        raise UserError(f"{flag} compares with an earlier run; give its output as --baseline.")
    if requirement.change and metric.startswith(DRIFT):
        raise UserError(f"{flag}: {metric} is itself a comparison with the baseline; give a number as its limit.")
    of_all, of_labels = overall_numbers(metrics), numbers_of_labels(metrics)
    of_label = next(iter(of_labels.values()))
    if label is not None and label not in of_labels:
        raise UserError(f"{flag}: the model has no label {label!r}{_near(label, of_labels)}.")
    if metric not in (of_all if label is None else of_label):
        if metric in (of_label if label is None else of_all):
            averages = [name for name in (f"{metric}_micro", f"{metric}_macro") if name in of_all]
            alone = f"{metric}[LABEL]"
            of_label_too = f"{', '.join(averages)} or {alone}" if averages else alone
            right = of_label_too if label is None else metric
            raise UserError(f"{flag}: {metric} is a number of {'a label' if label is None else 'all'}; write {right}.")
        what = "metric" if label is None else "metric of a label"
        raise UserError(f"{flag}: there is no {what} {metric!r}{_near(metric, of_all if label is None else of_label)}.")
    if requirement.change and before is not None:
        try:
            number_of(before, metric, label)
        except KeyError:
            raise UserError(f"{flag}: the baseline has no {requirement.name}; evaluate it again.") from None


OTHER_NAMES = {
    "map": "average_precision_macro",
    "auc": "roc_auc_macro",
    "exact_match": "subset_accuracy",
    "accuracy": "subset_accuracy",
}
"""What others call some metrics."""


def _near(word: str, words: Collection[str]) -> str:
    other = OTHER_NAMES.get(word.lower(), "")
    in_lower_case = {each.lower(): each for each in words}
    near = difflib.get_close_matches(word.lower(), in_lower_case, n=3, cutoff=0.5)
    close = [other] if other in words else [in_lower_case[each] for each in near]
    return f"; did you mean {' or '.join(close)}?"[:-1] if close else ""


def _judge(requirement: Requirement, metrics: Mapping[str, Any], before: Mapping[str, Any] | None) -> Verdict:
    if requirement.needs_baseline and before is None:
        return Verdict(requirement.text, None, None, None, NOTHING_YET)
    value = number_of(metrics, requirement.metric, requirement.label)
    then = number_of(before, requirement.metric, requirement.label) if requirement.change and before else None
    limit = requirement.limit(then)
    if value is None:
        return Verdict(requirement.text, value, limit, False, "no value: there are no records to tell it")
    if limit is None:
        return Verdict(requirement.text, value, limit, False, "no value in the baseline")
    return Verdict(requirement.text, value, limit, bool(OPERATORS[requirement.comparison](value, limit)), None)
