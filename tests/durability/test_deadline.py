"""`--deadline`: no further shard is begun, those in hand are finished, and the same command goes on."""

import itertools
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import pytest

from bulklabel.model.errors import DeadlineError
from bulklabel.model.metrics import Goal
from bulklabel.pipelines.flags.common import duration
from bulklabel.transforms.concurrency.deadline import Deadline
from tests.conftest import answers, part_of, score
from tests.durability.forked import forked

OVER = "--deadline=0.001s"


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("bulklabel: error: ").rstrip()


@pytest.mark.parametrize(
    ("text", "seconds", "words"),
    [("90", 90, "90 seconds"), ("90s", 90, "90s"), ("90m", 5400, "90m"), ("1.5h", 5400, "1.5h")],
)
def test_a_deadline_counts_from_now(text: str, seconds: float, words: str) -> None:
    before = time.time()
    found = duration(text)
    assert before + seconds <= found.moment <= time.time() + seconds
    assert found.words == words
    assert not found.has_passed()


@pytest.mark.parametrize("text", ["", "soon", "-5", "5d", "1e3", "5 h"])
def test_what_is_no_time_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(tmp_path, tmp_path, tmp_path, f"--deadline={text}") == 2
    assert "is not a time; give seconds, or a number like 90m or 5h" in said(capsys)


def test_finished_shards_are_counted_and_the_others_left(
    corpus: Path, onnx_model: Path, finished_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(finished_onnx, tmp_path / "run")
    (run / "_SUCCESS").unlink()
    (run / "metrics.json").unlink()
    lost = part_of(run, "predictions", 1), part_of(run, "rejected", 6)
    for path in lost:
        path.unlink()
    assert score(corpus, onnx_model, run, OVER) == 1
    assert said(capsys) == (
        "the deadline of 0.001s has passed; 6 of 8 shards are finished; run the same command again to continue."
    )
    assert not (run / "metrics.json").exists()
    assert not lost[0].exists()
    assert score(corpus, onnx_model, run) == 0
    assert answers(run) == answers(finished_onnx)


def test_a_run_without_open_shards_is_published_however_late(
    corpus: Path, onnx_model: Path, finished_onnx: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished_onnx, tmp_path / "run")
    (run / "_SUCCESS").unlink()
    assert score(corpus, onnx_model, run, OVER) == 0
    assert answers(run) == answers(finished_onnx)


def test_it_reaches_worker_processes(corpus: Path, onnx_model: Path, tmp_path: Path) -> None:
    workers = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    flags = (f"--input={corpus}", f"--model={onnx_model}", OVER, *workers)
    run = forked(flags, tmp_path / "run", tmp_path / "log")
    assert run.end() == 1, run.said
    assert run.errors == (
        "bulklabel: error: the deadline of 0.001s has passed; 0 of 8 shards are finished; "
        "run the same command again to continue.\n"
    )


ASKED = itertools.count()


@dataclass(frozen=True)
class AfterThree(Deadline):
    """Passes when three shards have been begun: each asks once, two of them perhaps at the same moment."""

    def has_passed(self) -> bool:
        return next(ASKED) >= 3


def test_it_may_pass_among_the_shards(corpus: Path, onnx_model: Path, tmp_path: Path) -> None:
    from bulklabel.pipelines.score import Job, build
    from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
    from bulklabel.transforms.evaluating.publication import Publication
    from bulklabel.transforms.planning.make_plan import make_plan
    from bulklabel.transforms.reading.records import Columns
    from bulklabel.transforms.reuse.earlier_runs import EarlierRuns
    from bulklabel.transforms.run_directory.manifest import launch_of, now
    from bulklabel.transforms.run_directory.run_directory import RunDirectory
    from bulklabel.transforms.scoring.load_scorer import load_scorer
    from bulklabel.transforms.scoring.model_files import load_model

    model, output = load_model(str(onnx_model)), str(tmp_path / "run")
    plan = make_plan([str(corpus)], "auto", Columns(), model, output, EarlierRuns())
    RunDirectory(output, plan.stamp).start(plan, overwrite=False)
    root = beam.Pipeline(runner="bulklabel.pipelines.runners.in_process.LocalRunner", argv=[])
    scorer = OncePerProcess(load_scorer, str(onnx_model), model.digest)
    publication = Publication(output, plan.recipe.labels, plan.recipe.thresholds, {}, Goal())
    deadline = AfterThree(0, "a test")
    build(root, Job(plan, scorer, launch_of({"model": "m"}, now()), publication, deadline))
    with pytest.raises(DeadlineError, match="the deadline of a test has passed; 3 of 8 shards"):
        root.run()
    assert len(list(tmp_path.glob("run/predictions/*.parquet"))) == 3
    assert not (tmp_path / "run" / "metrics.json").exists()
