"""Several runs in one place at the same moment, and one that is stopped while another takes its place."""

import os
import signal
from pathlib import Path

import pytest

from tests.durability.forked import Death, Run, forked, forks, outcome, said_in_one_line

OTHER = "--threshold=0.4"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny: list[str], undisturbed: Run) -> list[Run]:
    """The run, and one of another plan, when nobody else is there."""
    folder = tmp_path_factory.mktemp("other")
    other = forked([*tiny, OTHER], folder / "run", folder / "log")
    assert other.end() == 0, other.said
    return [undisturbed, other]


def together(commands: list[list[str]], place: Path) -> tuple[list[Run], list[int]]:
    """Start all commands at the same moment; how they ended."""
    barrier = forks().Barrier(len(commands))
    logs = [place.with_name(f"log{number}") for number in range(len(commands))]
    runs = [forked(command, place, log, barrier=barrier) for command, log in zip(commands, logs, strict=True)]
    return runs, [run.end() for run in runs]


@pytest.mark.parametrize("attempt", range(6))
def test_two_runs_of_a_plan_at_the_same_moment_both_succeed(
    tiny: list[str], alone: list[Run], tmp_path: Path, attempt: int
) -> None:
    if attempt >= 3:  # both continue what was killed
        assert forked(tiny, tmp_path / "run", tmp_path / "log", Death(20 * attempt)).end() == -signal.SIGKILL
    runs, exit_codes = together([tiny, tiny], tmp_path / "run")
    assert exit_codes == [0, 0], [run.said for run in runs]
    assert outcome(tmp_path / "run") == outcome(alone[0].output)


@pytest.mark.parametrize("attempt", range(4))
def test_runs_of_two_plans_at_the_same_moment_leave_one_of_them(
    tiny: list[str], alone: list[Run], tmp_path: Path, attempt: int
) -> None:
    flags = ["--overwrite"] if attempt >= 2 else []
    if flags:  # both replace a third plan
        assert forked([*tiny, "--threshold=0.3"], tmp_path / "run", tmp_path / "log").end() == 0
    runs, exit_codes = together([[*tiny, *flags], [*tiny, OTHER, *flags]], tmp_path / "run")
    for run, exit_code in zip(runs, exit_codes, strict=True):
        assert exit_code in (0, 1, 2)
        if exit_code:
            said_in_one_line(run.said)
    plan = (tmp_path / "run" / "plan.json").read_bytes()
    (mine,) = [number for number, run in enumerate(alone) if (run.output / "plan.json").read_bytes() == plan]
    again = forked([*tiny, OTHER] if mine else tiny, tmp_path / "run", tmp_path / "log")
    if exit_codes[mine] == 0:
        assert (tmp_path / "run" / "_SUCCESS").exists()
        assert outcome(tmp_path / "run") == outcome(alone[mine].output)
    assert again.end() == 0
    assert outcome(tmp_path / "run") == outcome(alone[mine].output)


def test_two_runs_that_overwrite_at_the_same_moment_leave_one_result(
    tiny: list[str], alone: list[Run], tmp_path: Path
) -> None:
    assert forked([*tiny, OTHER], tmp_path / "run", tmp_path / "log").end() == 0
    runs, exit_codes = together([[*tiny, "--overwrite"]] * 2, tmp_path / "run")
    assert 0 in exit_codes, [run.said for run in runs]
    for run, exit_code in zip(runs, exit_codes, strict=True):
        if exit_code:  # the other one deleted its first parts, together with those of the plan before
            said_in_one_line(run.said)
    assert outcome(tmp_path / "run") == outcome(alone[0].output)


@pytest.mark.parametrize(
    ("file", "touches"), [("part-00005", 2), ("part-00005", 3), (".metrics.json.", 2), ("._SUCCESS.", 2)]
)
def test_a_run_that_wakes_up_in_another_plans_output_does_not_finish_it(
    tiny: list[str], alone: list[Run], tmp_path: Path, file: str, touches: int
) -> None:
    sleeper = forked(tiny, tmp_path / "run", tmp_path / "sleeper", Death(touches, file=file, signal=signal.SIGSTOP))
    sleeper.wait_until_stopped()
    other = forked([*tiny, OTHER, "--overwrite"], tmp_path / "run", tmp_path / "log")
    assert other.end() == 0, other.said
    os.kill(sleeper.process.pid, signal.SIGCONT)
    assert sleeper.end() == 1
    said_in_one_line(sleeper.said)
    if (tmp_path / "run" / "_SUCCESS").exists():
        assert outcome(tmp_path / "run") == outcome(alone[1].output)
    assert forked([*tiny, OTHER], tmp_path / "run", tmp_path / "log").end() == 0
    assert outcome(tmp_path / "run") == outcome(alone[1].output)
