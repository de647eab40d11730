"""One truth in every notation that people have and every format that can hold it is read the same, by every command."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulklabel.model.errors import UserError
from bulklabel.model.labels.choose_rule import AS_FOUND, LabelOptions
from bulklabel.pipelines.evaluate import main as evaluate
from bulklabel.pipelines.train import main as train
from bulklabel.transforms.reading.records import Columns
from bulklabel.transforms.scoring.model_files import save_model
from bulklabel.transforms.truth.truth_table import load_truth
from tests.conftest import DEFAULT, collage_rows, metrics_of, read_all, score, untrained_model
from tests.transforms.test_tfrecord import examples
from tests.transforms.test_webdataset import tar_of

LABELS = ("cat", "dog", "bird", "cow")
TRUTH: dict[str, list[str]] = {"a": ["dog"], "b": ["cat", "cow"], "c": [], "d": ["bird", "cow"]}
OTHER_ORDER = ("cow", "bird", "dog", "cat")
"""The names of a file that numbers its classes in its own order."""

Cells = Mapping[str, Any]
"""A record's fields by name, besides id and image."""


def vector(names: Sequence[str]) -> list[int]:
    return [int(label in names) for label in LABELS]


NOTATIONS: dict[str, Callable[[list[str]], Cells]] = {
    "names": lambda names: {"labels": names},
    "numbers": lambda names: {"labels": [LABELS.index(name) for name in names]},
    "the file's numbers": lambda names: {"labels": [OTHER_ORDER.index(name) for name in names]},
    "vector": lambda names: {"labels": vector(names)},
    "vector of floats": lambda names: {"labels": list(map(float, vector(names)))},
    "vector of flags": lambda names: {"labels": list(map(bool, vector(names)))},
    "columns": lambda names: dict(zip(LABELS, vector(names), strict=True)),
    "list as text": lambda names: {"labels": str(names)},
    "separated": lambda names: {"labels": ", ".join(names) or ","},
    "piped": lambda names: {"labels": "|".join(names) or "|"},
}


def as_parquet(folder: Path, rows: Mapping[str, Cells]) -> Path:
    table = pa.Table.from_pylist([{"id": name, "image": b"x", **cells} for name, cells in rows.items()])
    names = {"feature": {"names": OTHER_ORDER, "_type": "ClassLabel"}, "_type": "Sequence"}
    if any(isinstance(cells.get("labels"), list) and cells["labels"] == [2] for cells in rows.values()):
        table = table.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": {"labels": names, "image": {"_type": "Image"}}}})}
        )
    pq.write_table(table, folder / "a.parquet")
    return folder / "a.parquet"


def as_tfrecord(folder: Path, rows: Mapping[str, Cells]) -> Path:
    def feature(value: Any) -> list[Any]:
        values = value if isinstance(value, list) else [value]
        return [
            item.encode() if isinstance(item, str) else int(item) if isinstance(item, bool) else item for item in values
        ]

    return examples(
        folder / "a.tfrecord",
        *(
            {"image/source_id": [name.encode()], "image/encoded": [b"x"]}
            | {"image/class/text" if field == "labels" else field: feature(value) for field, value in cells.items()}
            for name, cells in rows.items()
        ),
    )


def as_webdataset(folder: Path, rows: Mapping[str, Cells]) -> Path:
    members: dict[str, bytes] = {}
    for name, cells in rows.items():
        members |= {f"{name}.jpg": b"x", f"{name}.json": json.dumps(cells).encode()}
    return tar_of(folder / "a.tar", members)


def as_jsonl(folder: Path, rows: Mapping[str, Cells]) -> Path:
    lines = [json.dumps({"file_name": f"{name}.png", "id": name, **cells}) for name, cells in rows.items()]
    return as_images(folder, rows, "metadata.jsonl", "\n".join(lines))


def as_csv(folder: Path, rows: Mapping[str, Cells]) -> Path:
    with (folder / "metadata.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "id", *next(iter(rows.values()))])
        for name, cells in rows.items():
            table.writerow([f"{name}.png", name, *cells.values()])
    return as_images(folder, rows, "metadata.csv", (folder / "metadata.csv").read_text())


def as_images(folder: Path, rows: Mapping[str, Cells], name: str, content: str) -> Path:
    (folder / name).write_text(content)
    for record in rows:
        (folder / f"{record}.png").write_bytes(b"x")
    return folder


FORMATS = {
    "parquet": as_parquet,
    "tfrecord": as_tfrecord,
    "webdataset": as_webdataset,
    "jsonl": as_jsonl,
    "csv": as_csv,
}


def rows_of(notation: str) -> dict[str, Cells]:
    return {name: NOTATIONS[notation](names) for name, names in TRUTH.items()}


IN_PARQUET_ALONE = "the file's numbers"
"""Only Parquet says what a file's own numbers mean."""


@pytest.mark.parametrize(
    ("format_name", "notation"),
    [
        (name, notation)
        for name in FORMATS
        for notation in NOTATIONS
        if name == "parquet" or notation != IN_PARQUET_ALONE
    ],
)
def test_every_notation_is_read_in_every_format(tmp_path: Path, format_name: str, notation: str) -> None:
    path = FORMATS[format_name](tmp_path, rows_of(notation))
    records, unreadable = read_all(path, labels=LABELS)
    assert not unreadable
    read = {row["id"]: sorted(row["labels"]) for row in records}
    assert read == {name: sorted(names) for name, names in TRUTH.items()}
    assert not any(row.get("unknown") for row in records)


@pytest.mark.parametrize(
    ("suffix", "notation"),
    [
        (suffix, notation)
        for suffix in ("parquet", "csv", "jsonl")
        for notation in NOTATIONS
        if suffix == "parquet" or notation != IN_PARQUET_ALONE
    ],
)
def test_every_notation_is_read_in_tables_of_truth(tmp_path: Path, suffix: str, notation: str) -> None:
    rows = {name: {"id": name, **cells} for name, cells in rows_of(notation).items()}
    path = tmp_path / f"truth.{suffix}"
    if suffix == "parquet":
        path = as_parquet(tmp_path, rows)
    elif suffix == "csv":
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, next(iter(rows.values())))
            table.writeheader()
            table.writerows(rows.values())
    else:
        path.write_text("\n".join(map(json.dumps, rows.values())))
    truth = load_truth([str(path)], DEFAULT, LABELS).columns_for([*TRUTH])
    assert [sorted(names) for names in truth["labels"].to_pylist()] == [sorted(names) for names in TRUTH.values()]


def test_one_label_a_record_by_the_files_own_numbers(tmp_path: Path) -> None:
    described = {"info": {"features": {"label": {"names": OTHER_ORDER, "_type": "ClassLabel"}}}}
    table = pa.table({"image": [b"x"] * 3, "label": [0, 3, -1]})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(described)}), tmp_path / "a.parquet")
    assert [row["labels"] for row in read_all(tmp_path / "a.parquet", labels=LABELS)[0]] == [["cow"], ["cat"], None]
    assert [row["labels"] for row in read_all(tmp_path / "a.parquet", labels=None)[0]] == [["cow"], ["cat"], None]


def test_numbers_of_tfrecords_may_count_from_one(tmp_path: Path) -> None:
    rows: list[dict[str, Sequence[Any]]] = [
        {"image/encoded": [b"x"], "image/class/label": [number]} for number in (1, 4, 2)
    ]
    path = examples(tmp_path / "a.tfrecord", *rows)
    with pytest.raises(
        UserError, match=r"are 1 to 4, .* give --label_offset 1, or accept this with --labels_as indices"
    ):
        read_all(path, labels=LABELS)
    records, _ = read_all(path, labels=LABELS, options=LabelOptions(offset=1))
    assert [row["labels"] for row in records] == [["cat"], ["cow"], ["dog"]]


def test_captions_of_img2dataset_leave_truth_unknown(tmp_path: Path) -> None:
    members: dict[str, bytes] = {}
    for number in range(4):
        members |= {
            f"{number:09}.jpg": b"x",
            f"{number:09}.json": json.dumps({"url": "http://x", "caption": "a cat on a mat", "status": "ok"}).encode(),
            f"{number:09}.txt": b"a cat on a mat",
        }
    records, unreadable = read_all(tar_of(tmp_path / "00000.tar", members), labels=LABELS)
    assert [row["labels"] for row in records] == [None] * 4
    assert not unreadable


def test_a_label_is_the_same_composed_and_decomposed(tmp_path: Path) -> None:
    names = ("Caf\u00e9", "bar")
    rows = {"a": {"labels": ["Cafe\u0301"]}, "b": {"labels": ["bar"]}}
    for format_name, write in FORMATS.items():
        (tmp_path / format_name).mkdir()
        cells = (
            {name: {"labels": "|".join(row["labels"])} for name, row in rows.items()} if format_name == "csv" else rows
        )
        records, _ = read_all(write(tmp_path / format_name, cells), labels=names)
        assert [row["labels"] for row in records] == [["Caf\u00e9"], ["bar"]], format_name


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(untrained_model(LABELS, side=8), str(folder))
    return folder


def without_truth(metrics: dict[str, Any]) -> str:
    """The text of `metrics.json` but for how truth was read."""
    return json.dumps({name: value for name, value in metrics.items() if name != "truth"})


def test_every_notation_gives_the_same_metrics(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the run itself, and where a table of truth has it; what differs is what is said of how it was read."""
    images = [row["image"] for row in collage_rows(40)]
    names = [list(TRUTH.values())[row % 4] for row in range(40)]
    metrics: dict[str, str] = {}
    for notation, write in NOTATIONS.items():
        folder = tmp_path / notation.replace(" ", "_").replace("'", "")
        folder.mkdir()
        rows = {f"r{row:02}": {"image": image, **write(names[row])} for row, image in enumerate(images)}
        assert score(as_parquet(folder, rows), model, folder / "run") == 0
        content = metrics_of(folder / "run")
        metrics[notation] = without_truth(content)
        assert content["truth"]["labels_seen"] == 4
        assert json.loads((folder / "run" / "plan.json").read_bytes())["truth"]["words"] == content["truth"]["words"]
        assert content["truth"]["words"] in (folder / "run" / "report.html").read_text().replace("&#39;", "'")
        assert f"truth: {content['truth']['words']}, such as " in capsys.readouterr().out
    assert all(content == metrics["names"] for content in metrics.values())
    lists = [(row, "|".join(each) or "|") for row, each in enumerate(names)]
    each_label = [(row, label) for row, each in enumerate(names) for label in each or [""]]
    for form, lines, flags in (("lists", lists, []), ("long", each_label, ["--labels_as=long"])):
        table, again = tmp_path / f"{form}.csv", tmp_path / f"by_{form}"
        table.write_text("id,labels\n" + "".join(f"r{row:02},{label}\n" for row, label in lines))
        assert evaluate([f"--input={tmp_path / 'names' / 'run'}", f"--output={again}", f"--truth={table}", *flags]) == 0
        assert without_truth(metrics_of(again)) == metrics["names"]


@pytest.mark.parametrize(
    ("cells", "flags", "words"),
    [
        ({"labels": [0, 9]}, [], "are 0 to 9, such as [0, 9] of 'r0', and those of the model 0 to 3"),
        ({"labels": ["Cat"]}, [], "no label of the truth is the model's"),
        ({"labels": ["cat"]}, ["--labels_as=columns"], "no field is named like a label of the model"),
        ({"labels": ["cat"]}, ["--uncertain=zebra=present"], "there is no label 'zebra'"),
    ],
)
def test_what_would_be_misread_ends_before_the_work(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], cells: Cells, flags: list[str], words: str
) -> None:
    path = as_parquet(tmp_path, {"r0": cells, "r1": cells})
    assert score(path, model, tmp_path / "run", *flags) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line]
    assert words in line
    assert not (tmp_path / "run").exists()


def test_a_truth_of_unknown_labels_alone_is_found_at_the_end_too(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the first records have no label at all, only all of them tell."""
    images = [row["image"] for row in collage_rows(1200)]
    rows = {f"r{row}": {"image": image, "labels": ["Cat"] if row > 1100 else []} for row, image in enumerate(images)}
    path = as_parquet(tmp_path, rows)
    assert score(path, model, tmp_path / "run") == 2
    assert "no label of the truth is the model's: it has 'Cat', and was read as names" in capsys.readouterr().err
    assert not (tmp_path / "run" / "_SUCCESS").exists()
    assert score(path, model, tmp_path / "run", "--labels_as=names") == 0
    assert metrics_of(tmp_path / "run")["unknown_labels"] == {"Cat": 99}


def test_an_example_may_have_bytes_that_are_no_characters(model: Path, tmp_path: Path) -> None:
    """In its name or in its labels: what is published of it is UTF-8."""
    (tmp_path / "in").mkdir()
    name, (image, *_) = "caf\udce9.png", [row["image"] for row in collage_rows(1)]
    (tmp_path / "in" / name).write_bytes(image)
    line = json.dumps({"file_name": name, "labels": ["cat", "\udce9"]})
    (tmp_path / "in" / "metadata.jsonl").write_text(line)
    assert score(tmp_path / "in", model, tmp_path / "run") == 0
    example = metrics_of(tmp_path / "run")["truth"]["example"]
    assert (example["id"], example["labels"]) == ("caf\\udce9.png", ["cat", "\\udce9"])
    (tmp_path / "truth.json").write_text(json.dumps([{"id": name, "labels": ["\udce9", "cat"]}]))
    again = [f"--input={tmp_path / 'run'}", f"--output={tmp_path / 'again'}", f"--truth={tmp_path / 'truth.json'}"]
    assert evaluate(again) == 0
    assert metrics_of(tmp_path / "again")["counts"]["with_truth"] == 1


def test_train_reads_truth_by_the_same_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    path = as_parquet(tmp_path, {"r0": {"labels": [0, 9]}, "r1": {"labels": [3]}})
    flags = [f"--input={path}", f"--output={tmp_path / 'model'}"]
    assert train(flags) == 2
    assert "the labels in 'labels' are numbers, such as [0, 9] of 'r0'; give --label_file" in capsys.readouterr().err
    assert train([*flags, f"--label_file={tmp_path / 'labels.txt'}"]) == 2
    assert "accept this with --labels_as indices" in capsys.readouterr().err
    path = as_csv(tmp_path, {"r0": {"labels": "3,7"}, "r1": {"labels": "cat"}})
    assert train([f"--input={path}", "--input_format=images", f"--output={tmp_path / 'model'}"]) == 2
    assert "may be one label or several; give --label_separator ','" in capsys.readouterr().err


def test_a_named_field_goes_before_the_usual_ones(tmp_path: Path) -> None:
    path = as_parquet(tmp_path, {"r0": {"labels": ["cat"], "tags": "dog, cow"}})
    (row,), _ = read_all(path, columns=Columns(labels="tags"), labels=LABELS, options=AS_FOUND)
    assert row["labels"] == ["dog", "cow"]
