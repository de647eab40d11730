"""Requirements: how they are read, what is refused before any work, and the verdicts."""

import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulklabel.model.errors import UserError
from bulklabel.model.images.kinds import Kind
from bulklabel.model.metrics import Goal, compute_metrics
from bulklabel.model.metrics.drift import OVERALL, PER_LABEL, drift_between
from bulklabel.model.metrics.requirements import Gates, check_requirement, parse_requirement
from bulklabel.model.report.verdicts import failed_requirements, value_beside, verdict_lines
from tests.support.synthetic import THRESHOLD, logistic_batch, metrics_of_statistic, statistic_of

COMPARISONS = {">=": operator.ge, "<=": operator.le, "==": operator.eq, ">": operator.gt, "<": operator.lt}

ODD = ["]", "a]>=0.5", "x[y]", ">=", "baseline", "[", " cat ", "a\nb"]
names = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
labels = st.none() | st.text(min_size=1) | st.sampled_from(ODD)
spaces = st.sampled_from(["", " ", "  "])
numbers = st.decimals(0, 100, places=3) | st.sampled_from(["1e-3", ".5", "2.", "10"])


@given(metric=names, label=labels, comparison=st.sampled_from(list(COMPARISONS)), number=numbers, space=spaces)
def test_what_is_written_is_what_is_read(
    metric: str, label: str | None, comparison: str, number: Any, space: str
) -> None:
    name = metric if label is None else f"{metric}[{label}]"
    for sign in ("", "-", "+"):
        found = parse_requirement(f"{space}{name}{space}{comparison}{space}{sign}{number}{space}")
        assert (found.metric, found.label, found.comparison, found.change) == (metric, label, comparison, None)
        assert found.limit(None) == float(f"{sign}{number}")
        assert not found.needs_baseline or metric.startswith("drift_")


@given(metric=names, label=labels, comparison=st.sampled_from(list(COMPARISONS)), number=numbers, space=spaces)
def test_a_limit_may_follow_the_baseline(
    metric: str, label: str | None, comparison: str, number: Any, space: str
) -> None:
    name = metric if label is None else f"{metric}[{label}]"
    for sign, change in {"+": operator.add, "-": operator.sub, "*": operator.mul}.items():
        found = parse_requirement(f"{name}{space}{comparison}{space}baseline{space}{sign}{space}{number}")
        assert (found.metric, found.label, found.comparison) == (metric, label, comparison)
        assert found.needs_baseline
        assert found.limit(0.75) == pytest.approx(change(0.75, float(number)))
        assert found.limit(None) is None
    assert parse_requirement(f"{name}{comparison}baseline").limit(0.75) == 0.75


def test_limits_are_decimal() -> None:
    assert 0.9157 - 0.02 != 0.8957
    assert parse_requirement("f1_micro>=baseline-0.02").limit(0.9157) == 0.8957


NONE = """f1_micro | f1_micro=>0.5 | f1_micro>= | f1_micro>=high | f1_micro>=0.5% | f1_micro>=baseline/2 | [cat]>=1
| recall[cat>=0.9 | recall cat]>=0.9 | f1_micro>=0.5 and recall_micro>=0.5 | f1_micro>=nan | f1_micro!=1 | >=1
| f1_micro<=1e999"""


@pytest.mark.parametrize("text", ["", *NONE.replace("\n", " ").split(" | ")])
def test_what_is_no_requirement_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UserError, match="is not a requirement; write METRIC") as refused:
        parse_requirement(text)
    assert repr(text) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    """Of three labels named l0, l1 and l2; l2 is never known."""
    truth, probabilities = logistic_batch(np.random.default_rng(0), 200, 3)
    truth[:, 2] = -1
    more: dict[str, Any] = {"rejected": {("read", "x"): 50}, "kinds": {Kind("PNG", 32): 150, Kind("JPEG", 64): 50}}
    return metrics_of_statistic(statistic_of((truth, probabilities), **more))


def refusal(text: str, metrics: dict[str, Any], before: dict[str, Any] | None = None) -> str:
    with pytest.raises(UserError) as refused:
        check_requirement(parse_requirement(text), metrics, before)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_label_in_capitals_is_suggested_as_it_is_written() -> None:
    statistic = statistic_of(logistic_batch(np.random.default_rng(0), 50, 2))
    metrics = compute_metrics(statistic, ["CATS", "Dog"], [THRESHOLD] * 2, Goal())
    assert "no label 'CATTS'; did you mean CATS" in refusal("recall[CATTS]>=0.5", metrics)
    assert "no label 'dgo'; did you mean Dog" in refusal("recall[dgo]>=0.5", metrics)


def test_what_cannot_be_judged_is_refused_with_what_was_meant(metrics: dict[str, Any]) -> None:
    compared = metrics | {"drift": drift_between(metrics, metrics)}
    for text, words in {
        "f1_mikro>=0.5": "no metric 'f1_mikro'; did you mean f1_micro or f1_macro",
        "recal[l1]>=0.5": "no metric of a label 'recal'; did you mean recall",
        "recall>=0.5": "recall is a number of a label; write recall_micro, recall_macro or recall[LABEL]",
        "f1_micro[l1]>=0.5": "f1_micro is a number of all; write f1_micro",
        "recall[l9]>=0.5": "the model has no label 'l9'; did you mean l",
        "roc_auc_macro_bounds>=0.5": "no metric 'roc_auc_macro_bounds'",
        "suggested[l1]>=0.5": "no metric of a label 'suggested'",
        "xyz>=0.5": "there is no metric 'xyz'.",
        "f1_micro>=baseline": "give its output as --baseline",
        "drift_formats<=0.1": "give its output as --baseline",
    }.items():
        assert words in refusal(text, metrics), text
    assert "itself a comparison" in refusal("drift_formats<=baseline", compared, metrics)
    older = metrics | {"overall": {}}
    assert "the baseline has no f1_micro" in refusal("f1_micro>=baseline", compared, older)


def test_every_number_can_be_required(metrics: dict[str, Any]) -> None:
    compared = metrics | {"drift": drift_between(metrics, metrics)}
    every = [name for name in metrics["overall"] if not name.endswith("_bounds")]
    every += [*metrics["counts"], "rejected_fraction", *OVERALL]
    row = metrics["per_label"][0]
    of_label = [name for name, value in row.items() if isinstance(value, int | float)] + ["label_rate", *PER_LABEL]
    requirements = [parse_requirement(f"{name}>=0") for name in every]
    requirements += [parse_requirement(f"{name}[l0]>=0") for name in of_label]
    for requirement in requirements:
        check_requirement(requirement, compared, metrics)
    verdicts = Gates(requirements, "before", "", metrics).judge(compared)
    assert {verdict["requirement"]: verdict["reason"] for verdict in verdicts if not verdict["passed"]} == {}
    values = {verdict["requirement"]: verdict["value"] for verdict in verdicts}
    assert values["rejected_fraction>=0"] == 0.2
    assert values["recall[l0]>=0"] == row["recall"]
    assert values["records>=0"] == 250


@given(st.floats(0, 1), st.sampled_from(list(COMPARISONS)), st.sampled_from(["", "baseline", "baseline-0.01"]))
def test_a_verdict_is_the_comparison(value: float, comparison: str, relation: str) -> None:
    now, before = ({"overall": {"f1": number}, "counts": {"rejected": 0, "records": 1}} for number in (value, 0.5))
    requirement = parse_requirement(f"f1{comparison}{relation or 0.25}")
    (verdict,) = Gates([requirement], "before", "", before).judge(now)
    limit = {"": 0.25, "baseline": 0.5, "baseline-0.01": 0.49}[relation]
    assert (verdict["value"], verdict["limit"], verdict["reason"]) == (value, limit, None)
    assert verdict["passed"] == COMPARISONS[comparison](value, limit)


def test_what_is_undefined_fails_and_says_why(metrics: dict[str, Any]) -> None:
    nothing = metrics | {"overall": dict.fromkeys(metrics["overall"])}
    requirements = [parse_requirement(text) for text in ("roc_auc[l2]>=0", "f1_micro>=baseline", "f1_macro<=1")]
    verdicts = Gates(requirements, "before", "", nothing).judge(metrics)
    assert [verdict["passed"] for verdict in verdicts] == [False, False, True]
    assert [verdict["reason"] for verdict in verdicts] == [
        "no value: there are no records to tell it",
        "no value in the baseline",
        None,
    ]
    assert failed_requirements(verdicts) == (
        "roc_auc[l2]>=0 (no value: there are no records to tell it), f1_micro>=baseline (no value in the baseline)"
    )
    assert [line.split()[0] for line in verdict_lines(verdicts)] == ["FAILED", "FAILED", "passed"]


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_number_never_looks_like_the_limit_that_it_misses(value: float, limit: float) -> None:
    shown = value_beside(value, limit)
    assert float(shown) == pytest.approx(value, rel=1e-3)
    assert value == limit or float(shown) != limit


def test_the_limit_is_told_where_it_is_not_written(metrics: dict[str, Any]) -> None:
    before = metrics | {"overall": metrics["overall"] | {"f1_micro": 0.99995}}
    value = metrics["overall"]["f1_micro"]
    verdicts = Gates([parse_requirement("f1_micro>=baseline-0.00001")], "before", "", before).judge(metrics)
    assert f"(it is {value:.4g}; the limit is 0.9999)" in failed_requirements(verdicts)
    assert value_beside(0.84999, 0.85) == "0.84999"
    assert value_beside(48000, 48001) == "48,000"
