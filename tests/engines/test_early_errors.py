"""What a remote runner or its workers lack is said in one line, before the first shard; workers are real processes."""

import os
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bulklabel.model.errors import StoreError, UserError
from bulklabel.model.versions import NOT_INSTALLED
from bulklabel.pipelines.console.worker_errors import worker_error
from bulklabel.pipelines.score import main
from bulklabel.transforms.run_directory.plan import read_plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.scoring.check_workers import (
    SAMPLED_INPUTS,
    WorkerRequirements,
    check_worker,
    worker_requirements,
)
from tests.conftest import ROOT, score
from tests.durability.forked import forked, said_in_one_line
from tests.engines.worker_pools import Pool, environment, packages_of
from tests.support.servers import free_port

EMBEDDED = ("--runner=PortableRunner", "--job_endpoint=embed")
"""Beam's in-process runner behind the interface of all portable ones, with workers from wherever they are."""

ENVIRONMENTS: dict[str, tuple[bool, dict[str, str]]] = {
    "bare": (False, {}),
    "newer": (True, {"tensorflow": "2.99.0"}),
    "same": (True, {}),
}
"""Whether the project is there, and what is of another version."""


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """Pools of workers in each environment: the flags for them."""
    folder = tmp_path_factory.mktemp("pools")
    started = {}
    for name, (project, versions) in ENVIRONMENTS.items():
        python = environment(folder / name, versions)
        if project:
            (packages_of(folder / name) / "project.pth").write_text(f"{ROOT / 'src'}\n")
        started[name] = Pool(python, folder / f"empty-{name}")
    yield {name: pool.flags() for name, pool in started.items()}
    for pool in started.values():
        pool.stop()


def expect(flags: list[str], folder: Path, output: Path, exit_code: int, line: str) -> None:
    """A run that says one line, in which `line` is found, and leaves nothing but its plan."""
    run = forked(flags, output, folder / "log", folder=folder)
    assert run.end() == exit_code, run.said
    said_in_one_line(run.said)
    assert re.search(line, run.said)
    assert [path.name for path in (folder / "run").rglob("*")] == ["plan.json"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("bare", r"the workers do not have bulklabel \(no module named 'bulklabel'\); give them --setup_file"),
        ("newer", rf"the worker on {socket.gethostname()} has tensorflow 2\.99\.0, and the plan was made with t"),
    ],
)
def test_a_worker_without_what_the_plan_was_made_with(
    name: str, line: str, pools: dict[str, list[str]], tiny: list[str], tmp_path: Path
) -> None:
    expect([*tiny, *EMBEDDED, *pools[name]], tmp_path, tmp_path / "run", 2, line)


def test_a_worker_that_does_not_see_the_output(pools: dict[str, list[str]], tiny: list[str], tmp_path: Path) -> None:
    """The path is another folder in each process: so is one that only one machine mounts."""
    line = r"the worker on \S+ does not see /proc/self/cwd/run/plan\.json; for --output give what all workers see"
    expect([*tiny, *EMBEDDED, *pools["same"]], tmp_path, Path("/proc/self/cwd/run"), 2, line)


def test_a_pool_that_is_not_there(tiny: list[str], tmp_path: Path) -> None:
    port = free_port()
    flags = ["--environment_type=EXTERNAL", f"--environment_config=127.0.0.1:{port}"]
    line = rf"no worker pool answers at 127\.0\.0\.1:{port} \(Connection refused\)"
    expect([*tiny, *EMBEDDED, *flags], tmp_path, tmp_path / "run", 1, line)


@pytest.fixture
def needs(finished: Path, model_directory: Path) -> WorkerRequirements:
    """What the workers of the finished run needed, as if it had been submitted on another machine."""
    plan = read_plan((finished / "plan.json").read_bytes())
    found = worker_requirements(plan, RunDirectory(str(finished), plan.stamp), str(model_directory))
    check_worker(
        replace(found, directory=replace(found.directory, path="nowhere"))
    )  # nobody asks the process that submits
    return replace(found, submitter=("elsewhere", os.getpid()))


def test_a_worker_that_has_everything(needs: WorkerRequirements) -> None:
    check_worker(needs)
    assert {flag for flag, _ in needs.files} == {"--input", "--model"}
    assert {name for name, _ in needs.versions} > {"Python", "apache-beam", "bulklabel", "tensorflow", "keras", "numpy"}


def test_versions_that_differ_are_all_said(needs: WorkerRequirements) -> None:
    versions = dict(needs.versions) | {"Python": "3.99", "keras": "99.0", "tensorflow-of-another-name": "1.0"}
    with pytest.raises(UserError) as raised:
        check_worker(replace(needs, versions=tuple(versions.items())))
    here = re.search(r"has (.*), and the plan was made with (.*): answers of two versions", str(raised.value))
    assert here is not None
    known = dict(needs.versions)
    assert here[1] == f"Python {known['Python']}, keras {known['keras']}, tensorflow-of-another-name not installed"
    assert here[2] == "Python 3.99, keras 99.0, tensorflow-of-another-name 1.0"


def test_a_worker_that_decodes_more_than_the_submitter_is_refused_too(needs: WorkerRequirements) -> None:
    versions = dict(needs.versions)
    assert versions["pydicom"] != NOT_INSTALLED
    with pytest.raises(
        UserError, match=f"has pydicom {versions['pydicom']}, and the plan was made with pydicom not inst"
    ):
        check_worker(replace(needs, versions=tuple((versions | {"pydicom": NOT_INSTALLED}).items())))


@pytest.mark.parametrize("flag", ["--input", "--model"])
def test_a_file_that_only_the_submitter_sees(flag: str, needs: WorkerRequirements, tmp_path: Path) -> None:
    hidden = tuple((name, str(tmp_path / "x") if name == flag else path) for name, path in needs.files)
    with pytest.raises(UserError, match=rf"does not see {tmp_path}/x; for {flag} give what all workers see"):
        check_worker(replace(needs, files=hidden))
    with pytest.raises(UserError, match="does not see"):  # it is asked again
        check_worker(replace(needs, files=hidden))


def test_another_plan_where_the_output_should_be(needs: WorkerRequirements) -> None:
    other = replace(needs.directory.stamp, plan_digest="0" * 64)
    with pytest.raises(StoreError, match=r"finds another plan there; either this is a folder of its own, or another"):
        check_worker(replace(needs, directory=replace(needs.directory, stamp=other)))


def test_inputs_are_looked_for_all_over_the_plan(finished: Path, model_directory: Path) -> None:
    plan = read_plan((finished / "plan.json").read_bytes())
    directory = RunDirectory(str(finished), plan.stamp)
    for count in (0, 1, SAMPLED_INPUTS, SAMPLED_INPUTS + 1, 10 * SAMPLED_INPUTS - 1):
        inputs = tuple(replace(plan.inputs[0], path=f"{index:03d}") for index in range(count))
        absent = replace(plan.inputs[0], path="named by a metadata file", size=-1)
        needs = worker_requirements(replace(plan, inputs=(*inputs, absent)), directory, str(model_directory))
        found = [int(path) for flag, path in needs.files if flag == "--input"]
        assert min(count, SAMPLED_INPUTS) // 2 <= len(found) <= SAMPLED_INPUTS
        assert found == sorted(set(found))
        assert count == 0 or (found[0] == 0 and found[-1] >= count - 1 - count / SAMPLED_INPUTS)


PLACES = ("--model=m", "--output=o", "--input=i")
DATAFLOW = ("--runner=DataflowRunner", "--sdk_container_image=an/image:1")


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (
            [*DATAFLOW, "--model=gs://b/m", "--output=gs://b/o", "--input=my/*.png"],
            r"--input my/\*\.png is on this mach",
        ),
        (
            [*DATAFLOW, "--model=m", "--output=gs://b/o", "--input=gs://b/i"],
            "--model m is on this machine, whose files",
        ),
        (
            [*DATAFLOW, "--model=gs://b/m", "--output=o", "--input=gs://b/i"],
            "--output o is on this machine, whose files",
        ),
        (
            [*DATAFLOW, "--model=gs://b/m", "--output=gs://b/o", "--input=gs://b/i", "--since=gs://b/s", "--since=s"],
            "--since s is on this machine, whose files workers of DataflowRunner cannot see; copy it to a store",
        ),
        (
            ["--runner=dataflow", "--model=gs://b/m", "--output=gs://b/o", "--input=gs://b/i"],
            "--runner=dataflow: workers would be containers of Beam's own image, without bulklabel; give --sdk_cont",
        ),
        (
            [*EMBEDDED, *PLACES],
            "image, without bulklabel; .*, or --environment_type=EXT",
        ),
        (["--runner=PortableRunner", "--environment_type=LOOPBACK", *PLACES], "give --job_endpoint=HOST:PORT"),
    ],
)
def test_what_is_refused_before_anything_is_planned(
    flags: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No path here exists, so whatever looks at one would say something else."""
    monkeypatch.chdir(tmp_path)
    assert main(flags) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert re.search(line, errors[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "flags", [("--runner=PortableRunner", "--job_endpoint"), ("--runner=FlinkRunner", "--flink_master")]
)
def test_a_service_that_does_not_answer(
    flags: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    (runner, flag), port = flags, free_port()
    where = [f"{flag}=127.0.0.1:{port}", "--job_server_timeout=1", "--environment_type=LOOPBACK"]
    assert score(tmp_path, tmp_path, tmp_path / "run", runner, *where) == 2
    line = f"bulklabel: error: {flag}: nothing answers at 127.0.0.1:{port} (Connection refused)"
    assert capsys.readouterr().err.startswith(line)
    assert list(tmp_path.iterdir()) == []


def test_a_job_server_that_is_none(tiny: list[str], tmp_path: Path) -> None:
    """Somebody listens, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"--job_endpoint=127.0.0.1:{server.getsockname()[1]}"
        flags = ["--runner=PortableRunner", where, "--job_server_timeout=1", "--environment_type=LOOPBACK"]
        expect([*tiny, *flags], tmp_path, tmp_path / "run", 2, "the job server does not answer; start it, or correct")


def test_local_paths_of_evaluate_and_compare(capsys: pytest.CaptureFixture[str]) -> None:
    from bulklabel.pipelines import compare, evaluate

    assert evaluate.main(["--input=gs://b/run", "--output=gs://b/o", "--truth=t.parquet", *DATAFLOW]) == 2
    assert "--truth t.parquet is on this machine" in capsys.readouterr().err
    assert compare.main(["gs://b/run", "other", "--output=gs://b/o", *DATAFLOW]) == 2
    assert "RUN other is on this machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ModuleNotFoundError: No module named 'cv2'", "the workers lack a package that bulklabel needs (no module"),
        ("ModuleNotFoundError: No module named 'bulklabel'", "the workers do not have bulklabel (no module named 'bu"),
        (
            "ModuleNotFoundError: No module named 'bulklabel.model.new'",
            "the workers have another version of bulklabel, without b",
        ),
        (
            "AttributeError: Can't get attribute 'N' on <module 'bulklabel.transforms.run_directory.plan' from 'x'>",
            "version of bulklabel",
        ),
        (
            "ImportError: cannot import name 'new' from 'bulklabel.model.images.png' (/x/png.py)",
            "version of bulklabel, without new; give",
        ),
        ("TypeError: code expected at most 16 arguments, got 18", "the workers cannot load what Python 3.1"),
        (
            "CalledProcessError: Command '['docker', 'run', '-d']' returned",
            "no container of a worker was started ('doc",
        ),
    ],
)
def test_what_workers_say_in_the_middle_of_a_traceback(text: str, line: str) -> None:
    verdict = worker_error(
        f"RuntimeError: Traceback (most recent call last):\n  File x\n{text} [while running 'x']\n\n"
    )
    assert verdict is not None
    assert line in verdict[1]
    assert "\n" not in verdict[1]
    page = (ROOT / "docs" / "runners" / "errors.md").read_text()
    assert f"| `{' '.join(verdict[1].split()[:5])}" in page


def test_our_own_bugs_are_no_lack_of_the_workers() -> None:
    for text in (
        "AttributeError: Can't get attribute 'x' on <module 'other'>",
        "TypeError: f() takes 1",
        "ValueError: x",
    ):
        assert worker_error(text) is None
