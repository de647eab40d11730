"""The list of metrics: that the code in docs/design.md adds one, which then is merged, sliced and compared like all."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bulklabel.model.counting.block import Block
from bulklabel.model.counting.grouping import Grouping
from bulklabel.model.metric_families.families import FAMILIES
from bulklabel.model.metrics import Evidence, paired_changes
from bulklabel.model.statistic import Statistic, merge
from tests.conftest import ROOT
from tests.support.synthetic import THRESHOLD, logistic_batch, metrics_of_statistic, records_table, statistic_of

RECORDS = 400


@pytest.fixture
def added() -> Iterator[None]:
    """The metric of the document is in the list."""
    section = (ROOT / "docs" / "design.md").read_text().split("## Add a metric")[1].split("\n## ")[0]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(code) == 1
    names: dict[str, Any] = {}
    exec(code[0], names)  # noqa: S102
    FAMILIES.append(names["CROWDED"])
    yield
    FAMILIES.pop()


def crowded(probabilities: np.ndarray, records: np.ndarray | slice = slice(None)) -> float:
    return float(((probabilities >= THRESHOLD).sum(axis=1) > 2)[records].mean())


@pytest.mark.usefixtures("added")
def test_an_added_metric_is_published_with_an_interval_and_by_slice() -> None:
    batch = logistic_batch(np.random.default_rng(0), RECORDS, 5)
    split = np.array(["a", "b"])[np.arange(RECORDS) % 2]
    table = records_table(range(RECORDS), split=split)
    parts = [
        Statistic.from_batch(batch[0][rows], batch[1][rows], [THRESHOLD] * 5, table.take(rows), slice_by=["split"])
        for rows in np.array_split(np.random.default_rng(1).permutation(RECORDS), 3)
    ]
    metrics = metrics_of_statistic(merge(parts, 5))
    value = metrics["overall"]["crowded_fraction"]
    assert value == crowded(batch[1])
    low, high = metrics["intervals"]["crowded_fraction"]
    assert 0 < low < value < high < 1
    found = {row["value"]: row["overall"]["crowded_fraction"] for row in metrics["slices"]["split"]}
    assert found == {name: crowded(batch[1], split == name) for name in ("a", "b")}
    assert all(row["intervals"]["crowded_fraction"] for row in metrics["slices"]["split"])


@pytest.mark.usefixtures("added")
def test_an_added_metric_is_compared_and_undefined_without_truth() -> None:
    truth, scores = logistic_batch(np.random.default_rng(2), RECORDS, 5)
    sides = [Evidence.of(statistic_of((truth, side))) for side in (scores, scores / 2)]
    change = paired_changes(*sides)[0]["crowded_fraction"]
    assert change.change == crowded(scores / 2) - crowded(scores)
    assert change.low < change.change < change.high
    nothing = metrics_of_statistic(statistic_of((np.full_like(truth, -1), scores)))
    assert nothing["overall"]["crowded_fraction"] is None


def test_no_two_families_have_a_sum_or_a_metric_of_one_name() -> None:
    truth, scores = logistic_batch(np.random.default_rng(3), 20, 3)
    block, grouping = Block.of(truth, scores, [THRESHOLD] * 3), Grouping.of(np.zeros(20, np.int64), 1)
    sums = [
        name
        for family in FAMILIES
        for name in (*family.label_sums(block, grouping), *family.record_sums(block, grouping))
    ]
    assert len(sums) == len(set(sums))
    published = metrics_of_statistic(statistic_of((truth, scores)))
    named = [name for family in FAMILIES for name in family.intervals]
    assert len(named) == len(set(named))
    assert set(named) <= {*published["overall"], *published["per_label"][0]}
