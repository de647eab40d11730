"""Prism, a real one: the same bytes, one line for what goes wrong, and nobody left behind, however a run ends."""

import contextlib
import json
import os
import shutil
import signal
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulklabel.pipelines import evaluate
from bulklabel.pipelines.console.signals import _descendants
from bulklabel.pipelines.flags.score import parser
from bulklabel.pipelines.runners.beam_options import beam_options
from tests.conftest import answers, score
from tests.durability.forked import Death, Run, forked, forks, outcome, said_in_one_line
from tests.engines.worker_pools import Pool
from tests.support import servers
from tests.support.servers import PATIENCE, wait_until

HALFWAY = "part-00004"


@pytest.fixture(scope="module")
def prism() -> list[str]:
    """The flags of Beam's runner for Prism."""
    return ["--runner=PrismRunner", f"--prism_location={servers.installed('prism')}"]


def processes(ancestor: int, word: str = "prism") -> list[int]:
    """Those that a process started with this word in their command lines."""
    found = []
    for process in _descendants(ancestor):
        with contextlib.suppress(FileNotFoundError):
            if word in Path(f"/proc/{process}/cmdline").read_text():
                found.append(process)
    return found


def has_ended(process: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def halfway(flags: list[str], output: Path) -> tuple[Run, int]:
    """A run that has stopped itself just before it wrote the fifth part, and its Prism."""
    run = forked(flags, output, Path(f"{output}.log"), Death(touches=1, file=HALFWAY, signal=signal.SIGSTOP))
    run.wait_until_stopped()
    (found,) = processes(run.process.pid)
    return run, found


def goes_on(run: Run) -> int:
    os.kill(run.process.pid, signal.SIGCONT)
    return run.end()


def is_finished_by_the_same_command(flags: list[str], run: Run, undisturbed: Run) -> None:
    assert not (run.output / "_SUCCESS").exists()
    again = forked(flags, run.output, Path(f"{run.output}.again"))
    assert again.end() == 0, again.said
    assert outcome(run.output) == outcome(undisturbed.output)


@pytest.mark.parametrize("runner", ["PrismRunner", "DirectRunner"])
def test_prism_changes_no_byte(
    corpus: Path,
    model_directory: Path,
    finished: Path,
    tmp_path: Path,
    prism: list[str],
    runner: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = (f"--runner={runner}", prism[1], "--prism_log_level=info")
    others = processes(os.getpid())  # those that Beam itself starts for other tests live as long as these
    assert score(corpus, model_directory, tmp_path / "run", *flags) == 0
    assert answers(tmp_path / "run") == answers(finished)
    assert "Prism: pipeline done!" in capsys.readouterr().err  # it was Prism who says so
    assert processes(os.getpid()) == others


def test_shards_are_scored_side_by_side(tiny: list[str], prism: list[str], undisturbed: Run, tmp_path: Path) -> None:
    """While the first one is held up, others' parts are written; and nothing but the summary is said."""
    death = Death(touches=1, file="part-00000", signal=signal.SIGSTOP)
    run = forked([*tiny, *prism], tmp_path / "run", tmp_path / "log", death)
    run.wait_until_stopped()
    assert goes_on(run) == 0
    assert outcome(run.output) == outcome(undisturbed.output)
    assert run.said.splitlines()[-1].startswith('{"command": "score", "state": "finished"')


@pytest.mark.parametrize(("flag", "exit_code"), [("--require=f1_micro>=1", 3), ("--max_rejected_fraction=0", 4)])
def test_a_refusal_is_one_line(tiny: list[str], prism: list[str], tmp_path: Path, flag: str, exit_code: int) -> None:
    run = forked([*tiny, *prism, flag], tmp_path / "run", tmp_path / "log")
    assert run.end() == exit_code
    *others, summary = run.said.splitlines()  # the metrics are among them, as of a run that is accepted
    errors = [line for line in others if "error" in line.lower() or "Traceback" in line]
    assert errors == [f"bulklabel: error: {json.loads(summary)['error']}"]


def evaluate_forked(flags: list[str], log: Path) -> None:
    for stream in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    sys.exit(evaluate.main(flags))


def test_what_a_worker_says_of_bad_input_is_one_line(finished: Path, prism: list[str], tmp_path: Path) -> None:
    damaged = shutil.copytree(finished, tmp_path / "damaged")
    next(damaged.glob("predictions/*")).write_bytes(b"nothing")
    flags = [f"--input={damaged}", f"--output={tmp_path / 'again'}", *prism]
    process = forks().Process(target=evaluate_forked, args=(flags, tmp_path / "log"))
    process.start()
    process.join(PATIENCE)
    said = (tmp_path / "log").read_text()
    assert process.exitcode == 2
    assert "run the same `bulklabel score` again to repair it" in said
    said_in_one_line(said)


def test_an_output_that_is_taken_away_is_one_line(tiny: list[str], prism: list[str], tmp_path: Path) -> None:
    run, _ = halfway([*tiny, *prism], tmp_path / "run")
    (run.output / "plan.json").unlink()
    assert goes_on(run) == 1
    assert "somebody deleted plan.json while it went on" in run.said
    said_in_one_line(run.said)


def test_a_run_whose_prism_is_killed(tiny: list[str], prism: list[str], undisturbed: Run, tmp_path: Path) -> None:
    run, killed = halfway([*tiny, *prism], tmp_path / "run")
    os.kill(killed, signal.SIGKILL)
    assert goes_on(run) == 1
    assert "a worker process died or was killed" in run.said
    said_in_one_line(run.said)
    is_finished_by_the_same_command([*tiny, *prism], run, undisturbed)


def test_a_signal_ends_prism_too(tiny: list[str], prism: list[str], undisturbed: Run, tmp_path: Path) -> None:
    run, left = halfway([*tiny, *prism], tmp_path / "run")
    assert os.getpgid(left) != os.getpgid(run.process.pid)  # Ctrl-C on a terminal does not reach it
    os.kill(run.process.pid, signal.SIGTERM)
    assert goes_on(run) == 1
    assert "bulklabel: error: stopped by SIGTERM; " in run.said
    said_in_one_line(run.said)
    assert has_ended(left)
    is_finished_by_the_same_command([*tiny, *prism], run, undisturbed)


def score_impatiently(flags: list[str]) -> None:
    from bulklabel.pipelines.runners import prism
    from bulklabel.pipelines.score import main

    prism.SECONDS_ALONE = 5
    os.setsid()
    main(flags)


def test_a_run_that_is_killed_leaves_no_prism(
    tiny: list[str], prism: list[str], undisturbed: Run, tmp_path: Path
) -> None:
    """It finds out by itself."""
    run = Run(None, tmp_path / "run", tmp_path / "log")
    process = forks().Process(target=score_impatiently, args=([*tiny, *prism, f"--output={run.output}"],))
    process.start()
    wait_until(lambda: any(run.output.glob("predictions/*")) or process.exitcode, "no part is written")
    (left,) = processes(process.pid)
    process.kill()
    process.join()
    is_finished_by_the_same_command([*tiny, *prism], run, undisturbed)
    wait_until(lambda: has_ended(left), "Prism is left behind")


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    """A worker pool on this Python."""
    started = Pool(Path(sys.executable), tmp_path / "pool")
    yield started
    started.stop()


def test_a_run_whose_worker_in_a_pool_is_killed(
    corpus: Path, onnx_model: Path, finished_onnx: Path, tmp_path: Path, prism: list[str], pool: Pool
) -> None:
    flags = [f"--input={corpus}", f"--model={onnx_model}", *prism, *pool.flags()]
    run = forked(flags, tmp_path / "run", tmp_path / "log")
    wait_until(lambda: any(run.output.glob("predictions/*")) or run.process.exitcode, "no part is written")
    assert run.process.exitcode is None, run.said
    (worker,) = pool.workers
    os.kill(worker, signal.SIGKILL)
    assert run.end() == 1
    assert "a worker process died or was killed" in run.said
    said_in_one_line(run.said)
    assert score(corpus, onnx_model, run.output, *prism) == 0
    assert answers(run.output) == answers(finished_onnx)


def test_a_pool_that_is_not_there_is_named(tiny: list[str], prism: list[str], tmp_path: Path) -> None:
    nowhere = f"localhost:{servers.free_port()}"
    external = ["--environment_type=EXTERNAL", f"--environment_config={nowhere}"]
    run = forked([*tiny, *prism, *external], tmp_path / "run", tmp_path / "log")
    assert run.end() == 1
    assert f"bulklabel: error: Prism died: unable to start sdk worker {nowhere}" in run.said
    said_in_one_line(run.said)


def test_prism_that_is_not_there_is_said_before_anything_is_written(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from apache_beam.runners.portability.prism_runner import PrismJobServer

    from bulklabel.pipelines.score import main

    monkeypatch.setattr(PrismJobServer, "BIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{servers.free_port()}")
    text = tmp_path / "text"
    text.write_text("no program")
    for flag, words in (
        ("--prism_log_level=warn", "Prism cannot be downloaded (Unable to fetch remote prism binary"),
        ("--prism_location=/nowhere/prism", "--prism_location /nowhere/prism: no such program; build it with `go inst"),
        (f"--prism_location={text}", f"{text} is not Prism, or not for this machine; build it with `go install github"),
        (f"--prism_location={sys.executable}", "is not Prism, or not for this machine"),
    ):
        assert main([*tiny, f"--output={tmp_path / 'run'}", "--runner=PrismRunner", flag]) == 2
        captured = capsys.readouterr()
        assert words in captured.err
        said_in_one_line(captured.err + captured.out)
    assert not (tmp_path / "run").exists()


def test_the_direct_runner_is_the_one_in_process_where_there_is_no_prism_or_its_flags_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prism: list[str]
) -> None:
    from apache_beam.options.pipeline_options import StandardOptions
    from apache_beam.runners.portability.prism_runner import PrismJobServer

    monkeypatch.setattr(PrismJobServer, "BIN_CACHE", str(tmp_path))
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{servers.free_port()}")

    def meant(*flags: str) -> str:
        return str(
            beam_options(["--runner=DirectRunner", *flags], Namespace(), parser()).view_as(StandardOptions).runner
        )

    assert meant() == "bulklabel.pipelines.runners.in_process.LocalRunner"
    assert meant(prism[1]) == "bulklabel.pipelines.runners.prism.PrismRunner"
    shutil.copy(servers.installed("prism"), tmp_path / downloaded())
    assert meant() == "bulklabel.pipelines.runners.prism.PrismRunner"
    assert meant("--direct_num_workers=2") == "bulklabel.pipelines.runners.in_process.LocalRunner"


def downloaded() -> str:
    """The name under which Beam keeps the program that it downloads for this machine."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.prism_runner import PrismJobServer

    return Path(PrismJobServer(PipelineOptions([])).path_to_binary()).name
