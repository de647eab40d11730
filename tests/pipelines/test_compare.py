"""`compare`: two runs against numpy on their predictions, whatever the shards are, and all that is refused."""

import hashlib
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulklabel.model.report import format_change, format_change_range
from bulklabel.pipelines.compare import main
from bulklabel.transforms.evaluating.compare import count_buckets
from bulklabel.transforms.run_directory.plan import read_plan
from bulklabel.transforms.run_directory.success import success_of
from bulklabel.transforms.scoring.model_files import save_model
from tests.conftest import label_file, metrics_of, part_of, predictions_of, score, untrained_model, write_parquet

LABELS = [str(digit) for digit in range(10)]


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """Another network for the same labels, with other thresholds, of half of the images."""
    from bulklabel.pipelines.train import main as train
    from tests.support.networks import quarters

    folder = tmp_path_factory.mktemp("models") / "other"
    flags = (f"--label_file={label_file(folder.parent)}", "--network=textbook", "--epochs=2", "--seed=7")
    with patch("bulklabel.model.training.train.build_textbook", quarters):
        assert train([f"--input={corpus / 'file-0.parquet'}", f"--output={folder}", *flags]) == 0
    return folder


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory, corpus: Path, other_model: Path) -> Path:
    """A run of the other model over the same records, in the other layout."""
    output = tmp_path_factory.mktemp("runs") / "later"
    assert score(corpus, other_model, output, "--layout=list") == 0
    return output


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, finished: Path, later: Path) -> Path:
    output = tmp_path_factory.mktemp("comparisons") / "compared"
    assert compare(finished, later, output) == 0
    return output


def compare(before: Path, after: Path, output: Path, *flags: str) -> int:
    return main([str(before), str(after), f"--output={output}", *flags])


def content_of(output: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output / "comparison.json").read_bytes())
    return content


def without_runs(output: Path) -> dict[str, Any]:
    return {name: value for name, value in content_of(output).items() if name != "runs"}


def probabilities(table: pa.Table) -> np.ndarray:
    if "probabilities" in table.column_names:
        return np.array(table.column("probabilities").to_pylist(), np.float32)
    return np.stack([table.column(f"prob_{label}").to_numpy() for label in LABELS], axis=1)


def rows_of(run: Path) -> dict[str, tuple[Any, np.ndarray, np.ndarray]]:
    """Truth, what was predicted, and probabilities by id, of the ids that occur once."""
    table = predictions_of(run)
    ids = table.column("id").to_pylist()
    times = Counter(ids)
    columns = table.column("labels").to_pylist(), table.column("predicted").to_pylist(), probabilities(table)
    return {
        name: (truth, np.isin(LABELS, predicted), scores)
        for name, truth, predicted, scores in zip(ids, *columns, strict=True)
        if times[name] == 1
    }


def check_records(content: dict[str, Any], before: Path, after: Path) -> None:
    """Flips, mean changes and the records that changed most, from the predictions as they lie there."""
    first, second = rows_of(before), rows_of(after)
    ids = sorted(first.keys() & second.keys())
    assert content["records"]["both"] == len(ids)
    old, new = (np.stack([rows[name][1] for name in ids]) for rows in (first, second))
    old_scores, new_scores = (np.stack([rows[name][2] for name in ids]).astype(float) for rows in (first, second))
    truths = [first[name][0] if second[name][0] is None else second[name][0] for name in ids]
    known = np.array([truth is not None for truth in truths])[:, None]
    present = np.array([np.isin(LABELS, truth or []) for truth in truths])
    assert content["records"]["with_truth"] == known.sum()
    for i, row in enumerate(content["per_label"]):
        assert row["label"] == LABELS[i]
        assert row["support"] == (present & known)[:, i].sum()
        assert row["flips"] == {
            "became_present": (~old & new)[:, i].sum(),
            "became_absent": (old & ~new)[:, i].sum(),
            "became_right": ((old != new) & known & (new == present))[:, i].sum(),
            "became_wrong": ((old != new) & known & (new != present))[:, i].sum(),
        }
        assert row["mean_change"] == pytest.approx(np.abs(new_scores - old_scores)[:, i].mean(), abs=1e-9)
    sizes = np.abs(new_scores - old_scores)
    order = sorted(np.flatnonzero(sizes.any(axis=1)), key=lambda row: (-sizes[row].max(), ids[row]))[:50]
    for row, found in zip(order, content["changed_records"], strict=True):
        label = int(sizes[row].argmax())
        assert (found["id"], found["label"]) == (ids[row], LABELS[label])
        assert np.float32(found["before"]) == np.float32(old_scores[row, label])
        assert np.float32(found["after"]) == np.float32(new_scores[row, label])
        assert (found["predicted_before"], found["predicted_after"]) == (old[row, label], new[row, label])
        assert found["truth"] == (bool(present[row, label]) if known[row, 0] else None)


def test_what_changed_is_what_numpy_finds(compared: Path, finished: Path, later: Path) -> None:
    content = content_of(compared)
    check_records(content, finished, later)
    assert sum(row["flips"]["became_right"] for row in content["per_label"]) > 100
    scored = metrics_of(finished)["counts"]["scored"]
    assert content["records"] == {
        "both": scored,
        "only_before": 0,
        "only_after": 0,
        "repeated_before": 0,
        "repeated_after": 0,
        "other_truth": 0,
        "with_truth": metrics_of(finished)["counts"]["with_truth"],
    }
    assert content["labels"] == {"only_before": [], "only_after": []}
    for run, side in ((finished, "before"), (later, "after")):
        about = content["runs"][side]
        plan = read_plan((run / "plan.json").read_bytes())
        assert about["path"] == str(run)
        assert (about["plan"], about["model_digest"]) == (plan.digest, plan.recipe.model_digest)


def test_of_the_same_records_the_metrics_are_the_runs_own(compared: Path, finished: Path, later: Path) -> None:
    content, before, after = content_of(compared), metrics_of(finished), metrics_of(later)
    check_metrics(content["overall"], before["overall"], after["overall"])
    assert {"f1_macro", "log_loss", "subset_accuracy"} <= content["overall"].keys()
    for row, old, new in zip(content["per_label"], before["per_label"], after["per_label"], strict=True):
        check_metrics(row["metrics"], old, new)
        assert {"f1", "precision", "accuracy"} <= row["metrics"].keys()
        assert row["support"] == new["support"]
        assert row["thresholds"] == {"before": old["threshold"], "after": new["threshold"]}


def check_metrics(changes: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> None:
    for name, row in changes.items():
        assert (row["before"], row["after"]) == (before[name], after[name]), name
        assert row["change"] == after[name] - before[name]


def test_other_shards_and_another_order_change_nothing(
    compared: Path,
    corpus: Path,
    model_directory: Path,
    later: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [row for path in sorted(corpus.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    write_parquet(tmp_path / "corpus" / "all.parquet", rows[::-1], row_group_size=900)
    run = tmp_path / "run"
    assert score(tmp_path / "corpus", model_directory, run) == 0
    assert len(list(run.glob("predictions/*"))) != len(list(later.glob("predictions/*")))
    for name, values in (("compared", 10_000_000), ("in_buckets", 10_000)):
        monkeypatch.setattr("bulklabel.transforms.evaluating.compare.BUCKET_VALUES", values)
        assert compare(run, later, tmp_path / name) == 0
        assert without_runs(tmp_path / name) == without_runs(compared)


def test_more_buckets_and_more_processes_change_nothing(
    compared: Path, finished: Path, later: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulklabel.transforms.evaluating.compare.BUCKET_VALUES", 10_000)
    assert count_buckets(9600, 10) == 10
    processes = ("--direct_running_mode", "multi_processing", "--direct_num_workers", "2")
    assert compare(finished, later, tmp_path / "compared", *processes) == 0
    for name in ("comparison.json", "report.html"):
        assert (tmp_path / "compared" / name).read_bytes() == (compared / name).read_bytes()


def test_a_comparison_says_at_the_end_that_it_is_whole(compared: Path) -> None:
    manifest = (compared / "manifest.json").read_bytes()
    assert (compared / "_SUCCESS").read_bytes() == success_of(manifest)
    for entry in json.loads(manifest)["published"]:
        assert entry["sha256"] == hashlib.sha256((compared / entry["name"]).read_bytes()).hexdigest()


def test_a_run_against_itself_has_no_changes(finished: Path, tmp_path: Path) -> None:
    assert compare(finished, finished, tmp_path / "compared") == 0
    content = content_of(tmp_path / "compared")
    for metrics in (content["overall"], *(row["metrics"] for row in content["per_label"])):
        assert {row["change"] for row in metrics.values()} == {0}
        assert [row["interval"] for row in metrics.values()] == [[0, 0]] * len(metrics)
    assert {flips for row in content["per_label"] for flips in row["flips"].values()} == {0}
    assert content["changed_records"] == []


def test_records_in_one_run_only_and_ids_that_repeat_are_counted_and_left_out(
    corpus: Path, other_model: Path, finished: Path, tmp_path: Path
) -> None:
    rows = pq.read_table(corpus / "file-0.parquet").to_pylist()
    rows[7]["id"] = rows[8]["id"]
    rows[9]["id"] = "elsewhere"
    for row in rows[50:150]:
        row["labels"] = None
    rows[40]["labels"] = ["0", "1", "2", "3"]
    write_parquet(tmp_path / "corpus" / "some.parquet", rows, row_group_size=500)
    run = tmp_path / "run"
    assert score(tmp_path / "corpus", other_model, run, "--threshold=0.3") == 0
    assert compare(finished, run, tmp_path / "compared") == 0
    content = content_of(tmp_path / "compared")
    check_records(content, finished, run)
    before, after = predictions_of(finished).column("id").to_pylist(), predictions_of(run).column("id").to_pylist()
    assert (after.count("r00007"), after.count("r00008")) == (0, 2)
    both = len(set(before) & set(after)) - 1
    assert {name: content["records"][name] for name in content["records"] if name != "with_truth"} == {
        "both": both,
        "only_before": len(before) - both - 1,
        "only_after": 1,
        "repeated_before": 1,
        "repeated_after": 2,
        "other_truth": 1,
    }
    page = (tmp_path / "compared" / "report.html").read_text()
    assert "The runs do not have the same records" in page
    assert "records have another truth" in page


def test_only_the_labels_of_both_are_compared(corpus: Path, finished: Path, tmp_path: Path) -> None:
    save_model(untrained_model(("zebra", "7", "3")), str(tmp_path / "model"))
    assert score(corpus, tmp_path / "model", tmp_path / "run") == 0
    assert compare(finished, tmp_path / "run", tmp_path / "compared") == 0
    content = content_of(tmp_path / "compared")
    assert [row["label"] for row in content["per_label"]] == ["7", "3"]
    assert content["labels"] == {
        "only_before": [label for label in LABELS if label not in "37"],
        "only_after": ["zebra"],
    }
    before, after = metrics_of(finished)["per_label"], metrics_of(tmp_path / "run")["per_label"]
    for row, old, new in zip(content["per_label"], (before[7], before[3]), after[1:], strict=True):
        check_metrics(row["metrics"], old, new)
    assert "Only in the later run: zebra" in (tmp_path / "compared" / "report.html").read_text()


def test_the_page_and_the_summary_show_the_comparison(
    finished: Path, later: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(finished, later, tmp_path / "compared") == 0
    printed, page = capsys.readouterr().out, (tmp_path / "compared" / "report.html").read_text()
    content = content_of(tmp_path / "compared")
    for text in (printed, page):
        for name in ("f1_micro", "ece"):
            assert format_change(content["overall"][name]["change"]) in text
            assert format_change_range(content["overall"][name]["interval"]) in text
        assert f"{content['records']['both']:,} records in both" in re.sub("</?b>", "", text)
    assert "Both runs have the same records" in page
    for record in content["changed_records"]:
        assert f'>{record["id"]}</th><td class="text">{record["label"]}</td>' in page


def test_what_cannot_be_compared_is_one_line(
    corpus: Path, finished: Path, later: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(untrained_model(("zebra", "lion")), str(tmp_path / "model"))
    assert score(corpus, tmp_path / "model", tmp_path / "zoo") == 0
    part = part_of(finished, "predictions", 2).relative_to(finished)
    for name, gone in (("unfinished", "manifest.json"), ("torn", part)):
        shutil.copytree(finished, tmp_path / name)
        (tmp_path / name / gone).unlink()
    shutil.copytree(finished, tmp_path / "odd")
    (tmp_path / "odd" / "manifest.json").write_text("{}")
    capsys.readouterr()
    output = tmp_path / "compared"
    for arguments, words in {
        (finished, tmp_path / "none", output): "none is not a finished run",
        (tmp_path / "unfinished", later, output): "unfinished is not a finished run: manifest.json is missing",
        (finished, tmp_path / "odd", output): "manifest.json cannot be read",
        (finished, tmp_path / "zoo", output): "no label in common",
        (finished, later, finished): "is a run, whose report is kept",
        (finished, later, later): "is a run, whose report is kept",
        (finished, later, tmp_path / "zoo"): "is a run, whose report is kept",
        (tmp_path / "torn", later, output): f"{part.name} is missing or damaged",
    }.items():
        assert compare(*arguments) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert main([str(finished), f"--output={output}"]) == 2
    assert "required: RUN_B" in capsys.readouterr().err
    assert main(["--direct_num_workers", "2", str(finished), str(later), f"--output={output}"]) == 2
    assert "the two runs come first" in capsys.readouterr().err
    assert not list(output.glob("*"))
