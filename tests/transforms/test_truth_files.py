"""Truth in the files that people have it in: Open Images, NIH, CheXpert, COCO, LVIS, Pascal VOC and Label Studio."""

import gzip
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from bulklabel.model.errors import UserError
from bulklabel.model.labels.choose_rule import AS_FOUND, LabelOptions
from bulklabel.model.labels.examine_rule import truth_line
from bulklabel.model.labels.truth import encode_truth
from bulklabel.pipelines.flags.evaluate import parser
from bulklabel.pipelines.flags.values import label_options_of
from bulklabel.transforms.reading.records import Columns
from bulklabel.transforms.truth.truth_table import TruthTable, load_truth
from tests.conftest import ROOT

LABELS = ("cat", "dog", "Caf\u00e9")

OPEN_IMAGES = """ImageID,Source,LabelName,Confidence
a,verification,cat,1
a,verification,dog,0
a,crowdsource-verification,cat,1
b,verification,dog,1
"""

COCO: dict[str, Any] = {
    "images": [{"id": number, "file_name": f"{number}.jpg"} for number in (9, 25, 30)],
    "categories": [{"id": 17, "name": "cat"}, {"id": 0, "name": "dog"}, {"id": 90, "name": "toothbrush"}],
    "annotations": [
        {"id": 1, "image_id": 9, "category_id": 17},
        {"id": 2, "image_id": 9, "category_id": 17},
        {"id": 3, "image_id": 25, "category_id": 0, "iscrowd": 1},
    ],
}


def truth_in(
    folder: Path, name: str, content: Any, options: LabelOptions = AS_FOUND, columns: Columns | None = None
) -> TruthTable:
    text = (content if isinstance(content, str) else json.dumps(content)).encode()
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return load_truth([str(path)], columns or Columns(), LABELS, options)


def cells(truth: TruthTable, *ids: str) -> list[list[int]]:
    columns = truth.columns_for(ids or list(truth.ids))
    encoded: list[list[int]] = encode_truth(columns["labels"], truth.labels, columns.get("unknown"))[0].tolist()
    return encoded


def task(image: str, *choices: Any, **more: Any) -> dict[str, Any]:
    """A task of Label Studio; None is an annotation that was cancelled."""
    annotations = [
        {"was_cancelled": made is None, "result": [{"type": "choices", "value": {"choices": made}}] if made else []}
        for made in choices
    ]
    return {"data": {"image": image}, "annotations": annotations} | more


def test_open_images_knows_what_was_verified(tmp_path: Path) -> None:
    truth = truth_in(tmp_path, "a.csv", OPEN_IMAGES)
    assert cells(truth, "a", "b", "c") == [[1, 0, -1], [-1, 1, -1], [-1, -1, -1]]
    assert truth_line(truth.content).startswith("truth: a row for each label of a record, such as ['cat'] of a")
    blank = (("", "absent"), ("cat", "unknown"))
    assert cells(truth_in(tmp_path, "a.csv", OPEN_IMAGES, LabelOptions(blank=blank))) == [[1, 0, 0], [-1, 1, 0]]


def test_rows_of_a_label_without_confidence_are_asked_for(tmp_path: Path) -> None:
    text = "image,label\na,cat\na,Cafe\u0301\nb,dog\nc,\n"
    with pytest.raises(UserError, match="ids repeat; give --labels_as long if each row says one label"):
        truth_in(tmp_path, "a.csv", text)
    truth = truth_in(tmp_path, "a.csv", text, LabelOptions("long"))
    assert cells(truth) == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    with pytest.raises(UserError, match="there is a column 'confidence'; give --labels_as long"):
        truth_in(tmp_path, "a.csv", "id,label,confidence\na,cat,0\nb,dog,1\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OPEN_IMAGES + "a,verification,cat,0\n", "row 5: another row says the opposite of 'a' and 'cat'"),
        (OPEN_IMAGES + "a,machine,cat,0.7\n", "row 5: 'Confidence' is '0.7'; expected 1 (present) or 0 (absent)"),
        (OPEN_IMAGES + "a,machine,cat,\n", "row 5: 'Confidence' is ''; expected 1"),
        (
            "ImageID,Source,LabelName,Confidence\na,verification,/m/01g317,1\n",
            "no label of the truth is the model's: it has '/m/01g317', and the model 'cat'; replace these machine",
        ),
        ("ImageID,LabelName,Confidence\na,Cat,1\n", "name the labels as the model does"),
    ],
)
def test_rows_of_a_label_that_cannot_be_meant(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        truth_in(tmp_path, "a.csv", text)


@pytest.mark.parametrize("no_label", [(), ("No Finding",)])
def test_nih_and_its_no_finding(tmp_path: Path, no_label: tuple[str, ...]) -> None:
    text = "Image Index,Finding Labels,Follow-up #\n1_000.png,cat|dog,0\n1_001.png,No Finding,1\n"
    truth = truth_in(tmp_path, "Data_Entry_2017.csv", text, LabelOptions(no_label=no_label))
    assert cells(truth, "1_000.png", "1_001.png") == [[1, 1, 0], [0, 0, 0]]
    assert bool(truth.content["warnings"]) == (not no_label)
    text = "id,label,confidence\na,No Finding,1\nb,cat,1\nb,dog,0\nb,No Finding,0\n"
    if no_label:
        options = LabelOptions("long", no_label=no_label)
        assert cells(truth_in(tmp_path, "b.csv", text, options)) == [[0, 0, 0], [1, 0, -1]]
        with pytest.raises(UserError, match="rows of 'a' say that it has no label, and that it has one"):
            truth_in(tmp_path, "b.csv", f"{text}a,cat,1\n", options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (AS_FOUND, [[1, -1, 0], [-1, 1, -1]]),
        (LabelOptions(uncertain=(("", "present"),), blank=(("", "absent"),)), [[1, 1, 0], [0, 1, 0]]),
        (LabelOptions(uncertain=(("dog", "absent"),), blank=(("cat", "present"),)), [[1, 0, 0], [1, 1, -1]]),
        (LabelOptions(no_label=("No Finding",)), [[1, -1, 0], [0, 1, 0]]),
    ],
)
def test_chexpert_and_what_its_cells_mean(tmp_path: Path, options: LabelOptions, expected: list[list[int]]) -> None:
    text = "Path,Sex,No Finding,cat,dog,Caf\u00e9\nv1/p1/1.jpg,F,,1.0,-1.0,0.0\nv1/p2/1.jpg,M,1.0,,1.0,\n"
    assert cells(truth_in(tmp_path, "train.csv", text, options)) == expected


@pytest.mark.parametrize("name", ["instances.json", "instances.json.gz"])
def test_coco_knows_its_categories_of_all_images(tmp_path: Path, name: str) -> None:
    truth = truth_in(tmp_path, name, COCO)
    assert cells(truth, "9.jpg", "25.jpg", "30.jpg") == [[1, 0, -1], [0, 1, -1], [0, 0, -1]]
    assert truth.labels_without_column == ["Caf\u00e9"]
    assert truth_in(tmp_path, name, COCO, columns=Columns(id="id")).ids == ["9", "25", "30"]


def test_choices_that_the_model_does_not_know_are_counted(tmp_path: Path) -> None:
    """As other names are, where they are present; a record of which nothing else is known has unknown truth."""
    brushed = [*COCO["annotations"], {"id": 4, "image_id": 30, "category_id": 90}]
    images = [image | {"neg_category_ids": [0] if image["id"] == 9 else []} for image in COCO["images"]]
    tables: dict[str, tuple[Any, list[Any], list[Any]]] = {
        "coco.json": (COCO | {"annotations": brushed}, [["cat"], ["dog"], ["toothbrush"]], [["Caf\u00e9"]] * 3),
        "lvis.json": (
            COCO | {"images": images, "annotations": brushed},
            [["cat"], ["dog"], ["toothbrush"]],
            [["Caf\u00e9"], ["cat", "Caf\u00e9"], [*LABELS]],
        ),
        "studio.json": (
            [task("1.jpg", ["cat", "toothbrush"]), task("2.jpg", ["toothbrush"], ["cat", "toothbrush"])],
            [["cat", "toothbrush"], ["toothbrush"]],
            [["dog", "Caf\u00e9"], [*LABELS]],
        ),
    }
    for name, (content, present, unknown) in tables.items():
        truth = truth_in(tmp_path, name, content)
        columns = truth.columns_for(truth.ids)
        assert (columns["labels"].to_pylist(), columns["unknown"].to_pylist()) == (present, unknown), name
        assert truth.labels_without_column == ([*LABELS[1:]] if name == "studio.json" else ["Caf\u00e9"])
    ones = COCO | {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [brushed[0] | {"image_id": 1}]}
    truth = truth_in(tmp_path, "ones.json", ones, LabelOptions(no_label=("toothbrush",)))
    assert truth.columns_for(["1.jpg"])["labels"].to_pylist() == [["cat"]]


def test_lvis_knows_what_was_looked_for(tmp_path: Path) -> None:
    images = [{"id": 9, "coco_url": "http://x/9.jpg", "neg_category_ids": [0], "not_exhaustive_category_ids": [17]}]
    lvis = COCO | {"images": images, "annotations": COCO["annotations"][:2]}
    assert cells(truth_in(tmp_path, "lvis.json", lvis), "http://x/9.jpg") == [[1, 0, -1]]
    assert cells(
        truth_in(tmp_path, "lvis.json", lvis | {"annotations": [COCO["annotations"][0] | {"category_id": 90}]})
    )[0] == [-1, 0, -1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"annotations": [{"id": 7, "image_id": 8, "category_id": 17}]}, "'7' has the image_id 8, which is not listed"),
        ({"annotations": [{"id": 7, "image_id": 9, "category_id": 18}]}, "'7' has the category_id 18, which is not"),
        ({"annotations": [{"id": 7, "image_id": 9, "caption": "a cat"}]}, "'7' has the category_id None, which is not"),
        ({"categories": [{"name": "cat"}]}, "it does not follow its format (KeyError: 'id')"),
        ({"annotations": []}, "it has no 'annotations'; give COCO's JSON of instances"),
        ({"categories": [{"id": 17, "name": "Cat"}, {"id": 0, "name": "x"}]}, "no label of the truth is the model's"),
        ({"categories": [{"id": 17, "name": "x"}, {"id": 0, "name": "y"}]}, "it has 'x', and the model 'cat'"),
        ({"images": [*COCO["images"], {"id": 31, "file_name": "9.jpg"}]}, "the id '9.jpg' occurs twice"),
    ],
)
def test_coco_that_cannot_be_meant(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        truth_in(tmp_path, "instances.json", COCO | change)


def test_voc_lists_are_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "Main"
    truth_in(tmp_path, "Main/cat_val.txt", "2008_000008  1\n2008_000015 -1\n2008_000019  0\n")
    (folder / "dog_val.txt").write_text("2008_000008 -1\n2008_000015  1\n")
    (folder / "dog_trainval.txt").write_text("2008_000008 -1\n")
    (folder / "val.txt").write_text("2008_000008\n2008_000015\n")
    truth = load_truth([str(folder)], Columns(), LABELS)
    assert cells(truth, "2008_000008", "2008_000015", "2008_000019") == [[1, 0, -1], [0, 1, -1], [-1, -1, -1]]
    difficult = load_truth([str(folder)], Columns(), LABELS, LabelOptions(uncertain=(("", "present"),)))
    assert cells(difficult, "2008_000019") == [[1, -1, -1]]
    (folder / "dog_train.txt").write_text("2008_000008 1\n")
    with pytest.raises(UserError, match="another line says something else of '2008_000008' and 'dog'"):
        load_truth([str(folder)], Columns(), LABELS)
    with pytest.raises(
        UserError, match="line 1: '2008_000008' is not an image and 1, 0 or -1; give Pascal VOC's lists"
    ):
        load_truth([str(folder / "val.txt")], Columns(), LABELS)


def test_label_studio_counts_what_annotators_agree_on(tmp_path: Path) -> None:
    tasks = [
        task("/data/upload/3/a0b1c2d3-my%20cat.jpg", ["cat"], ["cat", "dog"]),
        task("s3://pets/2.jpg", [], None),
        task("/data/local-files/?d=pets%2F3.jpg", "dog"),
        task("4.jpg", None),
        task("5.jpg", ["cat"], id=5),
        task("5.jpg", ["cat"], id=5),
        task("6.jpg", ["cat"], ["dog"]),
    ]
    tasks[-1]["annotations"][1]["ground_truth"] = True
    truth = truth_in(tmp_path, "export.json", tasks)
    assert dict(zip(truth.ids, cells(truth), strict=True)) == {
        "my cat.jpg": [1, -1, -1],
        "s3://pets/2.jpg": [0, 0, -1],
        "pets/3.jpg": [0, 1, -1],
        "5.jpg": [1, 0, -1],
        "6.jpg": [0, 1, -1],
    }
    box = {"type": "rectanglelabels", "value": {"x": 1, "rectanglelabels": ["dog"]}}
    assert cells(truth_in(tmp_path, "boxes.json", [task("1.jpg") | {"annotations": [{"result": [box]}]}])) == [
        [-1, 1, -1]
    ]
    with pytest.raises(UserError, match="Label Studio's annotations say nothing about any label"):
        truth_in(tmp_path, "nothing.json", [task("1.jpg", None)])
    with pytest.raises(UserError, match="task 1: it has no 'image'; it has text"):
        truth_in(tmp_path, "text.json", [{"data": {"text": "hello"}, "annotations": [{"result": []}]}])


def test_label_studio_with_a_row_an_annotation(tmp_path: Path) -> None:
    made: list[tuple[str, Any]] = [("1.jpg", "cat"), ("1.jpg", {"choices": ["cat", "dog"]}), ("2.jpg", "dog")]
    rows = [
        {"image": image, "id": 1, "choice": choice, "annotator": 1, "annotation_id": number, "lead_time": 2.5}
        for number, (image, choice) in enumerate(made)
    ]
    assert cells(truth_in(tmp_path, "min.json", rows), "1.jpg", "2.jpg") == [[1, -1, -1], [0, 1, -1]]
    lines = "".join(
        f"{image},1,{json.dumps(json.dumps(choice)) if isinstance(choice, dict) else choice},1,{number},2.5\n".replace(
            '\\"', '""'
        )
        for number, (image, choice) in enumerate(made)
    )
    header = "image,id,choice,annotator,annotation_id,lead_time\n"
    truth = truth_in(tmp_path, "min.csv", f"{header}{lines}")
    assert cells(truth, "1.jpg", "2.jpg") == [[1, -1, -1], [0, 1, -1]]
    twice = """1.jpg,1,"{""choices"": [""cat""], ""choices"": [""dog""]}",1,7,2.5\n"""
    with pytest.raises(UserError, match=r"min\.csv: an object has the key 'choices' twice"):
        truth_in(tmp_path, "min.csv", f"{header}{twice}")


def test_ground_truths_manifest_has_names_for_its_numbers(tmp_path: Path) -> None:
    """Of SageMaker and Rekognition: the numbers are the job's, and not the model's."""
    lists: list[dict[str, Any]] = [
        {"source-ref": "s3://b/1.jpg", "job": [0, 2], "job-metadata": {"class-map": {"0": "dog", "2": "cat"}}},
        {"source-ref": "s3://b/2.jpg", "job": [], "job-metadata": {"class-map": {}}},
    ]
    single = [{"source-ref": row["source-ref"], "job": 0, "job-metadata": {"class-name": "dog"}} for row in lists]
    fields = [{"source-ref": row["source-ref"], "cat": 1, "cat-metadata": {"class-name": "cat"}} for row in lists]
    for rows, expected in ((lists, [[1, 1, 0], [0, 0, 0]]), (single, [[0, 1, 0]] * 2), (fields, [[1, -1, -1]] * 2)):
        columns = Columns(labels=None if rows is fields else "job")
        for name, text in (("a.manifest.jsonl", "\n".join(map(json.dumps, rows))), ("a.json", json.dumps(rows))):
            assert cells(truth_in(tmp_path, name, text, columns=columns)) == expected
    lists[0]["job"] = [0, 1]
    with pytest.raises(UserError, match=r"row 1: the label '1' is not text; say what numbers mean with --labels_as"):
        truth_in(tmp_path, "b.json", lists, LabelOptions("names"), Columns(labels="job"))


def test_objects_of_create_ml_are_no_tasks(tmp_path: Path) -> None:
    rows = [{"image": "1.jpg", "annotations": ["cat", "dog"]}, {"image": "2.jpg", "annotations": []}]
    with pytest.raises(UserError, match=r"name their column with --labels_column, .*: there are image, annotations"):
        truth_in(tmp_path, "a.json", rows)
    assert cells(truth_in(tmp_path, "a.json", rows, columns=Columns(labels="annotations"))) == [[1, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_objects_in_json_are_rows(tmp_path: Path, name: str) -> None:
    rows = [{"file_name": "1.jpg", "labels": ["cat"]}, {"file_name": "2.jpg", "labels": []}]
    text = json.dumps(rows) if name.endswith("json") else "\n".join(map(json.dumps, rows))
    assert cells(truth_in(tmp_path, name, text)) == [[1, 0, 0], [0, 0, 0]]
    for bad, words in (
        ("[1]", "row 1: '1' is not an object"),
        ("{", "row 1: the row '{' is no JSON"),
        ("[]", "no columns"),
        (
            text.replace('"labels":', '"labels": [], "labels":'),
            "an object has the key 'labels' twice; keep one of them",
        ),
    ):
        with pytest.raises(UserError, match=words):
            truth_in(tmp_path, name, bad)


EXAMPLES = re.findall(
    r"```(?:csv|json|text)\n(.*?)```\n\n`(--truth [^`]+)`\n\n\| image \|.*?\n\| --- .*?\n(.*?)\n\n",
    (ROOT / "docs" / "truth.md").read_text(),
    re.DOTALL,
)
"""The page's examples: a file, flags, and the rows of a table of what is present and absent."""


def test_the_page_has_an_example_of_each_kind() -> None:
    assert len(EXAMPLES) == 7


@pytest.mark.parametrize(("content", "flags", "expected"), EXAMPLES)
def test_what_the_page_says_of_a_file_is_so(content: str, flags: str, expected: str, tmp_path: Path) -> None:
    options = parser().parse_args(["--input=run", "--output=out", *shlex.split(flags)])
    labels = ("cat", "dog", "bird")
    path = tmp_path / options.truth[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    truth = load_truth([str(path)], Columns(), labels, label_options_of(options, labels), options.truth_key)
    for row in expected.splitlines():
        image, *listed = (cell.strip() for cell in row.strip("|").split("|"))
        present, absent = (filter(None, cell.split(", ")) for cell in listed)
        known = dict.fromkeys(labels, -1) | dict.fromkeys(present, 1) | dict.fromkeys(absent, 0)
        assert cells(truth, image) == [list(known.values())]
