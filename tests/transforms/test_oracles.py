"""Truth as the libraries that people write it with read it: pycocotools, and Hugging Face's datasets."""

import gc
import json
import random
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pycocotools.coco import COCO

from bulklabel.model.errors import UserError
from bulklabel.model.labels.choose_rule import LabelOptions
from bulklabel.transforms.reading.records import Columns
from bulklabel.transforms.truth.truth_table import load_truth
from tests.conftest import DEFAULT, read_all
from tests.support.cheap_runs import picture

LABELS = ("cat", "dog", "left.right", "Café")
"""The model's, in its order."""

OTHERS = ("dog", "zebra", "Café", "cat")
"""A file's, in another one."""


def annotated(seed: int) -> dict[str, Any]:
    """Instances as COCO writes them: numbers with gaps, crowds, several of one image and category, or none."""
    some = random.Random(seed)  # noqa: S311 (no secret)
    numbers = some.sample(range(1, 91), len(OTHERS))
    categories = [{"id": number, "name": name} for number, name in zip(numbers, OTHERS, strict=True)]
    images = [{"id": number, "file_name": f"{number:012}.jpg"} for number in some.sample(range(1, 10**6), 12)]
    annotations = [
        {
            "id": number,
            "image_id": some.choice(images[:-2])["id"],  # the last two have none
            "category_id": some.choice(numbers[: 1 + seed % 4]),
            "iscrowd": int(some.random() < 0.3),
            "bbox": [1, 1, 5, 5],
            "area": 25,
        }
        for number in range(30)
    ]
    return {"images": images, "categories": categories, "annotations": annotations}


@pytest.mark.parametrize("seed", range(8))
def test_coco_has_the_categories_that_pycocotools_finds(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(annotated(seed)))
    coco = COCO(str(path))
    names = {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())}
    truth = load_truth([str(path)], Columns(), LABELS)
    assert sorted(truth.ids) == sorted(image["file_name"] for image in coco.loadImgs(coco.getImgIds()))
    for image in coco.loadImgs(coco.getImgIds()):
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))  # crowds, too
        columns = truth.columns_for([image["file_name"]])
        assert {*columns["labels"].to_pylist()[0]} == {names[each["category_id"]] for each in annotations}
        assert columns["unknown"].to_pylist() == [["left.right"]]  # it is no category


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The library `datasets`, which asks no network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_OFFLINE", "1")
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hugging_face")))
        import datasets

        datasets.disable_progress_bars()
        yield datasets


def named(dataset: Any, column: str) -> list[list[str] | None]:
    """The labels of each row by their names, as the library itself gives them."""
    feature = dataset.features[column]
    rows = []
    for value in dataset[column]:
        items = value if isinstance(value, list) or value is None else [value]
        class_label = getattr(feature, "feature", feature)
        rows.append(items and [class_label.int2str(i) if hasattr(class_label, "int2str") else i for i in items])
    return rows


def features(datasets: Any) -> dict[str, tuple[Any, list[Any]]]:
    """Kinds of columns of labels, each with values."""
    numbers = datasets.ClassLabel(names=list(OTHERS))
    lists = [[0, 3], [], None, [2], [1]]
    return {
        "Sequence(ClassLabel)": (datasets.Sequence(numbers), lists),
        "List(ClassLabel)": (datasets.List(numbers), lists),
        "LargeList(ClassLabel)": (datasets.LargeList(numbers), lists),
        "ClassLabel": (numbers, [0, 3, None, 2, 1]),
        "Sequence(string)": (datasets.Sequence(datasets.Value("string")), [["dog", "cat"], [], None, ["Café"], ["x"]]),
        "Sequence(large_string)": (datasets.Sequence(datasets.Value("large_string")), [["dog"], [], None, ["x"], []]),
        "Value(string)": (datasets.Value("string"), ["dog", "cat", None, "Café", "zebra"]),
    }


KINDS = (
    "Sequence(ClassLabel)",
    "List(ClassLabel)",
    "LargeList(ClassLabel)",
    "ClassLabel",
    "Sequence(string)",
    "Sequence(large_string)",
    "Value(string)",
)


@pytest.mark.parametrize("images", ["bytes", "paths"])
@pytest.mark.parametrize("kind", KINDS)
def test_parquet_of_datasets_has_the_labels_that_datasets_gives(
    kind: str, images: str, hugging_face: Any, tmp_path: Path
) -> None:
    feature, values = features(hugging_face)[kind]
    content = [picture(9, number) for number in range(len(values))]
    paths = [tmp_path / f"{number}.png" for number in range(len(values))]
    for path, image in zip(paths, content, strict=True):
        path.write_bytes(image)
    cells = [{"bytes": image, "path": None} for image in content] if images == "bytes" else [*map(str, paths)]
    rows = {"id": [*range(len(values))], "image": cells, "labels": values, "site": ["a", None, "b", "b", "c"]}
    kinds = {"id": hugging_face.Value("int64"), "image": hugging_face.Image(), "labels": feature}
    dataset = hugging_face.Dataset.from_dict(
        rows, features=hugging_face.Features({**kinds, "site": hugging_face.Value("string")})
    )
    dataset.to_parquet(tmp_path / "a.parquet")
    records, unreadable = read_all(tmp_path / "a.parquet", columns=Columns(carry=("site",)), labels=LABELS)
    assert unreadable == []
    assert [record["labels"] for record in records] == named(dataset, "labels")
    assert [record["image"] for record in records] == content
    assert [(record["id"], record["site"]) for record in records] == [
        (str(row["id"]), row["site"]) for row in dataset.remove_columns("image")
    ]
    # The same file is truth by itself, too.
    truth = load_truth([str(tmp_path / "a.parquet")], Columns(labels="labels"), LABELS)
    assert truth.columns_for([str(number) for number in range(len(values))])["labels"].to_pylist() == named(
        dataset, "labels"
    )


def test_numbers_that_datasets_knows_no_names_of_are_asked_for(hugging_face: Any, tmp_path: Path) -> None:
    """Numbers of something else would be read by the model's order: 0/1 vectors and offsets look the same."""
    values = hugging_face.Sequence(hugging_face.Value("int64"))
    rows = {"image": [{"bytes": picture(9, 0), "path": None}] * 2, "labels": [[1, 3], [2]]}
    dataset = hugging_face.Dataset.from_dict(
        rows, features=hugging_face.Features({"image": hugging_face.Image(), "labels": values})
    )
    dataset.to_parquet(tmp_path / "a.parquet")
    records, _ = read_all(tmp_path / "a.parquet", labels=LABELS)
    assert [record["labels"] for record in records] == [["dog", "Café"], ["left.right"]]
    with pytest.raises(UserError, match="file_indices"):
        read_all(tmp_path / "a.parquet", labels=LABELS, options=LabelOptions(labels_as="file_indices"))


def image_folder(hugging_face: Any, folder: Path, cache: Path) -> Any:
    """What the library makes of a folder of images, in the order of names."""
    dataset = hugging_face.load_dataset("imagefolder", data_dir=str(folder), split="train", cache_dir=str(cache))
    return dataset.cast_column("image", hugging_face.Image(decode=False))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # datasets leaves CSV open
@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
def test_a_folder_with_metadata_has_the_labels_that_datasets_gives(
    name: str, hugging_face: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    (folder / "a").mkdir(parents=True)
    rows = [{"file_name": f"a/{number}.png", "label": label} for number, label in enumerate(["cat", "dog", "Café"])]
    for number, row in enumerate(rows):
        (folder / row["file_name"]).write_bytes(picture(9, number))
    if name.endswith("parquet"):
        hugging_face.Dataset.from_list(rows).to_parquet(folder / name)
    elif name.endswith("csv"):
        hugging_face.Dataset.from_list(rows).to_csv(folder / name)
    else:
        hugging_face.Dataset.from_list(rows).to_json(folder / name)
    dataset = image_folder(hugging_face, folder, tmp_path / "cache")
    records, unreadable = read_all(folder, labels=LABELS)
    assert unreadable == []
    assert {record["image"]: record["labels"] for record in records} == {
        Path(row["image"]["path"]).read_bytes(): [row["label"]] for row in dataset
    }
    gc.collect()  # while the warning of that file is ignored


def test_class_folders_have_the_labels_that_datasets_gives(hugging_face: Any, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for number, label in enumerate(["dog", "cat", "cat", "Café"]):
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{number}.png").write_bytes(picture(9, number))
    dataset = image_folder(hugging_face, folder, tmp_path / "cache")
    pattern = Columns(path_pattern=r"(?P<labels>[^/]+)/[^/]+$")
    records, unreadable = read_all(folder, columns=pattern, labels=LABELS)
    assert unreadable == []
    label = dataset.features["label"]
    assert {record["image"]: record["labels"] for record in records} == {
        Path(row["image"]["path"]).read_bytes(): [label.int2str(row["label"])] for row in dataset
    }
    assert all(record["labels"] is None for record in read_all(folder, columns=DEFAULT, labels=LABELS)[0])
