"""Truth as people have it, in each format that can hold it: `train`, `score` and `evaluate` read the same of it."""

import csv
import io
import json
import tarfile
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulklabel.model.labels.predictions import truth_of
from bulklabel.pipelines import train
from bulklabel.pipelines.flags.score import parser
from bulklabel.pipelines.flags.values import columns_of, label_options_of
from bulklabel.transforms.answers.replace_truth import ReplaceTruth
from bulklabel.transforms.answers.run_answers import PartReader
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.reading.records import Columns, RecordTable
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.truth.truth_source import find_truth
from bulklabel.transforms.truth.truth_table import load_truth
from tests.support.cheap_runs import MODEL, cheap_plan, cheap_run, picture
from tests.transforms.test_tfrecord import examples

LABELS = ("cat", "dog", "bird", "Caf\u00e9")

Truth = dict[str, list[int] | None]
"""By id 1, 0 or -1 for each label; None where all are unknown."""

Rows = Mapping[str, Mapping[str, Any]]
"""The fields of records, by id."""

KNOWN: Truth = {"a": [0, 1, 0, 0], "b": [1, 0, 0, 1], "c": [0, 0, 1, 0], "d": [0, 1, 1, 0]}


def rows_of(value: Callable[[list[str]], Any], field: str = "labels") -> dict[str, dict[str, Any]]:
    """The labels of `KNOWN` as a field that is made of their names."""
    names = {
        name: [label for label, cell in zip(LABELS, cells or (), strict=True) if cell] for name, cells in KNOWN.items()
    }
    return {name: {field: value(present)} for name, present in names.items()}


def numbers(order: Sequence[str], first: int = 0) -> Callable[[list[str]], list[int]]:
    return lambda present: [order.index(label) + first for label in present]


def vector(present: list[str]) -> list[int]:
    return [int(label in present) for label in LABELS]


OTHER_ORDER = LABELS[::-1]
CLASS_NAMES = {"names": OTHER_ORDER, "_type": "ClassLabel"}


def table_of(rows: Rows, described: Mapping[str, Any] | None = None) -> pa.Table:
    table = pa.Table.from_pylist([dict(row) for row in rows.values()])
    content = json.dumps({"info": {"features": described}})
    return table.replace_schema_metadata({"huggingface": content} if described else None)


def as_parquet(folder: Path, rows: Rows, described: Mapping[str, Any] | None = None) -> Path:
    full = {name: {"id": name, "image": image, **rows[name]} for name, image in images(rows).items()}
    pq.write_table(table_of(full, described), folder / "in.parquet")
    return folder / "in.parquet"


def as_tfrecord(folder: Path, rows: Rows, name: str = "in.tfrecord") -> Path:
    def feature(value: Any) -> list[Any]:
        items = value if isinstance(value, list) else [value]
        return [item.encode() if isinstance(item, str) else item for item in items]

    renamed = {"labels": "image/class/text"}
    return examples(
        folder / name,
        *(
            {"image/source_id": [record.encode()], "image/encoded": [image]}
            | {renamed.get(field, field): feature(value) for field, value in rows[record].items()}
            for record, image in images(rows).items()
        ),
    )


def as_tar(folder: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    with tarfile.open(folder / "in.tar", "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return folder / "in.tar"


def as_webdataset(folder: Path, rows: Rows) -> Path:
    pairs = [
        [(f"{name}.bmp", image), (f"{name}.json", json.dumps(rows[name]).encode())]
        for name, image in images(rows).items()
    ]
    return as_tar(folder, [member for pair in pairs for member in pair])


def with_table(name: str) -> Callable[[Path, Rows], Path]:
    """A folder of images with a table beside them: metadata of that name, or an input by itself."""

    def write(folder: Path, rows: Rows) -> Path:
        for record, image in images(rows).items():
            (folder / f"{record}.bmp").write_bytes(image)
        column = "file_name" if name.startswith("metadata") else "path"
        write_table(folder / name, [{column: f"{record}.bmp", "id": record, **row} for record, row in rows.items()])
        return folder if name.startswith("metadata") else folder / name

    return write


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], described: Mapping[str, Any] | None = None) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table_of(dict(enumerate(rows)), described), path)  # type: ignore[arg-type]
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
    return path


def images(rows: Rows) -> dict[str, bytes]:
    return {name: picture(9, number) for number, name in enumerate(rows)}


EVERY: dict[str, Callable[[Path, Rows], Path]] = {
    "parquet": as_parquet,
    "tfrecord": as_tfrecord,
    "webdataset": as_webdataset,
    **{name: with_table(name) for name in ("metadata.csv", "metadata.jsonl", "metadata.parquet", "in.csv", "in.jsonl")},
}


@dataclass(frozen=True)
class Case:
    """Writes an input, perhaps with `--truth`, in a folder; and what is to be read of it, of records with these ids."""

    write: Callable[[Path], Path]
    flags: tuple[str, ...] = ()
    truth: Callable[[Path], Path] | None = None
    expected: Truth | None = None


def in_all(formats: Mapping[str, Callable[[Path, Rows], Path]], rows: Rows, *flags: str) -> dict[str, Case]:
    return {name: Case(lambda folder, write=write: write(folder, rows), flags) for name, write in formats.items()}  # type: ignore[misc]


def by_truth(name: str, content: Any, *flags: str, ids: Mapping[str, str] | None = None, **more: Any) -> Case:
    """A case of records without labels, called as `ids` say, whose truth is in a file: text, or the rows of a table."""
    bare = {(ids or {}).get(record, record): dict[str, Any]() for record in more.get("expected", KNOWN)}
    described = more.get("described")

    def write(folder: Path) -> Path:
        if isinstance(content, str):
            (folder / name).write_text(content)
            return folder / name
        rows = [{"id": record, **row} for record, row in content.items()] if isinstance(content, Mapping) else content
        return write_table(folder / name, rows, described)

    expected = {(ids or {}).get(record, record): cells for record, cells in more.get("expected", KNOWN).items()}
    return Case(lambda folder: as_parquet(folder, bare), flags, write, expected)


def in_tables(rows: Rows, *flags: str, only: Sequence[str] = ("csv", "jsonl", "parquet")) -> dict[str, Case]:
    return {f"truth.{suffix}": by_truth(f"truth.{suffix}", rows, *flags) for suffix in only}


def parts_of(formats: Sequence[str]) -> dict[str, Callable[[Path, Rows], Path]]:
    return {name: EVERY[name] for name in formats}


def captions(folder: Path) -> Path:
    described = json.dumps({"url": "http://x", "caption": "a cat on a mat", "status": "success"}).encode()
    rows = images(KNOWN)  # type: ignore[arg-type]
    return as_tar(
        folder,
        [
            member
            for name, image in rows.items()
            for member in ((f"{name}.bmp", image), (f"{name}.json", described), (f"{name}.txt", b"a cat on a mat"))
        ],
    )


def members(names: Sequence[tuple[str, str]]) -> Callable[[Path], Path]:
    """A tar with an image or a description of labels for each pair of a name and a record of `KNOWN`."""
    rows = rows_of(list)

    def write(folder: Path) -> Path:
        return as_tar(
            folder,
            [
                (name, json.dumps(rows[record]).encode() if name.endswith("json") else images(rows)[record])
                for name, record in names
            ],
        )

    return write


def zlib_packed(folder: Path) -> Path:
    path = as_tfrecord(folder, rows_of(list))
    path.write_bytes(zlib.compress(path.read_bytes()))
    return path


def same_source(source_id: str) -> Callable[[Path], Path]:
    named = {"image/source_id": source_id}
    return lambda folder: as_tfrecord(
        folder, {name: {**row, **named, "image/filename": name} for name, row in rows_of(list).items()}
    )


def views(folder: Path) -> Path:
    rows = rows_of(list)
    texts = [row["labels"] for row in rows.values()]
    columns = {
        "id": pa.array(list(rows), pa.string_view()),
        "image": pa.array(list(images(rows).values()), pa.binary_view()),
        "labels": pa.array(texts, pa.list_view(pa.string_view())),
    }
    pq.write_table(pa.table(columns), folder / "in.parquet")
    return folder / "in.parquet"


def linked(write: Callable[[Path, Rows], Path]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "far").mkdir()
        write(folder / "far", rows_of(list))
        (folder / "near").mkdir()
        (folder / "near" / "link").symlink_to(folder / "far")
        (folder / "far" / "circle").symlink_to(folder / "far")
        return folder / "near"

    return make


def partitions(write: Callable[[Path, Rows], Path]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        for label, name in (("dog", "a"), ("bird", "c")):
            (folder / f"label={label}").mkdir()
            write(folder / f"label={label}", {name: {}})
        return folder

    return make


def of_paths(struct: bool) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        rows = rows_of(list)
        (folder / "images").mkdir()
        for name, image in images(rows).items():
            (folder / "images" / f"{name}.bmp").write_bytes(image)
        paths = [str(folder / "images" / f"{name}.bmp") for name in rows]
        cells: list[Any] = [{"bytes": None, "path": path} for path in paths] if struct else paths
        (folder / "in").mkdir()
        labels = [row["labels"] for row in rows.values()]
        pq.write_table(pa.table({"id": list(rows), "image": cells, "labels": labels}), folder / "in" / "in.parquet")
        return folder / "in" / "in.parquet"

    return make


UUIDS = {name: uuid.UUID(int=number) for number, name in enumerate(KNOWN, 1)}


def typed_ids(ids: pa.Array) -> Case:
    rows, texts = rows_of(list), [str(each) for each in ids.to_pylist()]
    names = [text.removesuffix(".0") for text in texts]
    labels = [row["labels"] for row in rows.values()]

    def write(folder: Path) -> Path:
        pq.write_table(pa.table({"id": ids, "image": list(images(rows).values())}), folder / "in.parquet")
        return folder / "in.parquet"

    def truth(folder: Path) -> Path:
        pq.write_table(pa.table({"id": ids, "labels": labels}), folder / "truth.parquet")
        return folder / "truth.parquet"

    return Case(write, truth=truth, expected=dict(zip(names, KNOWN.values(), strict=True)))


SINGLE: Truth = {"a": KNOWN["a"], "c": KNOWN["c"]}
CAFE = rows_of(lambda present: [label.replace("\u00e9", "e\u0301") for label in present])
UNKNOWN: Truth = dict.fromkeys(KNOWN)
LONG = "ImageID,LabelName,Confidence\na,dog,1\na,cat,0\nb,cat,1\nb,Caf\u00e9,1\nb,dog,0\n"
NIH = "Image Index,Finding Labels\na.png,dog\nb.png,cat|Caf\u00e9\nc.png,bird\nd.png,No Finding\n"
CHEXPERT = "Path,No Finding,cat,dog\nv1/a.jpg,,1.0,-1.0\nv1/b.jpg,1.0,,\n"
DATED = [(f"2023.01.05.{name}.{suffix}", name) for name in KNOWN for suffix in ("bmp", "json")]
APART = [(f"{name}.{suffix}", name) for suffix in ("bmp", "json") for name in KNOWN]


def single(name: str, *flags: str, **fields: Any) -> Case:
    """Records with one number as their label."""
    rows = {record: {field: value[position] for field, value in fields.items()} for position, record in enumerate("ac")}
    described = {"label": CLASS_NAMES} if name == "parquet" else None
    write = as_tfrecord if name == "tfrecord" else lambda folder, rows: as_parquet(folder, rows, described)
    return Case(lambda folder: write(folder, rows), flags, expected=SINGLE)


IN_FILE_ORDER = rows_of(numbers(OTHER_ORDER))
FEATURE = {"labels": {"feature": CLASS_NAMES, "_type": "Sequence"}}

CASES: dict[str, dict[str, Case]] = {
    "0/1 vectors": in_all(EVERY, rows_of(vector)) | in_tables(rows_of(vector)),
    "the file's class numbers": {
        "parquet": Case(lambda folder: as_parquet(folder, IN_FILE_ORDER, FEATURE)),
        "truth.parquet": by_truth("truth.parquet", IN_FILE_ORDER, described=FEATURE),
    },
    "one class number a record": {
        "parquet": single("parquet", label=[OTHER_ORDER.index("dog"), OTHER_ORDER.index("bird")])
    },
    "captions": {"webdataset": Case(captions, expected=UNKNOWN)},
    "ids that are no text": {
        "uuid": typed_ids(pa.array([each.bytes for each in UUIDS.values()], pa.uuid())),
        "double": typed_ids(pa.array([7.0, 8.0, 9.0, 1e6])),
    },
    "lists as text": in_all(EVERY, rows_of(str)) | in_tables(rows_of(str)),
    "separated text": in_all(EVERY, rows_of(",".join)) | in_tables(rows_of(", ".join)),
    "numbers from 1": {
        "tfrecord": single("tfrecord", "--label_offset=1", **{"image/class/label": [2, 3]}),
        **in_all(EVERY, rows_of(numbers(LABELS, 1)), "--label_offset=1"),
        **in_tables(rows_of(numbers(LABELS, 1)), "--label_offset=1"),
    },
    "one id for all": {"empty": Case(same_source("")), "equal": Case(same_source("0"))},
    "keys with dots": {
        "webdataset": Case(members(DATED), expected={f"2023.01.05.{name}": cells for name, cells in KNOWN.items()})
    },
    "members apart": {"webdataset": Case(members(APART), expected=UNKNOWN)},
    "zlib": {"tfrecord": Case(zlib_packed)},
    "views of Arrow": {"parquet": Case(views)},
    "links to folders": {
        **{name: Case(linked(EVERY[name])) for name in ("parquet", "tfrecord", "webdataset")},
        **{name: Case(linked(EVERY[name])) for name in ("metadata.csv", "metadata.jsonl", "metadata.parquet")},
    },
    "partitions of Hive": {
        name: Case(partitions(EVERY[name]), ("--labels_column=label",), expected=SINGLE)
        for name in ("parquet", "tfrecord", "webdataset")
    },
    "images by path": {
        name: Case(of_paths(name == "struct"), ("--image_root={folder}/images",)) for name in ("struct", "text")
    },
    "a row for each label": {
        "csv": by_truth("truth.csv", LONG, expected={"a": [0, 1, -1, -1], "b": [1, 0, -1, 1], "c": None}),
        "parquet": by_truth(
            "truth.parquet",
            [
                {"ImageID": "a", "LabelName": "dog", "Confidence": 1},
                {"ImageID": "a", "LabelName": "cat", "Confidence": 0},
            ],
            expected={"a": [0, 1, -1, -1]},
        ),
    },
    "names for paths": {
        "csv": by_truth(
            "truth.csv",
            NIH,
            "--truth_key=name",
            "--no_label=No Finding",
            ids={name: f"images_001/{name}.png" for name in KNOWN},
            expected=KNOWN | {"d": [0, 0, 0, 0]},
        )
    },
    "blank and -1": {
        "as they are": by_truth("truth.csv", CHEXPERT, expected={"v1/a.jpg": [1, -1, -1, -1], "v1/b.jpg": None}),
        "with flags": by_truth(
            "truth.csv",
            CHEXPERT,
            "--uncertain=dog=present",
            "--blank=absent",
            expected={"v1/a.jpg": [1, 1, -1, -1], "v1/b.jpg": [0, 0, -1, -1]},
        ),
    },
    "accents decomposed": in_all(parts_of(["parquet", "tfrecord", "webdataset", "metadata.jsonl", "in.jsonl"]), CAFE)
    | in_tables(CAFE, only=("jsonl", "parquet")),
}
"""What people tried, in each format in which it occurs."""

PARAMETERS = [pytest.param(case, id=f"{name}-{kind}") for name, cases in CASES.items() for kind, case in cases.items()]


def truth_in(tables: Sequence[Any]) -> Truth:
    read: Truth = {}
    for table in tables:
        cells = truth_of(table, LABELS)[0].tolist()
        read |= dict(zip(table.column("id").to_pylist(), cells, strict=True))
    return {name: None if set(row) == {-1} else row for name, row in read.items()}  # type: ignore[arg-type]


@pytest.mark.parametrize("case", PARAMETERS)
def test_train_score_and_evaluate_read_the_same_truth(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    expected = KNOWN if case.expected is None else case.expected
    flags = [flag.format(folder=tmp_path / "data") for flag in case.flags]
    path = case.write(tmp_path / "data")
    if case.truth:
        (tmp_path / "truth").mkdir()
        flags.append(f"--truth={case.truth(tmp_path / 'truth')}")
    run = tmp_path / "run"
    options = parser().parse_args([f"--input={path}", "--model=none", f"--output={run}", *flags])
    columns, label_options = columns_of(options), label_options_of(options, LABELS)
    source = find_truth(options.truth, columns, label_options, options.truth_key)
    plan = cheap_plan(
        [path], run, model=replace(MODEL, labels=LABELS), columns=columns, label_options=label_options, truth=source
    )
    assert cheap_run(plan, run)
    results = [
        result
        for shard in plan.sourced_shards()
        for result in PartReader(RunDirectory(str(run), plan.stamp)).read(shard)
    ]
    assert truth_in([result.predictions.table for result in results]) == expected
    if case.truth:
        named = Columns(id=options.id_column, labels=options.labels_column)
        table = OncePerProcess(load_truth, options.truth, named, LABELS, label_options, options.truth_key)
        results = [replaced for result in results for replaced in ReplaceTruth(table).process(result)]
        assert truth_in([result.predictions.table for result in results]) == expected
    learnt: list[Any] = []
    monkeypatch.setattr(train, "_fit_and_save", lambda *about: learnt.append(about))
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    named_labels = [f"--label_file={tmp_path / 'labels.txt'}", "--validation_fraction=0"]
    code = train.main([f"--input={path}", f"--output={tmp_path / 'model'}", *named_labels, *flags])
    if not any(expected.values()):
        assert (code, learnt) == (2, [])
        assert "no record has labels" in capsys.readouterr().err
        return
    assert code == 0
    ((_, samples, survey, _),) = learnt
    tables = [table.rows for table in samples.tables(samples.shards, samples.spec) if isinstance(table, RecordTable)]
    assert truth_in(tables) == expected
    present = [
        sum(cells is not None and cells[label] == 1 for cells in expected.values()) for label in range(len(LABELS))
    ]
    assert survey.training.present.tolist() == present
