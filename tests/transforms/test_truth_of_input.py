"""`--truth` for `score` and `train`: a table's truth instead of the records', from the plan to the parts."""

import contextlib
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulklabel.model.errors import UserError
from bulklabel.model.labels.choose_rule import AS_FOUND
from bulklabel.model.statistic import Statistic
from bulklabel.pipelines.runners.in_process import LocalRunner
from bulklabel.pipelines.score import main as score
from bulklabel.pipelines.train import main as train
from bulklabel.pipelines.verify import main as verify
from bulklabel.transforms.evaluating.check_keys import CheckTruthKeys
from bulklabel.transforms.reading.records import Columns, Shard
from bulklabel.transforms.run_directory.parts import Part
from bulklabel.transforms.run_directory.plan import read_plan
from bulklabel.transforms.scoring.score_shards import ShardResult
from bulklabel.transforms.truth.truth_source import TruthSource, check_sample_joins, find_truth
from bulklabel.transforms.truth.truth_table import load_truth
from tests.conftest import metrics_of, predictions_of
from tests.support.cheap_runs import MODEL, cheap_plan, cheap_run, picture

EMPTY = Columns()


def write(path: Path, *rows: Sequence[Any]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def ids_in(flags: Sequence[str]) -> list[str]:
    folder = Path(flags[0].removeprefix("--input="))
    return [name for path in sorted(folder.glob("*.parquet")) for name in pq.read_table(path).column("id").to_pylist()]


def test_score_takes_truth_from_a_table(tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = ids_in(tiny)
    table = write(tmp_path / "t.csv", ["file_name", "0", "1"], *[[f"a/{i}.png", n % 2, ""] for n, i in enumerate(ids)])
    flags = [*tiny, f"--truth={table}", f"--output={tmp_path / 'run'}"]
    assert score(flags) == 2
    assert "give --truth_key stem." in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    flags.append("--truth_key=stem")
    assert score(flags) == 0
    assert "truth: a field for each of 2 of 2 labels" in capsys.readouterr().out
    rows = predictions_of(tmp_path / "run").select(["id", "labels", "unknown"]).to_pylist()
    place = {record_id: number for number, record_id in enumerate(ids)}
    assert all(row["labels"] == ["0"] * (place[row["id"]] % 2) and row["unknown"] == ["1"] for row in rows)
    metrics = metrics_of(tmp_path / "run")
    assert metrics["counts"]["with_truth"] == len(rows)
    assert score(flags) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert verify([str(tmp_path / "run"), tiny[1], "--sample=20"]) == 0
    table.write_text(table.read_text().replace(",1,", ",0,", 1))
    assert score(flags) == 2
    assert "truth changed" in capsys.readouterr().err


def test_score_without_any_truth_ends_without_success(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write(tmp_path / "t.csv", ["id", "0"], ["nobody", 1])
    assert score([*tiny, f"--truth={table}", f"--output={tmp_path / 'run'}"]) == 2
    assert "no record has truth by it; the ids of the truth are such as 'nobody'" in capsys.readouterr().err
    assert (tmp_path / "run" / "metrics.json").exists()
    assert not (tmp_path / "run" / "_SUCCESS").exists()


def names(path: Path, *ids: str) -> Path:
    """Writes images that have nothing but an id and bytes that are no image."""
    pq.write_table(pa.table({"id": list(ids), "image": [picture(9, number) for number in range(len(ids))]}), path)
    return path


def truth_by(table: Path, key: str = "id", columns: Columns = EMPTY) -> TruthSource | None:
    return find_truth([str(table)], columns, AS_FOUND, key)


def test_a_plan_names_its_truth_and_knows_it_again(tmp_path: Path) -> None:
    images = names(tmp_path / "a.parquet", "x/1.png", "x/2.png")
    table = write(tmp_path / "t.csv", ["name", "labels"], ["1.png", MODEL.labels[0]])
    plan = cheap_plan([images], tmp_path / "run", truth=truth_by(table, "name", Columns(id="id")))
    assert read_plan(plan.to_json()) == plan
    assert plan.recipe.schema.names == cheap_plan([images], tmp_path / "run").recipe.schema.names
    assert cheap_run(plan, tmp_path / "run")
    rows = pq.read_table(next((tmp_path / "run" / "predictions").glob("*.parquet"))).to_pylist()
    assert [row["labels"] for row in rows] == [[MODEL.labels[0]], None]
    earlier = cheap_plan([images], tmp_path / "again", [tmp_path / "run"], carry_over=True)
    assert [shard.reused for shard in earlier.shards] == [None]
    table.write_text(table.read_text().replace("1.png", "2.png"))
    with pytest.raises(UserError, match=r"--truth: .*t\.csv was changed after the run was planned"):
        cheap_run(plan, tmp_path / "other")


@pytest.mark.parametrize(("ids", "shared"), [(["a/1", "b/1"], True), (["a/1", "a/1"], False), (["a/1", "a/2"], False)])
def test_no_two_records_share_a_row(ids: list[str], shared: bool) -> None:
    def result(index: int, record_id: str, known: bool = True) -> ShardResult:
        table = pa.table({"id": [record_id], "labels": pa.array([[] if known else None], pa.list_(pa.string()))})
        part = Part("", table, b"")
        return ShardResult(Shard(index, "", 0, None, 0, 1), part, part, committed=True)

    results = [*(result(index, record_id) for index, record_id in enumerate(ids)), result(9, "c/1", known=False)]
    with contextlib.ExitStack() as stack:
        if shared:
            stack.enter_context(
                pytest.raises(UserError, match="the records 'a/1' and 'b/1' have the same name, so one")
            )
        root = stack.enter_context(beam.Pipeline(runner=LocalRunner()))
        statistic = root | "Statistic" >> beam.Create([Statistic.zero(1)])
        _ = statistic | CheckTruthKeys(root | "Results" >> beam.Create(results), "name")


@pytest.mark.parametrize("key", ["id", "name", "stem"])
def test_first_records_without_truth_are_refused_only_if_another_key_would_join_them(tmp_path: Path, key: str) -> None:
    """Later records may have truth, so these alone say nothing."""
    (tmp_path / "truth.csv").write_text("id,cat\n9.jpg,1\n")
    truth = load_truth([str(tmp_path / "truth.csv")], Columns(), ("cat",), key=key)
    check_sample_joins(truth, ["cats/1.jpg", "cats/2.jpg"])
    with pytest.raises(UserError, match="give --truth_key ") if key == "id" else contextlib.nullcontext():
        check_sample_joins(truth, ["cats/1.jpg", "cats/9.jpg"])


def test_train_learns_from_a_table(tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = ids_in(tiny)
    table = write(tmp_path / "t.csv", ["id", "cat"], *[[name, number % 2] for number, name in enumerate(ids[:300])])
    flags = [
        tiny[0],
        f"--truth={table}",
        f"--output={tmp_path / 'model'}",
        "--network=textbook",
        "--epochs=1",
        "--image_size=16",
    ]
    assert train(flags) == 2
    assert "--truth needs to know the labels; give --label_file" in capsys.readouterr().err
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    assert train([*flags, f"--label_file={tmp_path / 'labels.txt'}"]) == 0
    printed = capsys.readouterr().out
    assert f"{len(ids) - 300:,} without truth; 2 labels" in printed
    assert json.loads((tmp_path / "model" / "model.json").read_text())["provenance"]["truth"] == [str(table)]
