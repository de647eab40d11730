"""The tutorials and the page on other tools: their commands are good command lines, and what can be run here is run."""

import argparse
import importlib
import re
import shlex
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest

from bulklabel.pipelines import train
from bulklabel.pipelines.cli import main
from bulklabel.transforms.scoring.model_files import save_model
from tests.conftest import ROOT, metrics_of, png, untrained_model
from tests.durability.forked import Run

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


def commands(path: Path) -> list[str]:
    return re.findall(r"^bulklabel (.+)$", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_the_commands_of_a_tutorial_are_good_command_lines(path: Path) -> None:
    assert len(commands(path)) >= 4
    for line in commands(path):
        name, *words = shlex.split(line)
        _, beam_flags = importlib.import_module(f"bulklabel.pipelines.flags.{name}").parser().parse_command(words)
        assert not beam_flags, line


def test_the_tutorial_on_films_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a network that has learnt nothing, since the tutorial is about truth, patients and thresholds."""

    def not_trained(options: argparse.Namespace, _source: object, _survey: object, labels: tuple[str, ...]) -> None:
        save_model(untrained_model(labels, 16), options.output)

    monkeypatch.setattr(train, "_fit_and_save", not_trained)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "tutorials" / "films.md").read_text()
    (table,) = re.findall(r"```csv\n(.*?)```", text, re.DOTALL)
    rows = [f"patient{patient:04d}/study{study}/view1.png" for patient in range(3, 40) for study in (1, 2)]
    table += "".join(f"{path},A,{index % 2},{index % 3 % 2},1\n" for index, path in enumerate(rows))
    Path("labels.csv").write_text(table)
    for folder in ("films", "more_films"):
        for path in [row.partition(",")[0] for row in table.splitlines()[1:]]:
            image = Path(folder, path)
            image.parent.mkdir(parents=True)
            image.write_bytes(png(np.full((8, 8, 3), len(path), np.uint8)))
    (labels,) = re.findall(r"^printf '(.*)' > labels.txt$", text, re.MULTILINE)
    Path("labels.txt").write_text(labels.replace("\\n", "\n"))
    for line in commands(ROOT / "docs" / "tutorials" / "films.md"):
        assert main(shlex.split(line)) == 0, line
    counts = metrics_of(Path("my/judged"))["counts"]
    assert (counts["records"], counts["with_truth"], counts["groups"]) == (77, 77, 39)


def test_other_tools_read_a_run_as_the_page_shows(
    undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Spark's example is left out, since a session costs 15 s; that for MLflow logs to a stand-in."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    mlflow = MagicMock()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    text = (ROOT / "docs" / "how-to.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    here = [block for block in blocks if "pyspark" not in block]
    assert (len(blocks), len(here)) == (7, 6)
    for block in here:
        exec(block.replace("demo/scores", str(undisturbed.output)), {})  # noqa: S102
    assert "prob_1" in capsys.readouterr().out
    (logged,) = mlflow.log_metrics.call_args.args
    assert logged["f1_micro"] == metrics_of(undisturbed.output)["overall"]["f1_micro"]
    assert all(re.fullmatch(r"[\w.\-/ ]+", name) for name in logged), "names that MLflow takes"
    assert Path(*mlflow.log_artifact.call_args.args).is_file()
