"""The summary of changes: its laws, and every count against plain Python."""

import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bulklabel.model.comparison.changes import MOST_CHANGED, Changes
from bulklabel.model.comparison.comparison import (
    Comparison,
    Labelling,
    comparison_content,
    merge_comparisons,
)
from bulklabel.model.comparison.join import Joined, RecordCounts, answers_schema, answers_table, join
from bulklabel.model.labels.predictions import predictions_table
from tests.browser.sample_comparison import records_table

BEFORE, AFTER = 0.25, 0.7
SCORES = st.one_of(st.sampled_from([0.0, BEFORE, AFTER, 1.0]), st.floats(0, 1, width=32))


def joined_of(truth: np.ndarray, before: np.ndarray, after: np.ndarray, start: int = 0) -> Joined:
    records = records_table([f"r{start + row}" for row in range(len(truth))])
    return Joined(records, truth, before, after, RecordCounts(both=len(truth), only_before=2, repeated_after=3))


@st.composite
def batches(draw: st.DrawFn) -> Joined:
    """Joined records whose probabilities are often equal, saturated or exactly at a threshold."""
    shape = draw(st.integers(0, 70)), draw(st.integers(1, 4))
    before, after = (draw(npst.arrays(np.float32, shape, elements=SCORES)) for _ in range(2))
    return joined_of(draw(npst.arrays(np.int8, shape, elements=st.integers(-1, 1))), before, after)


def ids_of(joined: Joined) -> list[str]:
    ids: list[str] = joined.records.column("id").to_pylist()
    return ids


def labelling_of(joined: Joined) -> Labelling:
    labels = joined.truth.shape[1]
    return Labelling(tuple(f"l{i}" for i in range(labels)), (BEFORE,) * labels, (AFTER,) * labels)


def comparison_of(joined: Joined) -> Comparison:
    return Comparison.from_joined(joined, labelling_of(joined))


def rows_of(joined: Joined, rows: slice) -> Joined:
    """Some of the rows; what is counted beside them goes with the first."""
    counts = replace(joined.counts if rows.start == 0 else RecordCounts(), both=len(joined.truth[rows]))
    return Joined(joined.records[rows], joined.truth[rows], joined.before[rows], joined.after[rows], counts)


@settings(max_examples=50)
@given(batches(), st.data())
def test_any_split_in_any_order_gives_the_same_comparison(joined: Joined, data: st.DataObject) -> None:
    labels, whole = joined.truth.shape[1], comparison_of(joined)
    cuts = sorted(data.draw(st.lists(st.integers(1, max(1, len(joined.truth))), max_size=4, unique=True)))
    bounds = zip([0, *cuts], [*cuts, len(joined.truth)], strict=True)
    parts = data.draw(st.permutations([comparison_of(rows_of(joined, slice(a, b))) for a, b in bounds]))
    assert merge_comparisons(parts, labels) == whole
    left, right = parts[: len(parts) // 2], parts[len(parts) // 2 :]
    assert merge_comparisons(right, labels) + merge_comparisons(left, labels) == whole


@settings(max_examples=50)
@given(batches())
def test_zero_is_the_identity_and_inputs_stay_as_they_are(joined: Joined) -> None:
    comparison, zero = comparison_of(joined), Comparison.zero(joined.truth.shape[1])
    before = pickle.dumps(comparison)
    assert comparison + zero == comparison == zero + comparison
    _ = comparison + comparison
    assert pickle.dumps(comparison) == before
    assert pickle.loads(before) == comparison  # noqa: S301


@given(batches())
def test_the_changes_are_what_plain_python_counts(joined: Joined) -> None:
    changes = comparison_of(joined).changes
    ids = ids_of(joined)
    ranked = []
    for i in range(joined.truth.shape[1]):
        rows = list(
            zip(joined.truth[:, i].tolist(), joined.before[:, i].tolist(), joined.after[:, i].tolist(), strict=True)
        )
        answers = [(t, b >= np.float32(BEFORE), a >= np.float32(AFTER)) for t, b, a in rows]
        assert changes.became_present[i] == sum(not b and a for _, b, a in answers)
        assert changes.became_absent[i] == sum(b and not a for _, b, a in answers)
        assert changes.became_right[i] == sum(b != a and t == int(a) for t, b, a in answers)
        assert changes.became_wrong[i] == sum(b != a and t == int(b) for t, b, a in answers)
        assert abs(int(changes.change_sum[i]) / 2**32 - sum(abs(a - b) for _, b, a in rows)) <= 1e-8
        ranked += [(-abs(a - b), name, i, b, a, t) for name, (t, b, a) in zip(ids, rows, strict=True) if a != b]
    largest = {row[1]: row for row in sorted(ranked, reverse=True)}
    assert [record.rank for record in changes.most_changed] == sorted(largest.values())[:MOST_CHANGED]


@settings(max_examples=50)
@given(batches())
def test_the_flips_are_the_clearest_of_each_label_and_kind(joined: Joined) -> None:
    kept: dict[tuple[int, int], list[tuple[float, str]]] = {}
    truth, before, after = (side.tolist() for side in (joined.truth, joined.before, joined.after))
    for row, name in enumerate(ids_of(joined)):
        for label, known in enumerate(truth[row]):
            old, new = before[row][label] >= np.float32(BEFORE), after[row][label] >= np.float32(AFTER)
            if old == new:
                continue
            kind = 2 if known == -1 else int(new == (known == 1))
            sides = (joined.before, BEFORE), (joined.after, AFTER)
            clear = min(abs(side[row, label] - np.float32(threshold)) for side, threshold in sides)
            kept.setdefault((label, kind), []).append((-float(clear), name))
    expected = [(*key, name) for key in sorted(kept) for _, name in sorted(kept[key])[:6]]
    table = comparison_of(joined).flips.table
    columns = (table.column(name).to_pylist() for name in ("label", "kind", "id"))
    assert list(zip(*columns, strict=True)) == expected


def test_a_difference_in_any_count_is_a_difference() -> None:
    one, none = np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)
    truth = np.ones((1, 1), np.int8)
    changes = comparison_of(joined_of(truth, none, one)).changes
    assert changes != comparison_of(joined_of(truth, one, none)).changes
    assert changes != comparison_of(joined_of(truth, none, one, start=1)).changes
    assert changes != replace(changes, records=RecordCounts())
    assert changes != Changes.zero(1)


def test_ties_are_cut_by_id_and_sums_do_not_overflow() -> None:
    size = 3 * MOST_CHANGED
    joined = joined_of(np.ones((size, 2), np.int8), np.zeros((size, 2), np.float32), np.ones((size, 2), np.float32))
    changes = comparison_of(joined).changes
    assert [record.id for record in changes.most_changed] == sorted(ids_of(joined))[:MOST_CHANGED]
    assert {record.label for record in changes.most_changed} == {0}
    for _ in range(20):
        changes = changes + changes
    assert changes.change_sum.tolist() == [(size << 20) * 2**32] * 2


def test_without_truth_metrics_are_none_and_changes_are_not() -> None:
    joined = joined_of(np.full((3, 2), -1, np.int8), np.zeros((3, 2), np.float32), np.ones((3, 2), np.float32))
    comparison = comparison_of(joined)
    content = comparison_content(comparison, labelling_of(joined))
    undefined = {"before": None, "after": None, "change": None, "interval": None}
    assert content["overall"]["f1_micro"] == content["per_label"][0]["metrics"]["f1"] == undefined
    assert content["per_label"][0]["mean_change"] == 1
    assert content["changed_records"][0]["truth"] is None
    assert comparison.changes.became_present.tolist() == [3, 3]
    assert comparison.changes.became_right.tolist() == comparison.changes.became_wrong.tolist() == [0, 0]


Row = tuple[str, int, float]


def answers(rows: list[Row]) -> pa.Table:
    named = [{"id": name, "truth": [truth], "probabilities": [score]} for name, truth, score in rows]
    places = [{"source": "file", "position": position} for position in range(len(rows))]
    return pa.Table.from_pylist([row | place for row, place in zip(named, places, strict=True)], answers_schema(1))


def test_only_shared_labels_are_taken_and_what_is_unknown_stays_unknown() -> None:
    truth = [{"labels": ["a", "c"], "unknown": ["b"]}, {"labels": None, "unknown": None}, {"labels": [], "unknown": []}]
    kinds = pa.schema([pa.field(name, pa.list_(pa.string())) for name in ("labels", "unknown")])
    records = records_table(["x", "y", "z"])
    for name in kinds.names:
        records = records.append_column(name, pa.Table.from_pylist(truth, kinds).column(name))
    scores = np.linspace(0, 1, 9, dtype=np.float32).reshape(3, 3)
    for layout in ("wide", "list"):
        predictions = predictions_table(records, scores, [0.5] * 3, ["a", "b", "c"], layout)
        table = answers_table(predictions, ["a", "b", "c"], ["c", "b"], 0)
        assert table.column("id").to_pylist() == ["x", "y", "z"]
        assert table.column("truth").to_pylist() == [[1, -1], [-1, -1], [0, 0]]
        assert np.array_equal(np.array(table.column("probabilities").to_pylist(), np.float32), scores[:, [2, 1]])


RUN = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(-1, 1), st.floats(0, 1, width=32)), max_size=12)


@given(RUN, RUN)
def test_records_are_joined_by_id(before: list[Row], after: list[Row]) -> None:
    joined = join(answers(before), answers(after))
    first, second = [row[0] for row in before], [row[0] for row in after]
    repeated = {name for name in (*first, *second) if first.count(name) > 1 or second.count(name) > 1}
    both = (set(first) & set(second)) - repeated
    old, new = {row[0]: row for row in before}, {row[0]: row for row in after}
    assert sorted(ids_of(joined)) == sorted(both)
    for row, name in enumerate(ids_of(joined)):
        assert (joined.before[row, 0], joined.after[row, 0]) == (old[name][2], new[name][2])
        assert joined.truth[row, 0] == (old[name][1] if new[name][1] == -1 else new[name][1])
    assert joined.counts == RecordCounts(
        both=len(both),
        only_before=len(set(first) - repeated - both),
        only_after=len(set(second) - repeated - both),
        repeated_before=sum(name in repeated for name in first),
        repeated_after=sum(name in repeated for name in second),
        other_truth=sum({old[name][1], new[name][1]} == {0, 1} for name in both),
    )
