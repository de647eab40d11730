"""Truth that is unknown label by label: read from every format, kept in the parts, and left out of the metrics."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn import metrics as oracle

from bulklabel.model.errors import UserError
from bulklabel.transforms.reading.records import Columns
from bulklabel.transforms.scoring.model_files import save_model
from tests.conftest import (
    answers,
    collage_rows,
    metrics_of,
    part_of,
    predictions_of,
    read_all,
    rejected_of,
    score,
    untrained_model,
)
from tests.transforms.test_tfrecord import examples
from tests.transforms.test_webdataset import tar_of

LABELS = ("cat", "dog", "bird")
COLUMNS = Columns(unknown="doubt", carry=("price",))

ROWS: list[dict[str, Any]] = [
    {"id": "a", "labels": ["cat"], "doubt": ["dog", "zebra"], "price": "3"},
    {"id": "b", "labels": [], "doubt": ["cat"], "price": None},
    {"id": "c", "labels": None, "doubt": ["cat"], "price": None},
    {"id": "d", "labels": ["dog"], "doubt": [], "price": None},
    {"id": "e", "labels": ["dog"], "doubt": None, "price": None},
    {"id": "f", "labels": ["dog", "cat"], "doubt": ["cat"], "price": None},
]


def as_parquet(folder: Path) -> Path:
    pq.write_table(pa.Table.from_pylist([{"image": b"x", **row} for row in ROWS]), folder / "a.parquet")
    return folder / "a.parquet"


def as_tfrecord(folder: Path) -> Path:
    features: list[dict[str, Sequence[Any]]] = []
    for row in ROWS:
        named = {"image/class/text": row["labels"], "doubt": row["doubt"], "price": row["price"] and [row["price"]]}
        lists = {name: [item.encode() for item in items] for name, items in named.items() if items is not None}
        features.append({"image/source_id": [row["id"].encode()], "image/encoded": [b"x"], **lists})
    return examples(folder / "a.tfrecord", *features)


def as_webdataset(folder: Path) -> Path:
    members: dict[str, bytes] = {}
    for row in ROWS:
        described = {name: value for name, value in row.items() if name != "doubt" or row["id"] != "b"}
        members |= {f"{row['id']}.jpg": b"x", f"{row['id']}.json": json.dumps(described).encode()}
        if row["id"] == "b":
            members["b.doubt"] = b"cat\n"
    return tar_of(folder / "a.tar", members)


def as_jsonl(folder: Path) -> Path:
    lines = [json.dumps({"file_name": f"{row['id']}.png", **row}) + "\n" for row in ROWS]
    return as_images(folder, "metadata.jsonl", "".join(lines))


def as_csv(folder: Path) -> Path:
    lines = ["doubt,file_name,id,labels,price\n"]
    for row in ROWS:
        doubt, labels = ("" if row[name] is None else "|".join(row[name]) or "|" for name in ("doubt", "labels"))
        lines.append(f"{doubt},{row['id']}.png,{row['id']},{labels},{row['price'] or ''}\n")
    return as_images(folder, "metadata.csv", "".join(lines))


def as_images(folder: Path, name: str, described: str) -> Path:
    (folder / name).write_text(described)
    for row in ROWS:
        (folder / f"{row['id']}.png").write_bytes(b"x")
    return folder


@pytest.mark.parametrize("write", [as_parquet, as_tfrecord, as_webdataset, as_jsonl, as_csv])
def test_every_format_can_say_which_labels_are_unknown(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    records, unreadable = read_all(write(tmp_path), columns=COLUMNS)
    assert [(row["id"], row["labels"], row["unknown"], row["price"]) for row in records] == [
        (row["id"], row["labels"], row["doubt"], row["price"]) for row in ROWS[:5]
    ]
    assert [row[1:] for row in unreadable] == [("bad_labels", "f")]


def test_numbers_stand_for_labels_that_are_unknown_as_well(tmp_path: Path) -> None:
    columns = {"image": [b"x"] * 3, "labels": [[0], [0], [0]], "doubt": [[1], [0], [7]]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    records, unreadable = read_all(tmp_path / "a.parquet", columns=Columns(unknown="doubt"))
    assert [(row["labels"], row["unknown"]) for row in records] == [(["cat"], ["dog"]), (["cat"], ["number 7"])]
    assert [row[:2] for row in unreadable] == [(1, "bad_labels")]
    pq.write_table(pa.table(columns | {"doubt": ["dog"] * 3}), tmp_path / "a.parquet")
    _, unreadable = read_all(tmp_path / "a.parquet", columns=Columns(unknown="doubt"))
    assert [row[:2] for row in unreadable] == [(row, "bad_labels") for row in range(3)]


@pytest.mark.parametrize("columns", [Columns(carry=("price", "prize")), Columns(unknown="prize")])
@pytest.mark.parametrize("kind", ["parquet", "images", "bare images"])
def test_a_name_that_no_file_has_is_one_line(tmp_path: Path, kind: str, columns: Columns) -> None:
    if kind == "parquet":
        pq.write_table(pa.table({"image": [b"x"], "price": [""]}), tmp_path / "a.parquet")
    else:
        (tmp_path / "a.png").write_bytes(b"x")
        if kind == "images":
            (tmp_path / "metadata.csv").write_text("file_name,price\na.png,\n")
    flag = "--unknown_column" if columns.unknown else "column"
    with pytest.raises(UserError, match=f"{flag} pri[cz]e: no ") as caught:
        read_all(tmp_path, columns=columns)
    assert kind == "bare images" or "prize" in str(caught.value)
    assert "\n" not in str(caught.value)
    if kind == "images":
        assert "only file_name, price; name one of those" in str(caught.value)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(untrained_model(LABELS), str(folder))
    return folder


def random_truth(count: int) -> np.ndarray:
    truth = np.random.default_rng(5).integers(-1, 2, (count, len(LABELS)))
    truth[::7] = -1
    truth[1::7] = np.abs(truth[1::7])
    return truth


@pytest.fixture(scope="module")
def partly_unknown(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, np.ndarray]:
    """A corpus with truth of all three kinds in two shards, its run, and the truth, N×L."""
    folder = tmp_path_factory.mktemp("partly_unknown")
    rows = collage_rows(200)
    truth = random_truth(200)
    for row, known in zip(rows, truth, strict=True):
        row["labels"], row["doubt"] = ([LABELS[i] for i in np.flatnonzero(known == value)] for value in (1, -1))
    rows[3]["image"] = b"bad"
    rows[5]["labels"], rows[5]["doubt"] = ["cat"], ["cat"]
    for number in range(2):
        pq.write_table(pa.Table.from_pylist(rows[100 * number : 100 * (number + 1)]), folder / f"{number}.parquet")
    run = folder / "run"
    assert score(folder, model, run, "--unknown_column=doubt") == 0
    return folder, run, np.delete(truth, [3, 5], axis=0)


def assert_metrics_are_of(truth: np.ndarray, run: Path) -> None:
    """Each label's metrics are scikit-learn's over the records in which it is known."""
    table = predictions_of(run)
    for column, (label, row) in enumerate(zip(LABELS, metrics_of(run)["per_label"], strict=True)):
        known = truth[:, column] != -1
        present, predicted = truth[known, column], [label in names for names in table["predicted"].to_pylist()]
        confusion = oracle.confusion_matrix(present, np.array(predicted)[known], labels=[0, 1]).ravel().tolist()
        assert [row[name] for name in ("tn", "fp", "fn", "tp")] == confusion
    assert metrics_of(run)["counts"]["with_truth"] == (truth != -1).any(axis=1).sum()


def test_what_is_unknown_does_not_count(partly_unknown: tuple[Path, Path, np.ndarray]) -> None:
    _, run, truth = partly_unknown
    assert predictions_of(run).column_names[3:6] == ["labels", "unknown", "predicted"]
    assert_metrics_are_of(truth, run)
    rejected = {row["id"]: (row["reason"], row["detail"]) for row in rejected_of(run)}
    assert rejected["r00005"] == ("bad_labels", "the label 'cat' is given as present and as unknown")


def test_a_continued_run_honours_what_is_unknown(
    partly_unknown: tuple[Path, Path, np.ndarray], model: Path, tmp_path: Path
) -> None:
    corpus, run, _ = partly_unknown
    continued = tmp_path / "run"
    shutil.copytree(run, continued)
    (continued / "_SUCCESS").unlink()
    part_of(continued, "predictions", 1).unlink()
    assert score(corpus / "*.parquet", model, continued, "--unknown_column=doubt") == 0
    assert answers(continued) == answers(run)


def test_evaluating_again_honours_what_is_unknown(
    partly_unknown: tuple[Path, Path, np.ndarray], tmp_path: Path
) -> None:
    from bulklabel.pipelines.evaluate import main

    _, run, _ = partly_unknown
    assert main([f"--input={run}", f"--output={tmp_path / 'again'}"]) == 0
    assert metrics_of(tmp_path / "again") == metrics_of(run)


def test_truth_from_elsewhere_replaces_what_was_unknown(
    partly_unknown: tuple[Path, Path, np.ndarray], tmp_path: Path
) -> None:
    from bulklabel.pipelines.evaluate import main

    _, run, truth = partly_unknown
    lists = [
        ["|".join(["", *(LABELS[i] for i in np.flatnonzero(row == value)), ""]) for row in truth] for value in (1, -1)
    ]
    ids = predictions_of(run).column("id").to_pylist()
    lines = ["id,labels,doubt", *map(",".join, zip(ids, *lists, strict=True))]
    (tmp_path / "truth.csv").write_text("\n".join(lines))
    flags = [f"--input={run}", f"--truth={tmp_path / 'truth.csv'}"]
    assert main([*flags, f"--output={tmp_path / 'same'}", "--unknown_column=doubt"]) == 0
    assert metrics_of(tmp_path / "same")["per_label"] == metrics_of(run)["per_label"]
    assert main([*flags, f"--output={tmp_path / 'certain'}"]) == 0
    for row in metrics_of(tmp_path / "certain")["per_label"]:
        assert row["tp"] + row["fp"] + row["fn"] + row["tn"] == len(truth)


@pytest.mark.parametrize("write", [as_tfrecord, as_webdataset])
def test_a_name_that_the_first_records_lack_is_a_warning(
    write: Callable[[Path], Path], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path)
    flags = ("--carry=prize", "--carry=price", "--unknown_column=doubts", "--max_rejected_fraction=1")
    assert score(path, model, tmp_path / "run", *flags) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("bulklabel: warning: ")]
    end = f": no such field in the first 6 records of {path}; check the name."
    assert lines == [f"bulklabel: warning: {flag}{end}" for flag in ("column prize", "--unknown_column doubts")]


def test_what_is_carried_is_not_called_unknown(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pa.table({"image": [b"x"], "unknown": [["cat"]]}), tmp_path / "a.parquet")
    assert score(tmp_path / "a.parquet", model, tmp_path / "run", "--carry=unknown") == 2
    assert "rename it in the input" in capsys.readouterr().err
