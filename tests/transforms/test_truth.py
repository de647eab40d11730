"""Truth from elsewhere: the forms of tables that people have it in, and what is wrong with some of them."""

import csv
import gzip
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn import metrics as oracle

from bulklabel.model.errors import UserError
from bulklabel.model.labels.choose_rule import AS_FOUND, LabelOptions
from bulklabel.model.labels.truth import encode_truth
from bulklabel.pipelines.evaluate import main
from bulklabel.transforms.reading.records import Columns
from bulklabel.transforms.truth.keys import JoinCount, nothing_joins
from bulklabel.transforms.truth.truth_table import TruthTable, load_truth
from tests.conftest import ROOT, metrics_of, predictions_of

LABELS = ("cat", "dog", "left.right", 'say "cheese", please')
COLUMNS = Columns(id="id")


def write_csv(path: Path, *rows: Sequence[Any]) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    content = text.getvalue().encode("utf-8-sig")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_parquet(path: Path, *rows: Sequence[Any]) -> Path:
    pq.write_table(pa.table([pa.array(column) for column in zip(*rows[1:], strict=True)], names=rows[0]), path)
    return path


def load(*paths: Path, columns: Columns = COLUMNS, options: LabelOptions = AS_FOUND, key: str = "id") -> TruthTable:
    return load_truth([str(path) for path in paths], columns, LABELS, options, key)


def matrix(truth: TruthTable, ids: Sequence[str]) -> list[list[int]]:
    columns = truth.columns_for(ids)
    encoded: list[list[int]] = encode_truth(columns["labels"], LABELS, columns.get("unknown"))[0].tolist()
    return encoded


@pytest.mark.parametrize("name", ["a.csv", "a.CSV.gz"])
def test_a_column_for_each_label_in_csv(tmp_path: Path, name: str) -> None:
    path = write_csv(
        tmp_path / name,
        ["sex", "id", *LABELS],
        ["F", "007", "1", "0", "-1", ""],
        ["two\nlines", "b", "1.0", "0.0", "-1.0", " "],
        ["", "c", "TRUE", "False", "1", "1"],
        ["", "d", "", "", "", ""],
    )
    truth = load(path)
    assert truth.labels_without_column == []
    assert matrix(truth, ["d", "007", "7", "b", "c", "b"]) == [
        [-1, -1, -1, -1],
        [1, 0, -1, -1],
        [-1, -1, -1, -1],
        [1, 0, -1, -1],
        [1, 0, 1, 1],
        [1, 0, -1, -1],
    ]
    assert truth.columns_for(["d", "7"])["labels"].null_count == 2


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([1, 0, -1, None], pa.int8()),
        pa.array([1, 0, -1, None], pa.int64()),
        pa.array([1.0, -0.0, float("nan"), None]),
        pa.array([1.0, 0.0, -1.0, None], pa.float32()),
        pa.array([1, 0, -1, None], pa.decimal128(5, 1)),
        pa.array([True, False, None, None]),
        pa.array(["1", "0", "-1", None]),
        pa.array(["true", "false", "", None], pa.large_string()),
        pa.array(["1.0", "0", "", None]).dictionary_encode(),
        pa.chunked_array([pa.array(["true"]).dictionary_encode(), pa.array(["0", "", None]).dictionary_encode()]),
    ],
    ids=lambda cells: f"{cells.type}"[:20],
)
def test_a_column_for_each_label_in_parquet(tmp_path: Path, cells: pa.Array) -> None:
    columns = {"id": [1, 2, 3, 4], "left": [[1]] * 4, "left.right": cells, "dog": pa.nulls(4)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=3)
    truth = load(tmp_path / "a.parquet")
    assert truth.labels_without_column == ["cat", LABELS[3]]
    assert matrix(truth, ["4", "3", "2", "1"]) == [[-1] * 4, [-1] * 4, [-1, -1, 0, -1], [-1, -1, 1, -1]]


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_lists_of_labels(tmp_path: Path, write: Callable[..., Path]) -> None:
    cells: list[Any] = ["cat|zebra", "", "|", "|dog|cat|"]
    lists: list[Any] = [["cat", "zebra"], None, [], ["dog", "cat"]]
    rows = zip("abcd", cells if write is write_csv else lists, strict=True)
    path = write(tmp_path / ("a.csv" if write is write_csv else "a.parquet"), ["id", "labels"], *rows)
    truth = load(path).columns_for(["d", "none", "c", "b", "a"])
    assert list(truth) == ["labels"]
    assert truth["labels"].to_pylist() == [["dog", "cat"], None, [], None, ["cat", "zebra"]]


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_lists_of_labels_with_those_that_are_unknown(tmp_path: Path, write: Callable[..., Path]) -> None:
    cells: list[Any] = [("a", "cat", "dog"), ("b", "", "dog"), ("c", "|", ""), ("d", "cat", "dog|cat")]
    lists: list[Any] = [("a", ["cat"], ["dog"]), ("b", None, ["dog"]), ("c", [], None), ("d", [0], [1, 0])]
    name, rows = ("a.csv", cells) if write is write_csv else ("a.parquet", lists[:3])
    if write is write_parquet:
        write(tmp_path / "wrong.parquet", ["id", "labels", "doubt"], lists[3])
    else:
        write(tmp_path / "wrong.csv", ["id", "labels", "doubt"], cells[3])
    columns = Columns(id="id", labels="labels", unknown="doubt")
    truth = load(write(tmp_path / name, ["id", "labels", "doubt"], *rows[:3]), columns=columns)
    assert matrix(truth, ["c", "b", "a"]) == [[0] * 4, [-1] * 4, [1, -1, 0, 0]]
    with pytest.raises(UserError, match=r"wrong\.\w+, row 1: the label 'cat' is given as present and as unknown\."):
        load(next(tmp_path.glob("wrong.*")), columns=columns)


def test_files_may_have_columns_for_other_labels(tmp_path: Path) -> None:
    first = write_csv(tmp_path / "a.csv", ["id", "cat"], ["a", 1])
    second = write_parquet(tmp_path / "b.parquet", ["id", "dog", "cat"], ["b", 0, None], ["c", 1, 1])
    truth = load(first, second)
    assert truth.labels_without_column == list(LABELS[2:])
    assert matrix(truth, ["a", "b", "c"]) == [[1, -1, -1, -1], [-1, 0, -1, -1], [1, 1, -1, -1]]
    assert matrix(load(tmp_path), ["a", "b", "c"]) == matrix(truth, ["a", "b", "c"])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [["id", "dog", "cat"], ["a", 1, 1], ["b", 1, 2]],
            "{}, record 'b': 'cat' is '2'; expected 1 (present), 0 (absent)",
        ),
        ([["id", "cat"], ["a", "yes"]], "{}, record 'a': 'cat' is 'yes'; expected 1"),
        ([["id", "cat"], ["a", 0.5]], "{}, record 'a': 'cat' is '0.5'; expected 1"),
        ([["id", "cat"], ["a", "x" * 500]], f"'cat' is '{'x' * 40}'; expected 1"),
        ([["key", "cat"], ["a", 1]], "{} has 0 columns 'id'; name the one to use with --id_column: there are key, cat"),
        ([["id", "bird"], ["a", 1]], "{} has no labels; name their column with --labels_column"),
        ([["id", "cat", "cat"], ["a", 1, 1]], "{} has 2 columns 'cat'; keep one of them: there are id, cat, cat"),
        ([["id", "cat"], ["a", 1], ["a", 1]], "{}: the id 'a' occurs twice"),
    ],
)
@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_what_is_no_truth_is_one_line(
    tmp_path: Path, write: Callable[..., Path], rows: list[list[Any]], words: str
) -> None:
    path = write(tmp_path / ("a.csv" if write is write_csv else "a.parquet"), *rows)
    with pytest.raises(UserError) as caught:
        load(path)
    assert words.format(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_table_is_one_line(tmp_path: Path) -> None:
    contents: dict[str, tuple[bytes, str]] = {
        "empty.csv": (b"", "there are none"),
        "short.csv": (b"id,cat\na,1\nb\n", "short.csv, row 2: the row that starts 'b' has 1 cells, the header 2; put"),
        "long.csv": (b"id,cat\na,1,0\n", "row 1: the row that starts 'a' has 3 cells, the header 2"),
        "quote.csv": (b'id,cat\na,"1\nb,1\n', "row 1: a quote is never closed, in the row that starts 'a,"),
        "quotes.csv": (b'id,labels\na,"["cat", "dog"]"\n', "row 1: the row cannot be read"),
        "utf16.csv": ("id,cat\na,1\n".encode("utf-16"), "utf16.csv: it is in UTF-16; save it as UTF-8"),
        "excel.csv": (b"sep=;\nid;cat\na;1\n", "excel.csv: its first line is 'sep=;', and not the names"),
        "comment.csv": (b"## v2\nid;cat\na;1\n", "comment.csv: its first line is '## v2'"),
        "latin.csv": (b"id,cat,M\xf6we\na,1,1\n", "the names of its columns are not UTF-8; save it as UTF-8"),
        "plain.csv.gz": (b"id,cat\na,1\n", "is not a CSV file"),
        "cut.csv.gz": (gzip.compress(b"id,cat\na,1\n")[:-9], "is not a CSV file"),
        "text.parquet": (b"id,cat\na,1\n", "is not a Parquet file"),
    }
    for name, (content, words) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=words) as caught:
            load(tmp_path / name)
        assert "\n" not in str(caught.value)
    write_parquet(tmp_path / "nested.parquet", ["id", "cat"], ["a", [1]])
    with pytest.raises(UserError, match=r"record 'a': 'cat' is '\[1\]'; expected 1"):
        load(tmp_path / "nested.parquet")
    (tmp_path / "names.csv").write_bytes(b"id,cat\ncaf\xe9.png,1\n")  # files may have such names, and so may ids
    assert load(tmp_path / "names.csv").ids == ["caf\\udce9.png"]
    lists = write_csv(tmp_path / "lists.csv", ["id", "labels"], ["a", "cat"])
    truth = load(lists, write_csv(tmp_path / "columns.csv", ["id", "cat"], ["b", 1]))
    assert matrix(truth, ["a", "b"]) == [[1, 0, 0, 0], [1, -1, -1, -1]]


def test_an_id_or_a_label_may_be_named_like_the_other(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ["cat", "dog"], ["x", 1])
    assert matrix(load(path, columns=Columns(id="cat")), ["x"]) == [[-1, 1, -1, -1]]
    path = write_csv(tmp_path / "b.csv", ["cat", "labels", "dog"], ["x", "cat", 1])
    assert matrix(load(path, columns=Columns(id="cat")), ["x"]) == [[1, 0, 0, 0]]


@pytest.mark.parametrize(
    ("key", "joined"),
    [
        ("id", [-1, 1, -1]),
        ("name", [1, 1, -1]),
        ("stem", [1, 1, 1]),
        ("last:1", [1, 1, -1]),
        ("last:2", [-1, 1, -1]),
        ("last:9", [-1, 1, -1]),
    ],
)
def test_rows_join_by_a_key(tmp_path: Path, key: str, joined: list[int]) -> None:
    path = write_csv(tmp_path / "a.csv", ["id", "cat"], ["1.png", 1], ["x/2.png", 1], ["3", 1])
    truth = load(path, key=key)
    ids = ["train/1.png", "x/2.png", "train/3.png"]
    assert [row[0] for row in matrix(truth, ids)] == joined
    count = JoinCount(truth.rows, key)
    count.add(ids)
    assert count.used == joined.count(1)


def test_names_are_no_keys_where_they_are_not_unique(tmp_path: Path) -> None:
    same = write_csv(tmp_path / "same.csv", ["id", "cat", "dog"], ["a/1.png", 1, 0], ["b/1.png", 1, 0])
    truth = load(same, key="name")
    assert len(truth.ids) == 1
    count = JoinCount(truth.rows, "name")
    count.add(["a/1.png", "a/1.png", "c/2.png"])
    with pytest.raises(UserError, match=r"the records 'a/1\.png' and 'b/1.png' have the same name, so"):
        count.add(["b/1.png"])
    other = write_csv(tmp_path / "other.csv", ["id", "cat", "dog"], ["a/1.png", 1, 0], ["b/1.png", 1, ""])
    assert len(load(other).ids) == 2
    with pytest.raises(UserError, match=r"'a/1\.png' and 'b/1.png' have the same name and different truth"):
        load(other, key="name")


def test_the_end_of_a_path_joins_only_where_it_tells_records_apart(tmp_path: Path) -> None:
    """As CheXpert's, whose table names another folder than the one where its images lie, all of one name."""
    rows = [f"full/{part}/patient{number}/study1/1.jpg" for part, number in (("train", 1), ("train", 2), ("valid", 1))]
    path = write_csv(tmp_path / "a.csv", ["Path", "cat"], *zip(rows, (1, 0, 0), strict=True))
    ids = [name.replace("full", "/data/small") for name in rows]
    truth = load(path, columns=Columns(), key="last:4")
    assert [row[0] for row in matrix(truth, ids)] == [1, 0, 0]
    with pytest.raises(UserError, match="have the same last 3 parts and different truth"):
        load(path, columns=Columns(), key="last:3")
    count = JoinCount(truth.rows, "last:4")
    with pytest.raises(UserError, match="have the same last 4 parts, so one row of truth would join both"):
        count.add([ids[0], ids[0].replace("small", "other")])
    for key, records, advice in (
        ("id", ids, "--truth_key last:4."),
        ("last:5", ids, "--truth_key last:4."),
        ("last:9", [f"x/{name}" for name in rows], "--truth_key last:5."),
        ("id", ["patient1/study1/1.jpg"], "--id_column."),
    ):
        assert str(nothing_joins("a.csv", key, rows, records.copy)).endswith(advice)
    assert str(nothing_joins("a.csv", "id", rows[:2], lambda: ["patient1/study1/1.jpg"])).endswith("last:3.")


@pytest.mark.parametrize(
    ("record", "key", "words"),
    [
        (
            "train/1.png",
            "id",
            "no row joins a record by id: the truth is of '1.png', the first record is 'other'; give",
        ),
        ("train/1.png", "id", "give --truth_key name."),
        ("train/1.jpg", "name", "give --truth_key stem."),
        ("2.png", "id", "name the column with the ids of the records with --id_column."),
    ],
)
def test_truth_that_joins_nothing_says_what_would(record: str, key: str, words: str) -> None:
    assert words in str(nothing_joins("a.csv", key, ["1.png", "x"], lambda: ["other", record]))
    assert nothing_joins("a.csv", key, ["1.png"], list) is None
    assert "there is no row of truth" in str(nothing_joins("a.csv", key, [], lambda: [record]))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (["Image Index", "cat"], ""),
        (["PATH", "cat"], ""),
        (["image", "id", "cat"], "'b'"),
        (
            ["image", "path", "cat"],
            "has 2 columns that may hold ids: image, path; name the one to use with --id_column",
        ),
        (["key", "cat"], "has no columns that may hold ids; name the one to use with --id_column: there are key, cat."),
    ],
)
def test_the_column_of_ids_goes_without_saying_if_it_is_alone(tmp_path: Path, header: list[str], words: str) -> None:
    path = write_csv(tmp_path / "a.csv", header, [*"ab"[: len(header) - 1], 1])
    if words.startswith("has"):
        with pytest.raises(UserError, match=re.escape(words)):
            load(path, columns=Columns())
    else:
        assert list(load(path, columns=Columns()).rows) == ["b" if words else "a"]


def test_truth_of_other_ids_ends_the_command(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = predictions_of(finished).column("id")[0].as_py()
    path = write_csv(tmp_path / "truth.csv", ["id", "3"], [f"folder/{record}", 1])
    flags = [f"--input={finished}", f"--output={tmp_path / 'e'}", f"--truth={path}"]
    assert main(flags) == 2
    assert f"the truth is of 'folder/{record}'" in (error := capsys.readouterr().err)
    assert "give --truth_key name." in error
    assert not (tmp_path / "e").exists()
    assert main([*flags, "--truth_key=name"]) == 0


def test_the_page_on_truth_runs(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "truth.md").read_text()
    ((code, line),) = re.findall(
        r"```python\n(.*?)```\n\n```sh\n.venv/bin/bulklabel evaluate (.*?)\n```", page, re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    exec(code.replace("demo/scores", str(finished)).replace('row["labels"]', '(row["labels"] or ())'), {})  # noqa: S102
    assert main(line.replace("demo/scores", str(finished)).split()) == 0
    first, second = page.split("```\ntruth of ")[1].splitlines()[:2]
    printed = capsys.readouterr().out.splitlines()[1:]
    assert printed[0].split("records")[1] == first.split("records")[1]
    assert printed[1] == second


def test_a_run_is_judged_by_what_is_known(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = predictions_of(finished)
    ids, names = table.column("id").to_pylist(), [str(label) for label in range(8)]
    truth = np.random.default_rng(3).integers(-1, 2, (len(ids), len(names)))
    truth[:10] = -1
    cells = [["" if value == -1 and row % 2 else value for value in values] for row, values in enumerate(truth)]
    rows = [[record_id, *values] for record_id, values in zip(ids, cells, strict=True)]
    rejected = pa.concat_tables([pq.read_table(path) for path in sorted(finished.glob("rejected/*"))])
    others = [[record_id, *[1] * 8] for record_id in [*rejected.column("id").to_pylist(), "x", "y", "z"]]
    path = write_csv(tmp_path / "truth.csv", ["path", *names], *rows, *others)
    assert main([f"--input={finished}", f"--output={tmp_path / 'e'}", f"--truth={path}", "--id_column=path"]) == 0
    printed = capsys.readouterr().out
    assert f"truth of {len(ids) + 7:,} records, 3 of them not in the run\n" in printed
    assert "2 of 10 labels have no column, so are unknown: 8, 9\n" in printed
    assert "truth records used" in (tmp_path / "e" / "report.html").read_text()
    metrics = metrics_of(tmp_path / "e")
    assert metrics["counts"]["with_truth"] == (truth != -1).any(axis=1).sum()
    for column, row in enumerate(metrics["per_label"][:8]):
        known = truth[:, column] != -1
        predicted = np.array([names[column] in labels for labels in table.column("predicted").to_pylist()])[known]
        confusion = oracle.confusion_matrix(truth[known, column], predicted, labels=[0, 1]).ravel().tolist()
        assert [row[name] for name in ("tn", "fp", "fn", "tp")] == confusion
    assert [[row[name] for name in ("tn", "fp", "fn", "tp")] for row in metrics["per_label"][8:]] == [[0] * 4] * 2
