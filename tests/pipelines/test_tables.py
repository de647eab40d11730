"""Commands on a table of paths: what they score and refuse, and what is scored again if images alone change."""

import csv
import json
import os
from pathlib import Path

import pytest

from tests.conftest import collage_rows, metrics_of, predictions_of, rejected_of, score

RECORDS = 30


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of absolute paths of images that lie elsewhere, one of them twice and one that is missing."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "lists").mkdir()
    path = tmp_path / "lists" / "t.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "labels"])
        for row in collage_rows(RECORDS):
            image = tmp_path / "photos" / f"{row['id']}.png"
            image.write_bytes(row["image"])
            rows.writerow([image, "|".join(row["labels"]) or "|"])
        rows.writerow([image, "|".join(row["labels"]) or "|"])
        rows.writerow([tmp_path / "photos" / "none.png", ""])
    return path


def probabilities(output: Path) -> dict[str, float]:
    return {row["id"]: row["prob_3"] for row in predictions_of(output).to_pylist()}


def test_a_table_is_scored_as_the_folder_of_its_images_is(table: Path, model_directory: Path, tmp_path: Path) -> None:
    root = f"--image_root={tmp_path / 'photos'}"
    assert score(table, model_directory, tmp_path / "scores", root) == 0
    counts = metrics_of(tmp_path / "scores")["counts"]
    assert (counts["records"], counts["scored"], counts["with_truth"]) == (RECORDS + 2, RECORDS + 1, RECORDS + 1)
    (rejected,) = rejected_of(tmp_path / "scores")
    assert (rejected["reason"], rejected["position"]) == ("missing_file", RECORDS + 1)
    assert score(tmp_path / "photos", model_directory, tmp_path / "folder") == 0
    by_name = {Path(name).name: value for name, value in probabilities(tmp_path / "scores").items()}
    assert by_name == probabilities(tmp_path / "folder")
    plan = json.loads((tmp_path / "scores" / "plan.json").read_bytes())
    assert plan["recipe"]["columns"]["image_roots"] == [str(tmp_path / "photos")]
    assert "r00001" not in json.dumps(plan)


def test_without_the_root_the_command_ends_before_the_work_and_names_it(
    table: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(table, model_directory, tmp_path / "scores") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "image_root" in line]
    assert line.endswith(f"flag: --image_root {tmp_path / 'photos'}.")
    assert not (tmp_path / "scores").exists()
    assert score(table, model_directory, tmp_path / "scores", "--image_root=nowhere") == 2
    remote = ["--runner=DataflowRunner", f"--image_root={tmp_path}"]
    assert score(table, model_directory, tmp_path / "scores", *remote) == 2


def test_images_that_changed_under_an_unchanged_table_are_scored_again(
    table: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bulklabel.pipelines.verify import main as verify

    root, match = f"--image_root={tmp_path / 'photos'}", "--match=content"
    assert score(table, model_directory, tmp_path / "one", root, match) == 0
    assert verify([str(tmp_path / "one"), "--sample=5"]) == 0
    changed, *_ = sorted((tmp_path / "photos").iterdir())
    times = changed.stat().st_mtime_ns
    changed.write_bytes(collage_rows(1, seed=9)[0]["image"])
    os.utime(changed, ns=(times, times))
    capsys.readouterr()
    since = f"--since={tmp_path / 'one'}"
    assert score(table, model_directory, tmp_path / "two", root, since) == 0
    assert "may have changed though the table did not" in capsys.readouterr().err
    assert metrics_of(tmp_path / "two")["counts"]["records"] == RECORDS + 2
    before, after = probabilities(tmp_path / "one"), probabilities(tmp_path / "two")
    assert {name for name in before if before[name] != after[name]} == {str(changed)}
    few = "--max_rejected_fraction=1"  # of two records that are left, one is missing
    assert score(table, model_directory, tmp_path / "three", root, since, match, few) == 0
    assert [*probabilities(tmp_path / "three")] == [str(changed)]
    assert verify([str(tmp_path / "one"), f"--sample={RECORDS + 1}"]) == 1
    assert str(table) in capsys.readouterr().out


def test_training_reads_a_table(table: Path, tmp_path: Path) -> None:
    from bulklabel.pipelines.train import main

    flags = [
        f"--input={table}",
        "--network=textbook",
        "--epochs=1",
        "--validation_fraction=0.2",
        f"--output={tmp_path / 'model'}",
    ]
    assert main(flags) == 2
    assert main([*flags, f"--image_root={tmp_path / 'photos'}"]) == 0
