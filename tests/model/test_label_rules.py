"""How a field means labels: what is told apart by looking, what is asked for, and what is read by each rule."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bulklabel.model.errors import RecordError, UserError
from bulklabel.model.labels.choose_rule import AS_FOUND, LabelOptions, choose_rule
from bulklabel.model.labels.examine_rule import Choice, SampledRecord, truth_content, truth_line
from bulklabel.model.labels.label_rule import LabelRule, TruthReader
from tests.conftest import ROOT

NAMES = ("cat", "dog", "bird", "cow")


def choose(
    values: Sequence[Any],
    options: LabelOptions = AS_FOUND,
    names: tuple[str, ...] | None = NAMES,
    field: str = "labels",
    class_names: Mapping[str, Sequence[str]] | None = None,
) -> Choice:
    records = [SampledRecord(f"r{row}", {field: value}, class_names or {}) for row, value in enumerate(values)]
    return choose_rule(records, ["labels", "label", "cls", "txt"], names, options, "a.parquet")


def read(values: Sequence[Any], *args: Any, **others: Any) -> list[Any]:
    """The truth of each value by the rule that is chosen for all: present labels, with the unknown ones if any."""
    rule = choose(values, *args, **others).rule
    reader = TruthReader(rule, others.get("names", NAMES))
    truths = []
    for value in values:
        present, unknown = reader.read({rule.field or "labels": value}, others.get("class_names"))
        truths.append((present, unknown) if unknown else present)
    return truths


@pytest.mark.parametrize(
    ("values", "form", "truth"),
    [
        ([["cat"], [], None, ["dog", "bird"]], "names", [["cat"], [], None, ["dog", "bird"]]),
        ([[0, 1, 0, 0], [1, 0, 0, 1]], "multi_hot", [["dog"], ["cat", "cow"]]),
        ([[0.0, 1.0, 0.0, 0.0], None], "multi_hot", [["dog"], None]),
        ([[False, True, False, True]], "multi_hot", [["dog", "cow"]]),
        ([[0, 1, -1, 0], [1, None, 0, float("nan")]], "multi_hot", [(["dog"], ["bird"]), (["cat"], ["dog", "cow"])]),
        ([[0, 0, 0, 0], [1, 1, 1, 1]], "multi_hot", [[], ["cat", "dog", "bird", "cow"]]),
        ([[3, 0], [], [2]], "indices", [["cow", "cat"], [], ["bird"]]),
        ([[1, 1, 3]], "indices", [["dog", "cow"]]),
        ([[1, 1], [0]], "indices", [["dog"], ["cat"]]),
        ([["cat ", " dog"]], "names", [["cat", "dog"]]),
        ([[b"cat", b"dog"]], "names", [["cat", "dog"]]),
        (["cat\ndog", "nan"], "names", [["cat", "dog"], None]),
        (["[1 0 1 0]", "[0 0 0 1]"], "multi_hot", [["cat", "bird"], ["cow"]]),
        (["['cat' 'dog']", "['bird']", "[]"], "names", [["cat", "dog"], ["bird"], []]),
        (['["cat"\n "dog"]'], "names", [["cat", "dog"]]),
        ([2, 0, None], "indices", [["bird"], ["cat"], None]),
        ([2.0, 0.0, float("nan")], "indices", [["bird"], ["cat"], None]),
        (["['cat', 'dog']", '["bird"]', "[]", ""], "names", [["cat", "dog"], ["bird"], [], None]),
        (["cat, dog", "bird"], "names", [["cat", "dog"], ["bird"]]),
        (["cat|dog", "|", ""], "names", [["cat", "dog"], [], None]),
        (["cat; dog", "cow"], "names", [["cat", "dog"], ["cow"]]),
        (["cat dog", "cow"], "names", [["cat", "dog"], ["cow"]]),
        (["0 1 0 0", "1 0 0 1"], "multi_hot", [["dog"], ["cat", "cow"]]),
        (["[0, 1, 0, 0]", "[1, 0, 0, 1]"], "multi_hot", [["dog"], ["cat", "cow"]]),
        (["3,0", "1"], "indices", [["cow", "cat"], ["dog"]]),
        (["2", "0"], "indices", [["bird"], ["cat"]]),
        ([b"cat", b"dog"], "names", [["cat"], ["dog"]]),
    ],
)
def test_what_can_be_told_apart_is(values: list[Any], form: str, truth: list[Any]) -> None:
    assert choose(values).rule.form == form
    assert read(values) == truth


def test_the_names_of_labels_decide_what_stands_between_them() -> None:
    names = ("dog, puppy", "cat", "3", "7")
    assert read(["dog, puppy", "cat"], names=names) == [["dog, puppy"], ["cat"]]
    assert read(["3,7", "cat"], names=names) == [["3", "7"], ["cat"]]
    assert read(["['3', '7']"], names=names) == [["3", "7"]]
    assert read(["a|b", "c"], names=("a|b", "c")) == [["a|b"], ["c"]]
    assert read(["big cat", "dog"], names=("big cat", "cat", "dog")) == [["big cat"], ["dog"]]
    assert read(["nan", "cat"], names=("nan", "cat")) == [["nan"], ["cat"]]
    assert read(["3", "7"], names=names) == [["3"], ["7"]]  # and not numbers of labels


def test_the_numbers_of_a_file_mean_its_own_names() -> None:
    class_names = {"labels": ("dog", "cat", "horse")}
    assert choose([[0], [1]], class_names=class_names).rule.form == "file_indices"
    assert read([[0], [1, 2], [-1], []], class_names=class_names) == [["dog"], ["cat", "horse"], None, []]
    assert read([[0]], class_names=class_names, names=None) == [["dog"]]
    assert read([[0], [1]], LabelOptions("indices"), class_names=class_names) == [["cat"], ["dog"]]


@pytest.mark.parametrize(
    ("values", "names", "words"),
    [
        ([[0, 1], [1, 0]], NAMES[:2], "may be label numbers or a 0/1 vector; say which with --labels_as indices or"),
        ([[0]], NAMES[:1], "may be label numbers or a 0/1 vector"),
        ([[1], [4], [2]], NAMES, "are 1 to 4, such as [1] of 'r0', and those of the model 0 to 3; if they count"),
        ([[1], [4], [2]], NAMES, "give --label_offset 1, or accept this with --labels_as indices"),
        ([[0], [7]], NAMES, "accept this with --labels_as indices"),
        ([[0.5, 0.2, 0.1, 0.2]], NAMES, "holds no labels, but values such as [0.5"),
        ([{"cat": 1}], NAMES, "holds no labels"),
        ([[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]], NAMES, "has 0/1 vectors of 5 labels, such as [0, 1, 0, 0, 0] of 'r0'"),
        ([[1, 0, 1]], NAMES, "has 0/1 vectors of 3 labels, such as [1, 0, 1] of 'r0', and the model 4"),
        ([["Cat"], ["DOG"]], NAMES, "no label of the truth is the model's: it has 'Cat', 'DOG' in 'labels'"),
        ([["Cat"], ["DOG"]], NAMES, "(did you mean 'cat' by 'Cat'?)"),
        ([[1, 0]], None, "the labels in 'labels' are numbers, such as [1, 0] of 'r0'; give --label_file"),
        (["3,7"], None, "'3,7' in 'labels' may be one label or several; give --label_separator ','"),
    ],
)
def test_what_cannot_be_told_apart_is_asked_for(values: list[Any], names: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        choose(values, names=names)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_flags_answer_what_was_asked() -> None:
    assert read([[0, 1], [1, 0]], LabelOptions("indices"), names=NAMES[:2]) == [["cat", "dog"], ["dog", "cat"]]
    assert read([[0, 1], [1, 0]], LabelOptions("multi_hot"), names=NAMES[:2]) == [["dog"], ["cat"]]
    assert read([[1], [4]], LabelOptions(offset=1)) == [["cat"], ["cow"]]
    assert read([[1], [4]], LabelOptions("indices")) == [["dog"], ["number 4"]]
    assert read(["3,7"], LabelOptions(separator=","), names=None) == [["3", "7"]]
    assert read(["3,7"], LabelOptions(separator=""), names=None) == [["3,7"]]
    assert read([["Cat"]], LabelOptions("names")) == [["Cat"]]
    assert choose([["cat"]], LabelOptions("none")).rule == LabelRule()


def test_a_number_without_a_label_never_takes_anothers_name() -> None:
    names = ("10", "20", "30")
    assert read([[0], [10]], LabelOptions("indices"), names=names) == [["10"], ["number 10"]]
    reader = TruthReader(LabelRule("indices", "labels"), ("number 7",))
    with pytest.raises(RecordError, match="there is no label with the number 7"):
        reader.read({"labels": [7]})


def test_captions_are_no_labels() -> None:
    choice = choose(["a cat on a mat", "two dogs"], field="txt")
    assert (choice.rule.form, choice.words) == (
        "none",
        "none: 'txt' holds no label of the model, so is taken for captions",
    )
    assert read([["cat", "dog"], ["bird"]], field="txt") == [["cat", "dog"], ["bird"]]
    with pytest.raises(UserError, match="'txt' holds labels of the model and other text, such as 'cat'"):
        choose(["cat", "a cat on a mat", "two dogs"], field="txt")
    with pytest.raises(UserError, match="'txt' may hold labels or a caption, such as 'cat'; give --labels_column txt"):
        choose(["cat"], field="txt", names=None)
    assert choose(["cat"], LabelOptions(field="txt"), field="txt", names=None).rule.form == "names"


def columns(rows: Sequence[Mapping[str, Any]], options: LabelOptions = AS_FOUND) -> list[Any]:
    records = [SampledRecord(f"r{number}", row) for number, row in enumerate(rows)]
    rule = choose_rule(records, ["labels", "label"], NAMES, options, "a.csv").rule
    assert rule.form == "columns"
    return [TruthReader(rule, NAMES).read(row) for row in rows]


def test_a_field_for_each_label() -> None:
    assert columns([{"cat": 1, "dog": 0, "bird": -1}, {"cat": "", "dog": None, "bird": "nan"}, {"cat": True}]) == [
        (["cat"], ["bird", "cow"]),
        (None, None),
        (["cat"], ["dog", "bird", "cow"]),
    ]
    with pytest.raises(UserError, match=r"a\.csv, record 'r0': 'cat' is 'yes'; expected 1"):
        columns([{"cat": "yes"}])
    with pytest.raises(UserError, match="no field is named like a label of the model, such as 'cat'"):
        columns([{"horse": 1}], LabelOptions("columns"))


def test_what_uncertain_and_blank_cells_mean_is_said_for_all_or_for_one() -> None:
    rows = [{"cat": 1, "dog": -1, "bird": "", "cow": -1}]
    assert columns(rows) == [(["cat"], ["dog", "bird", "cow"])]
    present = LabelOptions(uncertain=(("", "present"),), blank=(("", "absent"),))
    assert columns(rows, present) == [(["cat", "dog", "cow"], [])]
    assert columns(rows, replace(present, uncertain=(("", "absent"), ("cow", "unknown")))) == [(["cat"], ["cow"])]


def test_a_name_may_say_that_there_is_no_label() -> None:
    options = LabelOptions(no_label=("No Finding",))
    assert read(["No Finding", "cat|dog"], options) == [[], ["cat", "dog"]]
    rule = choose(["No Finding", "cat|dog"], options).rule
    with pytest.raises(RecordError, match="the record has 'No Finding', which says no label, and 'cat'"):
        TruthReader(rule, NAMES).read({"labels": "No Finding|cat"})
    rows: list[dict[str, Any]] = [
        {"No Finding": 1.0, "cat": None, "dog": None, "bird": 1, "cow": 0},
        {"No Finding": "", "cat": ""},
    ]
    assert columns(rows, options) == [(["bird"], []), (None, None)]


def test_letters_are_equal_whether_composed_or_not() -> None:
    composed, decomposed = "Caf\u00e9", "Cafe\u0301"
    assert read([[decomposed]], names=(composed, "bar")) == [[composed]]
    assert read([[composed]], names=(decomposed, "bar")) == [[decomposed]]
    assert read([[decomposed]], names=None) == [[composed]]


def test_labels_where_the_first_records_had_none_are_read_if_they_mean_one_thing() -> None:
    choice = choose([None, None])
    assert choice.words == "none: the first 2 records have no 'labels' or 'label' or 'cls' or 'txt'"
    reader = TruthReader(choice.rule, NAMES)
    assert reader.read({"labels": ["cat"]}) == (["cat"], None)
    for value in (3, [3], "cat,dog"):
        with pytest.raises(RecordError, match="has labels in 'cls', which the first records lack"):
            reader.read({"cls": value})


def test_values_of_another_kind_are_rejected_and_not_misread() -> None:
    values: list[Any] = [["cat"], ["dog"], ["bird"], [3]]
    rule = choose(values).rule
    with pytest.raises(RecordError, match="the label '3' is not text; say what numbers mean with --labels_as"):
        TruthReader(rule, NAMES).read({"labels": [3]})
    rule = choose([[0, 1, 0, 1]] * 10 + [[0, 1]]).rule
    assert rule.form == "multi_hot"
    with pytest.raises(RecordError, match="the labels are 2 numbers; expected 0 or 1 for each of the model's 4"):
        TruthReader(rule, NAMES).read({"labels": [0, 1]})


def test_the_rule_is_told_in_a_line_with_an_example() -> None:
    content = truth_content(choose([[], [0, 1, 0, 0]]), NAMES)
    assert truth_line(content) == (
        "truth: 0/1 vectors of 4 labels in 'labels', such as [0, 1, 0, 0] of r1; 1 of 4 labels in the first 2 records"
    )
    assert json.loads(json.dumps(content)) == content
    (warning,) = choose([["cat", "Dog", "zebra"]]).warnings
    assert warning == (
        "labels in the truth that the model does not know: 'Dog', 'zebra' (did you mean 'dog' by 'Dog'?)"
    )
    (warning,) = choose(["cat", "No Finding"]).warnings
    assert warning.endswith("'No Finding' (give --no_label 'No Finding' if it says that there is none)")


@given(st.lists(st.lists(st.integers(0, 1), min_size=4, max_size=4), min_size=1))
def test_one_truth_is_read_the_same_however_it_is_written(rows: list[list[int]]) -> None:
    names = [[name for name, flag in zip(NAMES, row, strict=True) if flag] for row in rows]
    assert read(rows) == names
    assert read([list(map(float, row)) for row in rows]) == names
    if any(names):
        assert read(names) == names
        assert read([str(row) for row in names]) == names
        assert read(["|".join(row) or "|" for row in names]) == names
        numbers = [[NAMES.index(name) for name in row] for row in names]
        assert read(numbers, LabelOptions("indices")) == names
        own = {"labels": NAMES[::-1]}
        assert read([[3 - number for number in row] for row in numbers], class_names=own) == names
    assert columns([dict(zip(NAMES, row, strict=True)) for row in rows]) == [(row, []) for row in names]


def test_the_table_of_the_page_on_truth_is_so() -> None:
    page = (ROOT / "docs" / "truth.md").read_text()
    table = page.split("| field | `--labels_as` |")[1].split("\n\n")[0]
    rows = re.findall(
        r"^\| (`.*`) \| `(\w+)` \| ([a-z, ]+?)(?:; (\w+) is unknown)? \|", table.replace("\\|", "¦"), re.MULTILINE
    )
    assert len(rows) == 9
    for values, form, present, unknown in rows:
        for text in re.findall(r"`([^`]+)`", values):
            value = json.loads(text.replace("¦", "|"))
            choice = choose([value])
            truth = TruthReader(choice.rule, NAMES).read({"labels": value})
            assert choice.rule.form == form, text
            assert (truth[0], truth[1] or []) == (present.split(", "), [unknown] if unknown else []), text


def test_a_rule_survives_json() -> None:
    rule = LabelRule("columns", columns=("cat",), uncertain=(("", "present"), ("cat", "absent")), no_label=("none",))
    assert LabelRule.from_json(json.loads(json.dumps(asdict(rule)))) == rule
