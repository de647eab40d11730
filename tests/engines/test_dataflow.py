"""Dataflow: jobs are rendered, and submitted to a service on loopback; the template and the images are read."""

import base64
import bz2
import contextlib
import json
import re
import shlex
import sys
import sysconfig
import tarfile
import zlib
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from apache_beam.internal import cloudpickle_pickler
from apache_beam.internal.gcp import auth
from apache_beam.options import pipeline_options
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.portability.python_urns import EMBEDDED_PYTHON
from apache_beam.runners.portability.local_job_service import LocalJobServicer
from google.cloud import dataflow
from google.protobuf import json_format

from bulklabel.pipelines import flex_template, score, verify
from bulklabel.pipelines.console.prometheus import last_success
from bulklabel.pipelines.flags.score import parser
from bulklabel.pipelines.runners.beam_options import _check_beam_flags, beam_flag_parser, beam_options
from bulklabel.pipelines.runners.launch import prepare
from bulklabel.transforms.files import files
from tests.conftest import ROOT
from tests.durability.forked import SHARDS, tiny_run
from tests.engines import dataflow_service, flex_metadata
from tests.engines.dataflow_service import CLOSED_PROJECT, JOB, REFUSAL, Service
from tests.support import servers

BUCKET = f"gs://{servers.BUCKET}"
IMAGE = "europe-west1-docker.pkg.dev/some-project/images/bulklabel:1"
GPU = "type:nvidia-l4;count:1;install-nvidia-driver"
PAGE = ROOT / "docs" / "runners" / "dataflow.md"
DOCKERFILES = [ROOT / "deploy" / "Dockerfile", ROOT / "deploy" / "dataflow" / "Dockerfile"]


@dataclass(frozen=True)
class Cloud:
    """A store and a service on loopback; some pictures and a model are in the store."""

    service: Service

    def flags(self, output: str, *more: str) -> list[str]:
        """Those of a run on Dataflow."""
        paths = [f"--input={BUCKET}/in", f"--model={BUCKET}/model", f"--output={BUCKET}/{output}"]
        place = ["--project=some-project", "--region=europe-west1", f"--temp_location={BUCKET}/temp/{output}"]
        return [*paths, "--runner=DataflowRunner", *place, *more]

    def submit(self, output: str, *more: str) -> int:
        """`bulklabel score` in this process, submitted to the service on loopback."""
        return score.main(self.flags(output, f"--dataflow_endpoint=http://localhost:{self.service.port}", *more))

    def staged(self, output: str) -> dict[str, bytes]:
        """What was put into the bucket for the job, by the last name of the object."""
        found = files.list_folder(f"{BUCKET}/temp/{output}")
        return {file.path.rsplit("/", 1)[1]: files.read(file.path) for file in found}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Everything that is asked goes to loopback, without credentials."""
    folder = tmp_path_factory.mktemp("cloud")
    tiny_run(folder)
    objects = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "gs").mkdir()
    with (
        pytest.MonkeyPatch.context() as environment,
        dataflow_service.serving() as service,
        servers.serving("gs", folder / "gs", objects) as port,
    ):
        environment.chdir(ROOT)
        environment.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        environment.setattr(auth._Credentials, "_credentials_init", True)
        environment.setattr(auth._Credentials, "_credentials", None)
        environment.setattr(cloudpickle_pickler.DEFAULT_CONFIG, "filepath_interceptor", None)  # restored at the end
        yield Cloud(service)


@dataclass(frozen=True)
class Rendered:
    """A job that was not submitted: the request, the graph, and all staged files."""

    job: dict[str, Any]
    graph: beam_runner_api_pb2.Pipeline
    staged: dict[str, bytes]

    @property
    def pool(self) -> dict[str, Any]:
        """What was asked of the machines."""
        (pool,) = self.job["environment"]["workerPools"]
        return dict(pool)


@pytest.fixture(scope="module")
def rendered(cloud: Cloud) -> Rendered:
    """As the launcher of a Flex Template renders it: it gives the place of the job, and submits it later."""
    place = f"{BUCKET}/templates/job.json"
    inputs = json.dumps([f"{BUCKET}/in/{number}.parquet" for number in range(SHARDS)])
    flags = [flag for flag in cloud.flags("rendered") if not flag.startswith("--input=")]
    ours = [f"--input={inputs}", "--overwrite=false", "--carry_over=false"]
    images = [f"--sdk_container_image={IMAGE}", "--setup_file=./setup.py", f"--resource_hint=accelerator={GPU}"]
    machines = ["--machine_type=n1-standard-4", "--max_num_workers=7", "--number_of_worker_harness_threads=2"]
    assert flex_template.main([*ours, *flags, *images, *machines, f"--template_location={place}"]) == 0
    staged = cloud.staged("rendered")
    graph = beam_runner_api_pb2.Pipeline.FromString(staged["pipeline.pb"])
    return Rendered(json.loads(files.read(place)), graph, staged)


def test_the_rendered_job_has_the_steps_of_the_graph(rendered: Rendered) -> None:
    components = rendered.graph.components
    (root,) = rendered.graph.root_transform_ids
    steps = [components.transforms[step].unique_name for step in components.transforms[root].subtransforms]
    shards = ["Start", "Shards", "Reshuffle", "CheckWorkers", "ScoreShards"]
    written = ["WritePredictions", "WriteRejected", "Evaluate", "EndAtDeadline"]
    assert steps == [*shards, *written, "CountDistinct", "Thumbnails", "Publish"]
    assert all(f"`{step}`" in PAGE.read_text() for step in steps)


def test_the_rendered_job_asks_for_what_it_was_told(cloud: Cloud, rendered: Rendered) -> None:
    pool, environment = rendered.pool, rendered.job["environment"]
    assert (pool["machineType"], pool["numThreadsPerWorker"]) == ("n1-standard-4", 2)
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 7
    assert pool["workerHarnessContainerImage"] == IMAGE
    assert rendered.job["type"] == "JOB_TYPE_BATCH"
    assert "use_runner_v2" in environment["experiments"]
    options = environment["sdkPipelineOptions"]["options"]
    assert options["store_timeout"] == 60
    assert options["setup_file"] == "./setup.py"
    plan = json.loads(files.read(f"{BUCKET}/rendered/plan.json"))
    assert [path for path, *_ in plan["inputs"]] == [f"{BUCKET}/in/{number}.parquet" for number in range(SHARDS)]
    assert not cloud.service.jobs


def test_all_steps_of_the_rendered_job_share_one_environment_with_the_hints(rendered: Rendered) -> None:
    """A second environment would part steps that are fused, and send every table from one process to another."""
    (environment,) = rendered.graph.components.environments.values()
    hints = {urn.split(":")[2]: value.decode() for urn, value in environment.resource_hints.items()}
    assert hints == {"accelerator": GPU, "min_ram_bytes": "3000000000"}


def test_the_size_of_a_job_does_not_grow_with_its_shards(cloud: Cloud) -> None:
    """Dataflow takes no graph above 10 MB: shards are in the plan, and no elements of the graph."""
    content = files.read(f"{BUCKET}/in/0.parquet")
    for number in range(60):
        files.write(f"{BUCKET}/many/{number:02d}.parquet", content)
    sizes = []
    for name, pictures in (("few", "many/00.parquet"), ("all", "many")):
        flags = [
            *cloud.flags(name)[1:],
            f"--input={BUCKET}/{pictures}",
            f"--template_location={BUCKET}/templates/{name}",
        ]
        assert score.main([*flags, f"--sdk_container_image={IMAGE}"]) == 0
        sizes.append(len(cloud.staged(name)["pipeline.pb"]))
    few, many = sizes
    assert many - few < 500


def test_the_rendered_job_stages_the_source_package_and_nothing_else(rendered: Rendered) -> None:
    assert rendered.staged.keys() == {"workflow.tar.gz", "pipeline.pb"}
    assert [package["name"] for package in rendered.pool["packages"]] == ["workflow.tar.gz"]
    with tarfile.open(fileobj=BytesIO(rendered.staged["workflow.tar.gz"])) as package:
        names = {name.partition("/")[2] for name in package.getnames()}
    assert {
        "setup.py",
        *(
            f"src/bulklabel/{name}.py"
            for name in ("model/network/scorer", "transforms/scoring/score_shards", "pipelines/score")
        ),
    } <= names


def unpacked(content: bytes) -> Iterator[bytes]:
    """The bytes, and those in all that was encoded in base64 or compressed inside of them."""
    yield content
    for found in re.finditer(rb"[A-Za-z0-9+/]{40,}={0,2}", content):
        packed = base64.b64decode(found.group()[: len(found.group()) // 4 * 4])
        for unpack in (bz2.decompress, zlib.decompress):
            with contextlib.suppress(OSError, ValueError, zlib.error):
                yield from unpacked(unpack(packed))


def test_the_rendered_job_has_no_path_of_this_machine(rendered: Rendered, tmp_path: Path) -> None:
    places = [ROOT, Path.home(), Path(sys.prefix), Path(sysconfig.get_paths()["purelib"]), tmp_path.parents[1]]
    graph = list(unpacked(rendered.graph.SerializeToString()))
    assert any(
        b"bulklabel.transforms.scoring.score_shards" in content and b"ScoreShards" in content for content in graph[1:]
    )
    for content in (*graph, json.dumps(rendered.job).encode()):
        for place in map(str, places):
            assert place.encode() not in content, place


def test_a_submitted_job_is_said_in_one_line_and_not_waited_for(
    cloud: Cloud, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    textfile = tmp_path / "night.prom"
    assert cloud.submit("submitted", f"--sdk_container_image={IMAGE}", f"--metrics_textfile={textfile}") == 0
    assert cloud.service.requests == ["POST /v1b3/projects/some-project/locations/europe-west1/jobs"]
    _, _, truth, line, summary = capsys.readouterr().out.splitlines()
    assert truth.startswith("truth: names in 'labels', such as ")
    assert line.startswith(f"Submitted job: {JOB} ")  # by which Airflow's operator finds it
    console = f"https://console.cloud.google.com/dataflow/jobs/europe-west1/{JOB}?project=some-project"
    assert all(text in line for text in (console, f"{BUCKET}/submitted/_SUCCESS", "bulklabel verify"))
    said = json.loads(summary)
    assert (said["state"], said["exit_code"], said["report"], said["error"]) == ("submitted", 0, None, None)
    assert last_success(str(textfile)) is None
    assert not files.exists(f"{BUCKET}/submitted/_SUCCESS")


def test_a_refused_job_is_one_line(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    assert cloud.submit("refused", f"--project={CLOSED_PROJECT}", f"--sdk_container_image={IMAGE}") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bulklabel: error: Dataflow refused the job: {REFUSAL}; ")


def test_what_dataflow_must_be_told_is_said_before_anything_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    paths = ["--input=gs://no/pictures", "--model=gs://no/model", "--output=gs://no/scores"]
    place = ["--region=europe-west1", "--temp_location=nowhere", "--no_auth", f"--sdk_container_image={IMAGE}"]
    assert score.main([*paths, "--runner=DataflowRunner", *place]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert "--runner DataflowRunner: " in error
    assert "project" in error
    assert "nowhere" in error


def test_a_job_that_goes_on_elsewhere_finishes_without_the_command(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beam's own job service, which outlives the command, as Flink's and Spark's do."""
    service = LocalJobServicer()
    elsewhere = [f"--job_endpoint=localhost:{service.start_grpc_server()}", f"--environment_type={EMBEDDED_PYTHON}"]
    try:
        flags = [*cloud.flags("elsewhere")[:3], "--runner=PortableRunner", *elsewhere, "--no_wait_until_finish"]
        assert score.main([*flags, "--log_format=json"]) == 0
        said = capsys.readouterr()
        assert json.loads(said.out)["state"] == "submitted"
        (line,) = [line for line in map(json.loads, said.err.splitlines()) if "job" in line]
        assert line["message"] == f"Submitted job: {line['job']}"
        job = service._jobs[line["job"]]
        job._run_thread.join(60)
        assert job.result.state == "DONE"
    finally:
        service.stop()
    assert verify.main([f"{BUCKET}/elsewhere"]) == 0


def test_only_dataflow_is_not_waited_for_unless_beam_is_told(cloud: Cloud) -> None:
    def waits(*flags: str) -> bool:
        options = beam_options(flags, Namespace(), parser())
        prepare(options)
        return not options.view_as(pipeline_options.StandardOptions).no_wait_until_finish

    assert waits()
    assert waits("--runner=DirectRunner", "--no_wait_until_finish")
    server = ("--runner=FlinkRunner", "--job_endpoint=localhost:8099")
    assert waits(*server)
    assert not waits(*server, "--no_wait_until_finish")
    assert not waits("--runner=FlinkRunner", "--flink_submit_uber_jar", "--no_wait_until_finish")
    assert waits(*server, "--environment_type=LOOPBACK", "--no_wait_until_finish")
    assert waits("--runner=FlinkRunner", "--no_wait_until_finish")  # Beam starts the server, and ends it with us
    assert not waits(*cloud.flags("none")[3:])


@pytest.mark.parametrize(
    ("flags", "hints"),
    [
        ((), ["min_ram=3GB"]),
        (("--resource_hint=min_ram=12GB",), ["min_ram=12GB"]),
        (("--flexrs_goal=COST_OPTIMIZED",), []),
    ],
)
def test_a_hint_that_was_given_stays(cloud: Cloud, flags: tuple[str, ...], hints: list[str]) -> None:
    options = beam_options([*cloud.flags("none")[3:], *flags], Namespace(), parser())
    prepare(options)
    assert options.view_as(pipeline_options.StandardOptions).resource_hints == hints


def test_parameters_become_flags() -> None:
    inputs = ['--input=["gs://a/1,2", "gs://b"]', "--model=gs://[m]", "--carry=[not", "--carry_over"]
    assert flex_template.flags_of(inputs[:2]) == ["--input=gs://a/1,2", "--input=gs://b", "--model=gs://[m]"]
    assert flex_template.flags_of(["--overwrite=true", "--carry_over=false", "--trust_model_code"]) == [
        "--overwrite",
        "--trust_model_code",
    ]
    assert flex_template.flags_of(["--runner=X", "--input=gs://a", "--experiments=a,b"]) == [
        "--runner=X",
        "--input=gs://a",
        "--experiments=a,b",
    ]


@pytest.mark.parametrize("parameter", ["--carry=[size", "--carry=[1]", "--overwrite=yes", "--carry_over="])
def test_a_parameter_that_means_nothing_is_one_line(parameter: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert flex_template.main([parameter]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bulklabel: error: {parameter.partition('=')[0]}: ")


def test_the_metadata_is_that_of_the_parser() -> None:
    """And Google's own type for it takes it."""
    content = json.loads(flex_metadata.FILE.read_bytes())
    assert content == flex_metadata.metadata(), "write it again: python -m tests.engines.flex_metadata"
    parsed = json_format.ParseDict(content, dataflow.TemplateMetadata()._pb)
    assert {parameter.name for parameter in parsed.parameters} > {"input", "model", "output", "overwrite"}


def test_the_forms_of_the_metadata_take_what_the_command_takes() -> None:
    forms = {row["name"]: row["regexes"][0] for row in flex_metadata.metadata()["parameters"]}
    good = {
        "input": ["gs://a/b", "s3://a", '["gs://a", "gs://b"]'],
        "max_rejected_fraction": ["0", "1", "0.05", ".5", "1.0"],
        "deadline": ["90m", "5h", "7200", "0.5h"],
        "overwrite": ["true", "false"],
        "layout": ["wide", "list"],
        "require": ["f1_micro>=0.85", '["recall[cat]>=0.9"]'],
        "baseline": ["gs://a/b", "latest"],
        "resource_hint": [f"accelerator={GPU}"],
    }
    bad = {"input": ["/srv/pictures", "[]"], "max_rejected_fraction": ["2", "-1"], "overwrite": ["yes"], "layout": [""]}
    bad["baseline"] = ["/srv/scores", "./latest"]
    for name, values in good.items():
        assert all(re.fullmatch(forms[name], value) for value in values), name
    for name, values in bad.items():
        assert not any(re.fullmatch(forms[name], value) for value in values), name


def test_the_commands_of_the_page_are_ours_and_beams() -> None:
    text = PAGE.read_text()
    commands = re.findall(r"^bulklabel score (.+?[^\\])$", text, re.MULTILINE | re.DOTALL)
    (words,) = (shlex.split(command.replace("\\\n", " ")) for command in commands)
    options, rest = parser().parse_known_args(words)
    assert options.output.startswith("gs://")
    _check_beam_flags(rest, parser())
    known = {flag for action in parser()._actions for flag in action.option_strings}
    known |= {flag for action in beam_flag_parser()._actions for flag in action.option_strings} | {"--worker_pool"}
    assert set(re.findall(r"--[a-z]+(?:_[a-z]+)+", text)) <= known


def test_the_parameters_of_the_page_are_those_of_the_template() -> None:
    (block,) = re.findall(r"^--parameters:\n(.+?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    given = {name: value.strip("'") for name, value in re.findall(r"^  (\w+): (.+)$", block, re.MULTILINE)}
    rows = {row["name"]: row for row in flex_metadata.metadata()["parameters"]}
    assert {name for name, row in rows.items() if not row["isOptional"]} <= given.keys() <= rows.keys()
    assert all(re.fullmatch(rows[name]["regexes"][0], value) for name, value in given.items())
    ours = {f"--{name}={value}" for name, value in given.items() if name not in flex_metadata.BEAMS}
    assert len(parser().parse_args(flex_template.flags_of(sorted(ours))).input) == 2


def instructions(path: Path) -> list[tuple[str, list[str]]]:
    """A Dockerfile's instructions with their words, as far as ours need to be understood."""
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE))
    return [(line.split()[0], shlex.split(line)[1:]) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("path", DOCKERFILES, ids=["worker", "template"])
def test_what_an_image_copies_is_in_a_fresh_checkout(path: Path) -> None:
    known = {word for name, words in instructions(path) for word in words[-1:] if name == "FROM" and "AS" in words}
    allowed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    for name, words in instructions(path):
        if name != "COPY":
            continue
        if words[0].startswith("--from="):
            assert words[0].removeprefix("--from=") in known
            continue
        assert set(words[:-1]) <= allowed
        assert all((ROOT / source).exists() for source in words[:-1])


def test_the_images_have_the_versions_of_the_lock_file() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    lock = (ROOT / "requirements.lock").read_text()
    versions = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE))
    assert f"ARG BEAM_VERSION={versions['apache-beam']}\n" in text
    assert f"tensorflow[and-cuda]=={versions['tensorflow']}" in text
    assert "beam_python3.11_sdk" in text


def test_the_template_starts_our_entry() -> None:
    names = dict(words[0].split("=") for name, words in instructions(DOCKERFILES[1]) if name == "ENV")
    copied = {words[-1]: words[0] for name, words in instructions(DOCKERFILES[1]) if name == "COPY"}
    entry = ROOT / copied[names["FLEX_TEMPLATE_PYTHON_PY_FILE"]]
    assert "from bulklabel.pipelines.flex_template import main" in entry.read_text()
    assert not any(name == "ENTRYPOINT" for name, _ in instructions(DOCKERFILES[1]))
    assert ("ENTRYPOINT", ["[/opt/apache/beam/boot]"]) in instructions(DOCKERFILES[0])
