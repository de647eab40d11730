"""Records that belong together: `--group_by` of every command, ids that repeat, and what is said of both."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulklabel.model.images.demo_collages import DIGITS
from bulklabel.model.labels.label_rule import LabelRule
from bulklabel.model.labels.predictions import truth_of
from bulklabel.pipelines.compare import main as compare
from bulklabel.pipelines.evaluate import main as evaluate
from bulklabel.pipelines.train import main as train
from bulklabel.transforms.evaluating import count_distinct
from bulklabel.transforms.reading.find_shards import find_shards
from bulklabel.transforms.reading.records import Columns, ReadSpec, RecordTable
from bulklabel.transforms.training.samples import SampleSource
from tests.conftest import answers, collage_rows, metrics_of, score

PATIENTS = 60


def write_films(folder: Path, files: int = 2, **columns: Sequence[Any]) -> Path:
    """Films of sixty patients, of whom the first has many; a few films say nothing of whose they are."""
    rows = collage_rows(600, seed=4)
    random = np.random.default_rng(1)
    chosen = np.minimum(random.geometric(0.06, len(rows)), PATIENTS)
    patients: list[str | None] = [f"patient {number}" for number in chosen]
    patients[7] = patients[401] = None
    table: dict[str, Sequence[Any]] = {name: [row[name] for row in rows] for name in ("id", "image", "labels")}
    table |= {"patient": patients} | columns
    folder.mkdir(parents=True, exist_ok=True)
    whole = pa.table(table)
    size = len(rows) // files
    for number in range(files):
        pq.write_table(whole.slice(number * size, size), folder / f"{number}.parquet", row_group_size=100)
    return folder


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory, films: Path, model_directory: Path) -> Path:
    output = tmp_path_factory.mktemp("grouped") / "run"
    assert score(films, model_directory, output, "--group_by=patient", "--carry=patient") == 0
    return output


def patients_of(films: Path) -> list[str | None]:
    names: list[str | None] = pq.read_table(films).column("patient").to_pylist()
    return names


def manifest_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "manifest.json").read_bytes())
    return content


def test_groups_are_counted_and_named(grouped: Path, films: Path, model_directory: Path, capsys: Any) -> None:
    names = patients_of(films)
    counts = metrics_of(grouped)["counts"]
    assert counts["groups"] == len({name for name in names if name}) + 2
    assert counts["without_group"] == 2
    assert counts["duplicate_ids"] == 0
    assert manifest_of(grouped)["group_by"] == "patient"
    page = (grouped / "report.html").read_text()
    assert f"by patient: {counts['groups']} groups" in " ".join(page.split())
    (grouped / "_SUCCESS").unlink()
    capsys.readouterr()
    assert score(films, model_directory, grouped, "--group_by=patient") == 0
    captured = capsys.readouterr()
    assert f"  95 % intervals by patient: {counts['groups']} groups" in captured.out
    assert captured.err == ("bulklabel: warning: 2 records have no value of patient: each is a group of its own.\n")


def test_only_intervals_depend_on_the_grouping(
    grouped: Path, tmp_path: Path, films: Path, model_directory: Path
) -> None:
    assert score(films, model_directory, tmp_path / "plain", "--carry=patient") == 0
    ours, plain = metrics_of(grouped), metrics_of(tmp_path / "plain")
    assert ours["overall"] == plain["overall"]
    assert ours["intervals"]["f1_micro"] != plain["intervals"]["f1_micro"]
    assert plain["counts"].keys() == ours["counts"].keys() - {"groups", "without_group"}


def test_a_finished_run_is_published_again_by_another_grouping(
    grouped: Path, films: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert score(films, model_directory, run, "--carry=patient") == 0
    before = metrics_of(run)
    capsys.readouterr()
    assert score(films, model_directory, run, "--carry=patient", "--group_by=patient") == 0
    assert "nothing to do" not in capsys.readouterr().out
    assert answers(run) == answers(grouped)
    assert score(films, model_directory, run, "--carry=patient") == 0
    assert metrics_of(run) == before
    assert score(films, model_directory, run, "--carry=patient") == 0
    assert "nothing to do" in capsys.readouterr().out


def test_neither_shards_nor_partitions_nor_an_interruption_matter(
    grouped: Path, films: Path, model_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (grouped / "metrics.json").read_bytes()
    monkeypatch.setattr(count_distinct, "PARTITION_HASHES", 50)
    (grouped / "_SUCCESS").unlink()
    next(grouped.glob("predictions/*")).unlink()
    assert score(films, model_directory, grouped, "--group_by=patient") == 0
    assert (grouped / "metrics.json").read_bytes() == whole
    assert score(write_films(tmp_path / "in", files=6), model_directory, tmp_path / "run", "--group_by=patient") == 0
    assert (tmp_path / "run" / "metrics.json").read_bytes() == whole


def test_evaluate_groups_as_the_run_was_unless_told_otherwise(
    grouped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, flags in {"default": (), "told": ("--group_by=patient",)}.items():
        assert evaluate([f"--input={grouped}", f"--output={tmp_path / name}", *flags]) == 0
        assert (tmp_path / name / "metrics.json").read_bytes() == (grouped / "metrics.json").read_bytes()
        assert manifest_of(tmp_path / name)["group_by"] == "patient"
    capsys.readouterr()
    assert evaluate([f"--input={grouped}", f"--output={tmp_path / 'none'}", "--group_by=camera"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "bulklabel: error: --group_by camera: the run has no such column; it carried patient: score with "
        "--carry camera.\n"
    )
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("partition_hashes", [2**23, 20])
def test_ids_that_repeat_are_found_across_files(
    model_directory: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    partition_hashes: int,
) -> None:
    monkeypatch.setattr(count_distinct, "PARTITION_HASHES", partition_hashes)
    ids = [f"film-{number}" for number in range(600)]
    ids[350], ids[10], ids[599] = ids[3], ids[9], ids[9]  # one pair in two files, and three of one id
    films = write_films(tmp_path / "in", id=ids)
    run = tmp_path / "run"
    assert score(films, model_directory, run) == 0
    line = "bulklabel: warning: 3 records have an id that an earlier record also has, such as 'film-"
    assert capsys.readouterr().err.startswith(line)
    found = metrics_of(run)
    assert found["counts"]["duplicate_ids"] == 3
    assert found["duplicate_example"] in (ids[3], ids[9])
    assert "3 records have an id that an earlier record also has" in " ".join((run / "report.html").read_text().split())
    assert evaluate([f"--input={run}", f"--output={tmp_path / 'again'}", "--require=duplicate_ids<=0"]) == 3
    assert "duplicate_ids<=0 (it is 3)" in capsys.readouterr().err
    assert metrics_of(tmp_path / "again") == found
    since = (f"--since={run}", "--carry_over")
    assert score(films, model_directory, tmp_path / "carried", *since, "--require=duplicate_ids<=2") == 3
    assert metrics_of(tmp_path / "carried")["duplicate_example"] == found["duplicate_example"]


def test_groups_can_be_required_where_there_are_any(
    grouped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"--input={grouped}", f"--output={tmp_path / 'again'}"]
    assert evaluate([*arguments, "--require=groups>=20", "--require=without_group<=2"]) == 0
    assert evaluate([*arguments, "--require=groups>=2000"]) == 3
    assert "groups>=2000 (it is 5" in capsys.readouterr().err


def test_few_groups_are_warned_of(model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = write_films(tmp_path / "in", patient=[number % 7 for number in range(600)])
    assert score(films, model_directory, tmp_path / "run", "--group_by=patient") == 0
    assert "there are only 7 groups by patient" in capsys.readouterr().err
    assert metrics_of(tmp_path / "run")["counts"]["groups"] == 7


def test_a_column_without_any_value_is_told_of(
    model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = write_films(tmp_path / "in", patient=pa.nulls(600, pa.string()))
    assert score(films, model_directory, tmp_path / "run", "--group_by=patient") == 0
    assert capsys.readouterr().err == (
        "bulklabel: warning: no record has a value of patient, so intervals treat each record as independent; "
        "check the name.\n"
    )
    counts = metrics_of(tmp_path / "run")["counts"]
    assert counts["groups"] == counts["without_group"] == counts["scored"]


def test_a_column_that_is_not_there_is_one_line(
    films: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: str, flag: str) -> int:
        if command == "score":
            return score(films, model_directory, tmp_path / "run", flag)
        return train([f"--input={films}", f"--output={tmp_path / 'model'}", flag])

    for command in ("score", "train"):
        for flag, words in {
            "--group_by=person": "column person: no such column in",
            "--group_by=id": "column id: records have a column of this name already",
            "--group_by=": "it is empty; name a column",
        }.items():
            assert run(command, flag) == 2
            error = capsys.readouterr().err
            assert words in error
            assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def patients_on(films: Path, validation: bool, group_by: str | None) -> set[str]:
    """Whose films are on a side of the split of `train`."""
    columns = Columns(carry=("patient",))
    _, found = find_shards([str(films)], "auto", columns)
    source = SampleSource(
        found.shards, ReadSpec("parquet", columns, None, 1024, LabelRule("names", "labels")), 0.25, group_by
    )
    names: list[str] = []
    for table in source.tables(source.shards, source.spec):
        assert isinstance(table, RecordTable)
        names += (
            table.filter(source.sides(table.rows, truth_of(table.rows, DIGITS)[0])[validation])
            .rows.column("patient")
            .drop_null()
            .to_pylist()
        )
    return set(names)


def test_no_patient_is_on_both_sides_of_the_split(films: Path) -> None:
    learnt, judged = (patients_on(films, validation, "patient") for validation in (False, True))
    assert not learnt & judged
    assert min(len(learnt), len(judged)) > 5
    assert len(patients_on(films, False, None) & patients_on(films, True, None)) > 20


def test_train_says_how_it_split(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    groups = len({name for name in patients_of(films) if name}) + 2
    assert (
        train(
            [f"--input={films}", f"--output={tmp_path / 'm'}", "--network=textbook", "--epochs=1", "--group_by=patient"]
        )
        == 0
    )
    captured = capsys.readouterr()
    assert f"split by patient: {groups} groups, each on one side" in captured.out
    assert "2 records have no value of patient: each is a group of its own." in captured.err
    assert json.loads((tmp_path / "m" / "model.json").read_bytes())["provenance"]["group_by"] == "patient"
    summary = json.loads(captured.out.splitlines()[-1])
    assert (summary["counts"]["duplicate_ids"], summary["counts"]["without_group"]) == (0, 2)


def test_train_finds_ids_that_repeat_and_a_column_without_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = write_films(tmp_path / "in", id=["film"] * 600, patient=pa.nulls(600, pa.string()))
    flags = [f"--input={films}", f"--output={tmp_path / 'm'}", "--network=textbook", "--epochs=1"]
    assert train([*flags, "--group_by=patient"]) == 2
    assert "--group_by patient: no record has a value of it" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
    films = write_films(tmp_path / "in", id=["film", "film", *(f"film {number}" for number in range(598))])
    assert train(flags) == 0
    assert "1 record has an id that an earlier record also has.\n" in capsys.readouterr().err


@pytest.fixture(scope="module")
def ungrouped(tmp_path_factory: pytest.TempPathFactory, films: Path, model_directory: Path) -> Path:
    """A run by another threshold that carried nothing."""
    output = tmp_path_factory.mktemp("ungrouped") / "run"
    assert score(films, model_directory, output, "--threshold=0.35") == 0
    return output


def comparison_of(output: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output / "comparison.json").read_bytes())
    return content


@pytest.mark.parametrize("grouped_first", [True, False])
def test_compare_groups_as_the_runs_were(
    grouped: Path, ungrouped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], grouped_first: bool
) -> None:
    pair = [str(run) for run in ((grouped, ungrouped) if grouped_first else (ungrouped, grouped))]
    assert compare([*pair, f"--output={tmp_path / 'default'}"]) == 0
    captured = capsys.readouterr()
    counts = metrics_of(grouped)["counts"]
    assert f"{ungrouped} was not grouped; intervals of changes are by patient." in captured.err
    assert "2 records have no value of patient" in captured.err
    assert f"  95 % intervals by patient: {counts['groups']} groups" in captured.out
    content = comparison_of(tmp_path / "default")
    assert content["group_by"] == "patient"
    assert content["records"]["groups"] == counts["groups"]
    page = " ".join((tmp_path / "default" / "report.html").read_text().split())
    assert f"by patient: {counts['groups']} groups" in page
    assert compare([*pair, f"--output={tmp_path / 'told'}", "--group_by=patient"]) == 0
    assert "was not grouped" not in capsys.readouterr().err
    assert comparison_of(tmp_path / "told") == content


def test_a_change_from_nothing_is_as_uncertain_as_what_it_leads_to(
    grouped: Path, films: Path, model_directory: Path, tmp_path: Path
) -> None:
    nothing = tmp_path / "nothing"
    assert score(films, model_directory, nothing, "--threshold=1", "--group_by=patient") == 0
    assert compare([str(nothing), str(grouped), f"--output={tmp_path / 'changes'}"]) == 0
    changes, own = comparison_of(tmp_path / "changes")["overall"], metrics_of(grouped)
    assert changes["log_loss"]["interval"] == [0, 0]  # a threshold decides nothing of it
    recall = changes["recall_micro"]
    assert (recall["before"], recall["after"]) == (0, own["overall"]["recall_micro"])
    low, high = own["intervals"]["recall_micro"]  # on the logit scale, so about as wide
    assert recall["interval"][1] - recall["interval"][0] == pytest.approx(high - low, rel=0.05)


def test_runs_that_are_grouped_differently_are_told_so(
    grouped: Path, ungrouped: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = write_films(tmp_path / "in", study=[f"study {number // 3}" for number in range(600)])
    by_study = tmp_path / "by_study"
    assert score(films, model_directory, by_study, "--group_by=study", "--carry=patient") == 0
    assert metrics_of(by_study)["counts"]["groups"] == 200
    capsys.readouterr()
    for pair, flags, words in (
        ((grouped, by_study), (), f"grouped differently, {grouped} by patient and {by_study} by study; say by which"),
        ((grouped, ungrouped), ("--group_by=camera",), "--group_by camera: neither run has such a column"),
    ):
        assert compare([*map(str, pair), f"--output={tmp_path / 'changes'}", *flags]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert not (tmp_path / "changes").exists()
    for flag, groups in {"patient": metrics_of(grouped)["counts"]["groups"], "study": 200}.items():
        changes = tmp_path / flag
        assert compare([str(grouped), str(by_study), f"--output={changes}", f"--group_by={flag}"]) == 0
        assert comparison_of(changes)["records"]["groups"] == groups
