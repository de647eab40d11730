"""The package: what the sdist and the wheel hold, how it lives beside others, and what it depends on."""

import itertools
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from bulklabel.model.report import page
from bulklabel.pipelines import score
from bulklabel.pipelines.demo import SHIPPED
from tests.conftest import ROOT, answers
from tests.durability.forked import Run
from tests.engines.worker_pools import built, environment, isolated, packages_of
from tests.project.source import LAYERS, MODULES

SHOWN = [path for path in (ROOT / "model" / "report").rglob("*") if path.suffix in (".html", ".css", ".js")]
EXPECTED = {str(Path("bulklabel") / path.relative_to(ROOT)) for path in (*MODULES, *SHOWN)} | {
    "bulklabel/py.typed",
    *(f"bulklabel/pipelines/demo_model/{path.name}" for path in Path(SHIPPED).iterdir()),
    "bulklabel/model/images/resample.abi3.so",  # made by the build, as are these:
    "bulklabel/model/images/png/unfilter.abi3.so",
    "bulklabel/model/report/vega.js",
}

NEIGHBOUR = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "neighbour"
version = "1"

[tool.setuptools]
packages = ["model", "pipelines", "transforms"]
"""
"""A package of somebody else, with three at its top level that are called like ours."""

PIPELINE = """
import sys

import apache_beam as beam
import transforms

from bulklabel import ImageRecord, ScoreImages

assert transforms.WHOSE == "the neighbour's"
images, model, output = sys.argv[1:]
with beam.Pipeline(runner="FnApiRunner", argv=[]) as root:
    rows = root | beam.io.ReadFromParquet(images, columns=["id", "image"])
    scored = rows | beam.Map(lambda row: ImageRecord(row["id"], row["image"])) | ScoreImages(model)
    _ = scored.predictions | beam.Map(lambda prediction: prediction.id) | beam.io.WriteToText(output)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def neighbour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of somebody else's package."""
    folder = tmp_path_factory.mktemp("neighbour")
    for layer in LAYERS:
        (folder / "source" / layer).mkdir(parents=True)
        (folder / "source" / layer / "__init__.py").write_text('WHOSE = "the neighbour\'s"\n')
    (folder / "source" / "pyproject.toml").write_text(NEIGHBOUR)
    return built("wheel", folder / "source", folder)


def test_the_wheel_holds_files_under_one_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = archive.infolist()
    assert not [member.filename for member in members if member.external_attr >> 16 & 0o170000 == 0o120000], "links"
    names = {member.filename for member in members}
    assert names >= EXPECTED
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"bulklabel"}


@pytest.mark.parametrize("how", ["setup.py", "sdist"])
def test_the_source_package_holds_files_and_all_that_workers_need(how: str, tmp_path: Path) -> None:
    """`--setup_file` makes workers install this; nothing of the checkout may be missing in it."""
    package = built(how, ROOT, tmp_path)
    with tarfile.open(package) as archive:
        assert all(member.isfile() or member.isdir() for member in archive), "links"
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    (tmp_path / "vl_convert.py").write_text("raise ImportError('the script that it makes is in the sdist')")
    with zipfile.ZipFile(built("wheel", source, tmp_path, PYTHONPATH=str(tmp_path))) as wheel:
        assert set(wheel.namelist()) >= EXPECTED


@pytest.mark.parametrize("ours_is_first", [True, False])
def test_packages_of_the_same_names_at_their_top_level_both_keep_their_files(
    wheel: Path, neighbour: Path, tmp_path: Path, ours_is_first: bool
) -> None:
    both = [wheel, neighbour] if ours_is_first else [neighbour, wheel]
    python = environment(tmp_path / "environment", {}, both)
    packages = packages_of(tmp_path / "environment")

    def are_whole(*wheels: Path) -> bool:
        for path in wheels:
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if ".dist-info/" not in name]
                if not all((packages / name).read_bytes() == archive.read(name) for name in names):
                    return False
        return True

    assert are_whole(*both)
    leaving = [sys.executable, "-m", "pip", "--python", str(python), "uninstall", "--quiet", "--yes", "neighbour"]
    subprocess.run(leaving, env=isolated(), check=True)
    assert not (packages / "transforms").exists()
    assert are_whole(wheel)


def test_commands_and_pipelines_run_beside_packages_and_folders_of_these_names(
    wheel: Path, neighbour: Path, tiny: list[str], undisturbed: Run, tmp_path: Path
) -> None:
    python = environment(tmp_path / "environment", {}, [wheel, neighbour])
    place = tmp_path / "place"
    for name in ("model", "bulklabel/model", "bulklabel/transforms"):
        (place / name).mkdir(parents=True)
    (place / "pipeline.py").write_text(PIPELINE)
    source, model = (flag.partition("=")[2] for flag in tiny)
    for line in (
        [str(python.with_name("bulklabel")), "score", *tiny, "--output=run"],
        [str(python), "pipeline.py", f"{source}/0.parquet", model, "ids"],
    ):
        done = subprocess.run(line, cwd=place, env=isolated(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert answers(place / "run") == answers(undisturbed.output)
    ids = [name for path in place.glob("ids*") for name in path.read_text().split()]
    assert len(ids) == len(set(ids)) == 39  # of 40; one is no image


def test_a_checkout_without_the_script_of_plots_is_refused_before_any_work(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(page, "files", lambda _: ROOT / "nowhere")
    page.plotting_library.cache_clear()
    assert score.main([*tiny, f"--output={tmp_path / 'run'}"]) == 2
    assert re.search(r"vega\.js.* is missing; .* pip install -e \.", capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_each_dependency_earns_its_line() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = content["project"]["optional-dependencies"].values()
    built = [content["build-system"]["requires"], *content["dependency-groups"].values()]
    for line in itertools.chain(content["project"]["dependencies"], *extras, *built):
        name = re.split(r"[>=<\[]", line)[0]
        assert f"`{name}`" in text, name
