"""What a run publishes of its metrics: files that agree, slices, and thresholds for a goal; both commands' flags."""

import csv
import html
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn import metrics as oracle

from bulklabel.model.images.decode import decode_whole
from bulklabel.model.labels.predictions import probabilities_of
from bulklabel.model.labels.truth import encode_truth
from bulklabel.pipelines.evaluate import main as evaluate
from tests.conftest import answers, collage_rows, metrics_of, part_of, png, predictions_of, score

CAMERAS = (None, "box", "pin-hole", *(f"rare-{number:02d}" for number in range(30)))


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Collages that two cameras took, some of unknown ones, and some of thirty that hardly occur."""
    folder = tmp_path_factory.mktemp("cameras")
    rows = collage_rows(900, seed=3)
    random = np.random.default_rng(0)
    chosen = random.choice(len(CAMERAS), len(rows), p=[0.1, 0.4, 0.35, *[0.15 / 30] * 30])
    columns: dict[str, Sequence[Any]] = {name: [row[name] for row in rows] for name in ("id", "image", "labels")}
    columns["camera"] = [CAMERAS[index] for index in chosen]
    columns["country"] = random.choice(["nl", "pt"], len(rows)).tolist()
    for number in range(3):
        pq.write_table(pa.table(columns).slice(number * 300, 300), folder / f"{number}.parquet")
    return folder


@pytest.fixture(scope="module")
def sliced(tmp_path_factory: pytest.TempPathFactory, cameras: Path, model_directory: Path) -> Path:
    output = tmp_path_factory.mktemp("sliced") / "run"
    assert score(cameras, model_directory, output, "--slice_by=camera,country") == 0
    return output


def test_slices_are_the_metrics_of_their_records(sliced: Path) -> None:
    table, found = predictions_of(sliced), metrics_of(sliced)
    names = [row["label"] for row in found["per_label"]]
    truth, _ = encode_truth(table.column("labels"), names)
    probabilities = probabilities_of(table, names)
    predicted = probabilities >= np.array([row["threshold"] for row in found["per_label"]], np.float32)
    assert list(found["slices"]) == ["camera", "country"]
    for column, entries in found["slices"].items():
        values = table.column(column).to_pylist()
        named = [entry["value"] for entry in entries if not entry["other"]]
        for entry in entries:
            if entry["other"]:
                inside = np.array([value not in named for value in values])
            else:
                inside = np.array([value == entry["value"] for value in values])
            assert entry["counts"] == {"records": inside.sum(), "with_truth": inside.sum()}
            expected = oracle.f1_score(truth[inside], predicted[inside], average="micro", zero_division=0)
            assert entry["overall"]["f1_micro"] == pytest.approx(expected, abs=1e-12)
            low, high = entry["overall"]["average_precision_micro_bounds"]
            area = oracle.average_precision_score(truth[inside], probabilities[inside], average="micro")
            assert low == high == entry["overall"]["average_precision_micro"] == pytest.approx(area, abs=1e-12)
            assert entry["per_label"][3]["tp"] == (truth[inside] & predicted[inside])[:, 3].sum()
    cameras = found["slices"]["camera"]
    assert [entry["value"] for entry in cameras][:3] == ["box", "pin-hole", None]
    assert len(cameras) == 21
    assert [entry["other"] for entry in cameras] == [False] * 20 + [True]
    assert len(found["slices"]["country"]) == 2


def test_what_is_published_agrees(sliced: Path) -> None:
    found, table = metrics_of(sliced), predictions_of(sliced)
    with (sliced / "per_label.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [row["label"] for row in found["per_label"]]
    for line, row in zip(rows, found["per_label"], strict=True):
        for name in ("f1", "roc_auc", "brier", "coverage", "threshold"):
            assert float(line[name]) == row[name]
        assert [float(line["roc_auc_bounds_low"]), float(line["roc_auc_bounds_high"])] == row["roc_auc_bounds"]
        assert float(line["f1_interval_low"]) == row["intervals"]["f1"][0]
    assert json.loads((sliced / "thresholds.json").read_text()) == {
        row["label"]: row["suggested"]["threshold"] for row in found["per_label"]
    }
    page = html.unescape((sliced / "report.html").read_text())
    for name in ("f1_micro", "roc_auc_macro", "hamming_loss", "ece"):
        assert f"{found['overall'][name]:.4f}" in page
        low, high = found["intervals"][name]
        assert f"{low:.4f} – {high:.4f}" in page
    assert len(re.findall(r"data:image/(?:png|jpeg);base64,", page)) > 100
    assert "heldout" not in page
    curves = pq.read_table(sliced / "threshold_curves.parquet").to_pylist()
    for row in found["per_label"]:
        mine = [point for point in curves if point["label"] == row["label"]]
        assert max(point["f1"] for point in mine) == row["suggested"]["f1"]
        scores = table.column(f"prob_{row['label']}").to_numpy()
        present = np.array([row["label"] in labels for labels in table.column("labels").to_pylist()])
        for point in mine[::50]:
            predicted = scores >= np.float32(point["threshold"])
            assert (point["tp"], point["fp"]) == ((predicted & present).sum(), (predicted & ~present).sum())
        assert mine[-1]["predicted"] == len(scores)


def test_a_run_that_was_interrupted_publishes_the_same(sliced: Path, cameras: Path, model_directory: Path) -> None:
    before = answers(sliced) | {name: (sliced / name).read_bytes() for name in ("report.html", "per_label.csv")}
    (sliced / "_SUCCESS").unlink()
    part_of(sliced, "predictions", 1).unlink()
    assert score(cameras, model_directory, sliced, "--slice_by=camera,country") == 0
    after = answers(sliced) | {name: (sliced / name).read_bytes() for name in ("report.html", "per_label.csv")}
    assert after == before


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Collages as they come: PNG and JPEG of 32 pixels, JPEG of 96; with a column that is called like their formats."""
    folder = tmp_path_factory.mktemp("kinds")
    rows = collage_rows(240, seed=5)
    for number, row in enumerate(rows):
        pixels = decode_whole(row["image"])
        if number % 3 == 2:
            pixels = pixels.repeat(3, axis=0).repeat(3, axis=1)
        row["image"] = png(pixels, format="PNG" if number % 3 == 0 else "JPEG")
    columns: dict[str, Sequence[Any]] = {name: [row[name] for row in rows] for name in ("id", "image", "labels")}
    columns["image_format"] = ["scan" if number % 2 else "photo" for number in range(len(rows))]
    pq.write_table(pa.table(columns), folder / "kinds.parquet")
    return folder


def test_what_every_image_has_needs_no_column(
    kinds: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_kind, plain, again, carried = (tmp_path / name for name in ("by_kind", "plain", "again", "carried"))
    flag = "--slice_by=image_format,image_size"
    assert score(kinds, model_directory, by_kind, flag) == 0
    found, table = metrics_of(by_kind), predictions_of(by_kind)
    assert "image_format" not in table.column_names
    names = [row["label"] for row in found["per_label"]]
    (truth, _), probabilities = encode_truth(table.column("labels"), names), probabilities_of(table, names)
    predicted = probabilities >= np.array([row["threshold"] for row in found["per_label"]], np.float32)
    third = np.array([int(name[1:]) % 3 for name in table.column("id").to_pylist()])
    inside = {"PNG": third == 0, "JPEG": third > 0, "32-63 px": third < 2, "64-127 px": third == 2}
    entries = [entry for entries in found["slices"].values() for entry in entries]
    assert {entry["value"] for entry in entries} == inside.keys()
    for entry in entries:
        rows = inside[entry["value"]]
        assert entry["counts"]["records"] == rows.sum()
        for average in ("micro", "macro"):
            f1 = oracle.f1_score(truth[rows], predicted[rows], average=average, zero_division=0)
            assert entry["overall"][f"f1_{average}"] == pytest.approx(f1, abs=1e-12)

    # A run that did not ask has the same parts, so it is evaluated by kind, or judged again, or taken over.
    assert score(kinds, model_directory, plain) == 0
    assert {path.name: path.read_bytes() for path in plain.glob("*/*.parquet")} == {
        path.name: path.read_bytes() for path in by_kind.glob("*/*.parquet")
    }
    assert evaluate([f"--input={plain}", f"--output={again}", flag]) == 0
    assert (again / "metrics.json").read_bytes() == (by_kind / "metrics.json").read_bytes()
    assert score(kinds, model_directory, tmp_path / "over", flag, f"--since={plain}", "--carry_over") == 0
    assert metrics_of(tmp_path / "over") == found
    part_of(plain, "predictions", 0).unlink()
    assert score(kinds, model_directory, plain, flag) == 0
    assert (plain / "metrics.json").read_bytes() == (by_kind / "metrics.json").read_bytes()

    # A column that somebody carries is what its name means, and tables of others have no images.
    assert score(kinds, model_directory, carried, flag, "--carry=image_format") == 0
    assert {entry["value"] for entry in metrics_of(carried)["slices"]["image_format"]} == {"photo", "scan"}
    assert metrics_of(carried)["slices"]["image_size"] == found["slices"]["image_size"]
    (tmp_path / "p.csv").write_text("id,prob_cat\na,1\n")
    capsys.readouterr()
    assert evaluate([f"--predictions={tmp_path / 'p.csv'}", f"--output={again}", "--slice_by=image_size"]) == 2
    assert "no others. Formats and sizes are known of images that" in capsys.readouterr().err


def test_metrics_do_not_depend_on_shards(sliced: Path, cameras: Path, model_directory: Path, tmp_path: Path) -> None:
    table = pq.read_table(cameras)
    (tmp_path / "in").mkdir()
    for number, rows in enumerate((table.slice(500), table.slice(100, 400), table.slice(0, 100))):
        pq.write_table(rows, tmp_path / "in" / f"{number}.parquet")
    run = tmp_path / "run"
    assert score(tmp_path / "in", model_directory, run, "--slice_by=camera", "--slice_by=country") == 0
    assert metrics_of(run) | {"truth": None} == metrics_of(sliced) | {"truth": None}
    assert (run / "threshold_curves.parquet").read_bytes() == (sliced / "threshold_curves.parquet").read_bytes()


def test_evaluate_slices_and_suggests_as_score_does(sliced: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert evaluate([f"--input={sliced}", f"--output={again}", "--slice_by=camera,country"]) == 0
    assert (again / "metrics.json").read_bytes() == (sliced / "metrics.json").read_bytes()
    thumbnails = re.compile(r"data:image/(?:png|jpeg);base64,[^\"]*")
    pages = [(folder / "report.html").read_text() for folder in (sliced, again)]
    assert thumbnails.findall(pages[0]) == thumbnails.findall(pages[1])


@pytest.mark.parametrize(
    ("flag", "goal"),
    [
        ("--target_precision=0.6", "precision"),
        ("--target_recall=0.7", "recall"),
        ("--target_specificity=0.9", "specificity"),
        ("--review_budget=60", "budget"),
    ],
)
def test_suggested_thresholds_reach_their_goal(sliced: Path, tmp_path: Path, flag: str, goal: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert evaluate([f"--input={sliced}", f"--output={first}", flag]) == 0
    assert evaluate([f"--input={sliced}", f"--output={second}", f"--threshold={first / 'thresholds.json'}"]) == 0
    target = float(flag.split("=")[1])
    suggested, found = metrics_of(first), metrics_of(second)
    promised = suggested["thresholds"].pop("suggested")
    assert suggested["thresholds"] == {"goal": goal, "target": target}
    assert promised == {name: found["overall"][name] for name in promised}
    reached = 0
    for promise, row in zip(suggested["per_label"], found["per_label"], strict=True):
        promise = promise["suggested"]
        assert row["threshold"] == promise["threshold"]
        assert (row["precision"], row["recall"], row["f1"]) == tuple(
            promise[name] for name in ("precision", "recall", "f1")
        )
        value = -row["tp"] - row["fp"] if goal == "budget" else row[goal]
        assert not promise["reached"] or value >= (-target if goal == "budget" else target)
        reached += promise["reached"]
    assert reached > 5


def test_bad_flags_are_one_line(sliced: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags, expected in (
        (["--slice_by=lens"], "--slice_by lens: the run has no such column; it carried camera, country: score with"),
        (["--target_precision=1.2"], "1.2 is not between 0 and 1"),
        (["--target_precision=0.9", "--target_recall=0.9"], "not allowed with argument --target_precision"),
        (["--review_budget=0"], "0 is not 1 or more"),
    ):
        assert evaluate([f"--input={sliced}", f"--output={tmp_path}", *flags]) == 2
        error = capsys.readouterr().err
        assert expected in error
        assert len(error.splitlines()) == 1


def test_a_finished_run_publishes_again_what_is_asked_for_otherwise(
    sliced: Path, cameras: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(sliced, run)
    flags = ["--slice_by=camera,country"]
    assert score(cameras, model_directory, run, *flags) == 0
    _, said, summary = capsys.readouterr().out.splitlines()
    assert said == f"{run}: nothing to do, this plan is finished."
    assert json.loads(summary)["state"] == "nothing_to_do"
    parts = {path: path.stat().st_mtime_ns for path in run.glob("*/*.parquet")}
    assert score(cameras, model_directory, run, *flags, "--target_recall=0.9") == 0
    assert "nothing to do" not in capsys.readouterr().out
    assert metrics_of(run)["thresholds"].items() >= {"goal": "recall", "target": 0.9}.items()
    assert (run / "_SUCCESS").exists()
    assert {path: path.stat().st_mtime_ns for path in run.glob("*/*.parquet")} == parts
    assert score(cameras, model_directory, run, *flags) == 0
    assert answers(run) == answers(sliced)
