"""A small corpus and a small model, made once; and the commands, run in this process or in one of their own."""

import gc
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

from bulklabel.model.images.demo_collages import BROKEN, DIGITS, collages
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.labels.choose_rule import AS_FOUND, LabelOptions
from bulklabel.model.model_directory import Model
from bulklabel.transforms.planning.choose_labels import choose_labels
from bulklabel.transforms.reading.find_shards import find_shards
from bulklabel.transforms.reading.readers import read_shard
from bulklabel.transforms.reading.records import Columns, ReadSpec, RecordTable, Unreadable
from bulklabel.transforms.run_directory.success import success_of
from bulklabel.transforms.scoring.model_files import save_model
from tests.support.once import made_once
from tests.support.quick_beam import quicken_beam

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.durability.forked import Run

gc.disable()  # until all is imported and collected, where it would look at a million objects again and again

os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
"""Nearly every network here is so small that more threads, also in the processes started, would only wait."""

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
"""As commands have it, before tests import TensorFlow. By itself it is off on processors with AVX2 alone, whose answers
would then have other last bits here than in the processes that tests start."""


def unsynced(fd: Any) -> None:
    """Does not flush a file to the disk, which costs milliseconds, thousands of times over: no test cuts the power."""
    os.fstat(fd)  # it must be open


os.fsync = unsynced
quicken_beam()

settings.register_profile("bulklabel", deadline=None, derandomize=True)
settings.load_profile("bulklabel")

ROOT = Path(__file__).parent.parent

FILES, RECORDS, GROUP = 2, 2400, 600
"""Two files of 2,400 records in four row groups each: eight shards."""

DEFAULT = Columns()

Score = Callable[..., int]


def write_parquet(path: Path, rows: Sequence[dict[str, Any]], **options: Any) -> Path:
    """A Parquet file with the columns of the formats page."""
    schema = pa.schema({"id": pa.string(), "image": pa.binary(), "labels": pa.list_(pa.string())})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema), path, **options)
    return path


def collage_rows(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Records of good collages."""
    return [
        {"id": f"r{index:05d}", "image": image, "labels": labels}
        for index, (image, labels) in enumerate(collages(count, seed, held_out=False))
    ]


SLOW_FIRST = (
    *("durability/test_kill.py", "durability/test_store_faults.py", "engines/test_flink.py", "engines/test_airflow.py"),
    *("transforms/test_mutations.py", "engines/test_prism.py", "transforms/test_stores.py", "model/test_training.py"),
    *("durability", "engines", "project", "browser", "pipelines", "transforms", "model"),
)
"""Files and folders of tests in the order in which several processes take them, a file at a time.

What waits for other programs comes early, but after two files that take as long as it takes to fetch these programs;
what is done in moments comes last, so that all end together.
"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lets a worker of xdist send what a test logged: some print names with bytes that are no characters."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


def pytest_collection_finish(session: pytest.Session) -> None:
    """Lets the garbage collector work from here on, and leave alone what is imported: that stays alive.

    The first of several processes fetches what the tests need.
    """
    gc.freeze()
    gc.enable()
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw0":
        from tests.engines.fetch_ahead import fetch_ahead

        fetch_ahead({item.path.name for item in session.items})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the tests where several processes share them."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: rank(item.path))


def rank(path: Path) -> int:
    """Returns where in `SLOW_FIRST` the tests of a file are."""
    place = os.path.relpath(path, ROOT / "tests")
    return next((index for index, name in enumerate(SLOW_FIRST) if place.startswith(name)), len(SLOW_FIRST))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Collages with every kind of oddity: broken images, no truth, no labels, a label that no model knows."""
    return made_once(tmp_path_factory, "corpus", write_corpus)


def write_corpus(folder: Path) -> None:
    """Writes the files of `corpus` into a folder."""
    rows = collage_rows(FILES * RECORDS)
    for index, image in enumerate((None, *BROKEN)):
        rows[100 + 1000 * index]["image"] = image
    for index in range(0, len(rows), 50):
        rows[index]["labels"] = None
    for index in range(7, len(rows), 500):
        rows[index]["labels"] = [*(rows[index]["labels"] or []), "zebra"]
    for number in range(FILES):
        part = rows[number * RECORDS : (number + 1) * RECORDS]
        write_parquet(folder / f"file-{number}.parquet", part, row_group_size=GROUP)


@pytest.fixture(scope="session")
def model_directory(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """A model of the ten digits that costs little and finds most of them."""

    def train(folder: Path) -> None:
        from bulklabel.pipelines.train import main
        from tests.support.networks import quarters

        flags = [f"--input={corpus}", f"--output={folder / 'model'}", f"--label_file={label_file(folder)}"]
        with patch("bulklabel.model.training.train.build_textbook", quarters):
            assert main([*flags, "--network=textbook", "--epochs=2"]) == 0

    return made_once(tmp_path_factory, "trained", train) / "model"


def label_file(folder: Path) -> Path:
    """The ten digits, one a line."""
    path = folder / "labels.txt"
    path.write_text("\n".join(DIGITS) + "\n")
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, corpus: Path, model_directory: Path) -> Path:
    """An uninterrupted local run over the corpus: the oracle for the others."""

    def run(folder: Path) -> None:
        assert score(corpus, model_directory, folder / "finished") == 0

    return made_once(tmp_path_factory, "runs", run) / "finished"


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that takes so long that something can happen among the shards."""
    return made_once(tmp_path_factory, "slow", lambda folder: save_model(untrained_model(DIGITS), str(folder)))


@pytest.fixture(scope="session")
def onnx_model(tmp_path_factory: pytest.TempPathFactory, slow_model: Path) -> Path:
    """The slow network as ONNX: a process that runs it starts without TensorFlow, in half of the time."""

    def export(folder: Path) -> None:
        from tests.support.networks import package_as_onnx

        package_as_onnx(slow_model, folder)

    return made_once(tmp_path_factory, "exported", export) / "onnx"


@pytest.fixture(scope="session")
def finished_onnx(tmp_path_factory: pytest.TempPathFactory, corpus: Path, onnx_model: Path) -> Path:
    """A local run of that network: the oracle for its others."""

    def run(folder: Path) -> None:
        assert score(corpus, onnx_model, folder / "finished") == 0

    return made_once(tmp_path_factory, "onnx-runs", run) / "finished"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The flags of a run of a second, without its output."""
    from tests.durability.forked import tiny_flags, tiny_run

    return tiny_flags(made_once(tmp_path_factory, "tiny", tiny_run))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny: list[str]) -> "Run":
    """That run, forked, when nobody kills it and nothing fails: the oracle for the others."""
    from tests.durability.forked import Run, undisturbed_run

    folder = made_once(tmp_path_factory, "undisturbed", partial(undisturbed_run, tiny))
    return Run(None, folder / "run", folder / "log")


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or missing("no chromium on the PATH: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


def missing(what: str) -> NoReturn:
    """Leave a test out, saying why; in CI nothing may be left out."""
    if os.environ.get("CI"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def score(corpus: Path, model_directory: Path, output: Path, *flags: str) -> int:
    """`bulklabel score`, in this process."""
    from bulklabel.pipelines.score import main

    return main([f"--input={corpus}", f"--model={model_directory}", f"--output={output}", *flags])


def command(
    *arguments: str, environment: Mapping[str, str] = MappingProxyType({}), **options: Any
) -> subprocess.CompletedProcess[str]:
    """`bulklabel` in a process of its own, with more in its environment."""
    return subprocess.run(
        [sys.executable, "-m", "bulklabel.pipelines.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        **options,
    )


def answers(output: Path) -> dict[str, bytes]:
    """Every file of a run that must not depend on how it was run, by name."""
    names = [*output.glob("predictions/*"), *output.glob("rejected/*"), output / "metrics.json", output / "plan.json"]
    return {str(path.relative_to(output)): path.read_bytes() for path in names}


def metrics_of(output: Path) -> dict[str, Any]:
    """The content of `metrics.json`."""
    content: dict[str, Any] = json.loads((output / "metrics.json").read_bytes())
    return content


def sign(run: Path, **counts: int) -> None:
    """Make checksums, rows and counts fit whatever is there now, up to `_SUCCESS`."""
    path = run / "manifest.json"
    manifest = json.loads(path.read_bytes())
    for entry in (entry for kind in ("predictions", "rejected", "published") for entry in manifest[kind]):
        content = (run / entry["name"]).read_bytes()
        entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        if "rows" in entry:
            entry["rows"] = pq.read_metadata(run / entry["name"]).num_rows
    manifest["counts"] |= counts
    path.write_text(json.dumps(manifest))
    (run / "_SUCCESS").write_bytes(success_of(path.read_bytes()))


def part_of(output: Path, kind: str, index: int) -> Path:
    """Where the part of the shard with this index is."""
    (path,) = output.glob(f"{kind}/part-{index:05d}-of-*.parquet")
    return path


def predictions_of(output: Path) -> pa.Table:
    """All parts, in the order of their names."""
    return pa.concat_tables(map(small_table, sorted(output.glob("predictions/*.parquet"))))


def rejected_of(output: Path) -> list[dict[str, Any]]:
    """All rejected records, in the order of the parts' names."""
    rows: list[dict[str, Any]] = []
    for path in sorted(output.glob("rejected/*.parquet")):
        rows += small_table(path).to_pylist()
    return rows


def small_table(path: Path) -> pa.Table:
    """The rows of a Parquet file, in a quarter of the time that `read_table` and its threads take for a few."""
    return pq.ParquetFile(path).read(use_threads=False)


def records_in(table: RecordTable) -> list[dict[str, Any]]:
    """The records of a table with their images."""
    images = (None if image is None else bytes(image) for image in table.images)
    return [row | {"image": image} for row, image in zip(table.rows.to_pylist(), images, strict=True)]


def read_all(
    path: Path | str,
    input_format: str = "auto",
    columns: Columns = DEFAULT,
    labels: tuple[str, ...] | None = ("cat", "dog"),
    options: LabelOptions = AS_FOUND,
) -> tuple[list[Any], list[Any]]:
    """The records that a reader gives, and for each unreadable one position, reason and id."""
    chosen, found = find_shards([str(path)], input_format, columns)
    choice = choose_labels(found.shards, chosen, columns, labels, options)
    spec = ReadSpec(chosen, columns, labels, 100, choice.rule)
    records: list[Any] = []
    unreadable = []
    for shard in found.shards:
        for batch in read_shard(shard, spec):
            if isinstance(batch, Unreadable):
                unreadable += [(position, batch.problem.reason, batch.id) for position in batch.positions]
            else:
                assert batch.rows.schema == spec.schema
                records += records_in(batch)
    return records, unreadable


def untrained_model(labels: tuple[str, ...], side: int = 32) -> Model:
    """A model whose answers are arbitrary, made in a second."""
    from bulklabel.model.network.keras_archive import network_bytes
    from bulklabel.model.training.textbook import build_textbook

    return Model(labels, Preprocessing(side, side), network_bytes(build_textbook(side, side, len(labels), seed=0)))


def png(pixels: np.ndarray, mode: str | None = None, **options: Any) -> bytes:
    """An image file."""
    from PIL import Image

    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(buffer, options.pop("format", "PNG"), **options)
    return buffer.getvalue()
