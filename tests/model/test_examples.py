"""The examples' laws, and every choice against one made by sorting in plain Python."""

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bulklabel.model.statistic.examples import EXAMPLE_KINDS, EXAMPLES_SCHEMA, MOST_ANSWERS, Examples, examples_kept

THRESHOLDS = (0.25, 0.5, 0.7)

Batch = tuple[np.ndarray, np.ndarray, pa.Table]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Truth, probabilities and records in any order; few different probabilities, so that most are equal to others."""
    records, labels = draw(st.integers(0, 40)), draw(st.integers(1, 3))
    truth = draw(npst.arrays(np.int8, (records, labels), elements=st.integers(-1, 1)))
    score = st.one_of(st.sampled_from([0.0, 0.25, 0.3, 0.6, 0.7, 1.0]), st.floats(0, 1, width=32))
    probabilities = draw(npst.arrays(np.float32, (records, labels), elements=score))
    place = st.tuples(st.sampled_from(["a", "b", "ä", "\U0001f4f7"]), st.integers(0, 99))
    places = draw(st.lists(place, min_size=records, max_size=records, unique=True))
    return truth, probabilities, records_at(places)


def records_at(places: list[tuple[str, int]]) -> pa.Table:
    columns = {
        "id": [f"{source}-{position}" for source, position in places],
        "source": [source for source, _ in places],
        "position": [position for _, position in places],
    }
    return pa.table(columns, pa.schema({"id": pa.string(), "source": pa.string(), "position": pa.int64()}))


def examples_of(batch: Batch, keep: int = 2, shard: int = 0) -> Examples:
    truth, probabilities, records = batch
    return Examples.from_batch(truth, probabilities, THRESHOLDS[: truth.shape[1]], records, shard, keep)


def rows_of(batch: Batch, chosen: Any) -> Batch:
    truth, probabilities, records = batch
    return truth[chosen], probabilities[chosen], records.take(pa.array(np.arange(len(records))[chosen]))


def expected(batch: Batch, keep: int) -> list[dict[str, Any]]:
    """What should be kept, by sorting all records for each label and kind."""
    truth, probabilities, records = batch
    found = []
    for label, threshold in enumerate(np.array(THRESHOLDS[: truth.shape[1]], np.float32)):
        for kind, name in enumerate(EXAMPLE_KINDS):
            rows = []
            for row, record in enumerate(records.to_pylist()):
                known, score = truth[row, label], probabilities[row, label]
                fits = {
                    "false_positive": (known == 0 and score >= threshold, -score),
                    "false_negative": (known == 1 and score < threshold, score),
                    "certain": (known == -1 and score >= threshold, -score),
                    "uncertain": (True, abs(score - threshold)),
                }
                wanted, order = fits[name]
                if wanted:
                    more: dict[str, Any] = {
                        "answers": answers(truth[row], probabilities[row]),
                        "label": label,
                        "kind": kind,
                        "order": order,
                        "probability": score,
                        "truth": known,
                    }
                    rows.append(record | more | {"shard": 5})
            rows.sort(key=lambda row: (row["order"], row["source"], row["position"]))
            found += rows[:keep]
    return found


def answers(truth: np.ndarray, scores: np.ndarray) -> list[dict[str, Any]]:
    thresholds = np.array(THRESHOLDS[: len(truth)], np.float32)
    rows = zip(range(len(truth)), scores, scores >= thresholds, truth, strict=True)
    found = [dict(zip(("label", "probability", "predicted", "truth"), row, strict=True)) for row in rows]
    return sorted(found, key=lambda row: (-row["probability"], row["label"]))


@given(batches(), st.integers(1, 3))
def test_the_examples_are_those_that_sorting_finds(batch: Batch, keep: int) -> None:
    found = examples_of(batch, keep, shard=5)
    assert found.table.schema == EXAMPLES_SCHEMA
    assert found.table.to_pylist() == expected(batch, keep)


@given(batches(), st.data())
def test_any_split_in_any_order_and_grouping_gives_the_same_examples(batch: Batch, data: st.DataObject) -> None:
    whole = examples_of(batch)
    order = np.array(data.draw(st.permutations(range(len(batch[0])))), np.int64)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=4)))
    parts = [examples_of(rows_of(batch, chosen)) for chosen in np.split(order, cuts)]
    middle = data.draw(st.integers(0, len(parts)))
    assert Examples.merge(parts) == whole
    assert Examples.merge(parts[middle:]) + Examples.merge(parts[:middle]) == whole


@given(batches())
def test_none_is_the_identity_and_inputs_stay_as_they_are(batch: Batch) -> None:
    examples = examples_of(batch)
    before = pickle.dumps((batch, examples))
    assert Examples.none() + examples == examples == examples + Examples.none()
    _ = examples + examples_of((*batch[:2], records_at([(f"other-{row}", row) for row in range(len(batch[0]))])))
    assert pickle.dumps((batch, examples)) == before
    assert pickle.loads(before)[1] == examples  # noqa: S301


@given(batches(), st.permutations(range(3)))
def test_the_choice_is_never_by_shard(batch: Batch, shards: list[int]) -> None:
    parts = [
        examples_of(rows_of(batch, np.arange(len(batch[0])) % 3 == index), shard=shards[index]) for index in range(3)
    ]
    assert Examples.merge(parts).table.drop_columns("shard").equals(examples_of(batch).table.drop_columns("shard"))


@given(batches())
def test_memory_order_and_other_columns_do_not_matter(batch: Batch) -> None:
    truth, probabilities, records = batch
    more = records.append_column("labels", pa.nulls(len(records)))
    assert examples_of((np.asfortranarray(truth), np.asfortranarray(probabilities), more), keep=1) == examples_of(
        batch, keep=1
    )


def test_a_difference_in_any_column_is_a_difference() -> None:
    batch = (np.array([[1]], np.int8), np.array([[0.1]], np.float32), records_at([("a", 1)]))
    assert examples_of(batch) != examples_of(batch, shard=1)
    assert examples_of(batch) != examples_of((*batch[:2], records_at([("a", 2)])))
    assert examples_of(batch) != examples_of((batch[0], 1 - batch[1], batch[2]))
    assert examples_of(batch) != Examples.none()


def test_records_of_unknown_truth_are_certain_or_uncertain_and_no_mistakes() -> None:
    places = [("a", row) for row in range(4)]
    batch = (np.full((4, 1), -1, np.int8), np.array([[0.0], [0.2], [0.3], [1.0]], np.float32), records_at(places))
    rows = examples_of(batch).table.to_pylist()
    assert [(EXAMPLE_KINDS[row["kind"]], row["position"], row["truth"]) for row in rows] == [
        ("certain", 3, -1),
        ("certain", 2, -1),
        ("uncertain", 1, -1),
        ("uncertain", 2, -1),
    ]


def test_of_many_labels_those_that_are_predicted_or_present_are_kept() -> None:
    labels = 3 * MOST_ANSWERS
    truth, scores = np.zeros((1, labels), np.int8), np.linspace(0.4, 0, labels, dtype=np.float32)[None, :]
    truth[0, -1] = 1
    thresholds = [0.5] * (labels - 2) + [0.001, 0.5]
    examples = Examples.from_batch(truth, scores, thresholds, records_at([("a", 1)]), 0, 1)
    kept = examples.table.column("answers")[0].as_py()
    assert [answer["label"] for answer in kept] == [*range(MOST_ANSWERS - 2), labels - 2, labels - 1]
    assert [(answer["predicted"], answer["truth"]) for answer in kept[-3:]] == [(False, 0), (True, 0), (False, 1)]


@pytest.mark.parametrize("keep", [1, 2, 6])
def test_many_records_and_labels_are_cut_as_few_are(keep: int) -> None:
    random = np.random.default_rng(keep)
    truth = random.integers(-1, 2, (1024, 3)).astype(np.int8)
    probabilities = random.random((1024, 3), np.float32)
    probabilities[:, 1] = 1
    batch = (truth, probabilities, records_at([("a", row) for row in random.permutation(1024).tolist()]))
    assert examples_of(batch, keep, shard=5).table.to_pylist() == expected(batch, keep)


def test_the_number_kept_is_bounded_for_many_labels() -> None:
    assert [examples_kept(labels) for labels in (1, 10, 300, 500, 1000, 2000, 10000)] == [6, 6, 6, 4, 2, 1, 1]
