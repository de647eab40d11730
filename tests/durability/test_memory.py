"""A network that needs more memory than there is: TensorFlow's own allocator fails, on every processor.

It waits ten seconds for memory before it does, so both runs go on at the same time.
"""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import keras
import pytest

from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.model_directory import Model
from bulklabel.model.network.keras_archive import network_bytes
from bulklabel.pipelines.score import main
from bulklabel.transforms.scoring.model_files import save_model
from tests.conftest import answers, collage_rows, command, write_parquet
from tests.durability.hungry import LARGEST_BATCH, Hungry


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Flags of a run over one batch of 4 large images, by a hungry network."""
    folder = tmp_path_factory.mktemp("memory")
    records = write_parquet(folder / "records.parquet", collage_rows(4))
    keras.utils.set_random_seed(1)
    images = keras.Input((1024, 1024, 3))
    x = keras.layers.GlobalMaxPooling2D()(Hungry()(keras.layers.AveragePooling2D(128)(images)))
    network = network_bytes(keras.Model(images, keras.layers.Dense(3, activation="sigmoid")(x)))
    save_model(Model(("1", "2", "3"), Preprocessing(1024, 1024), network), str(folder / "model"))
    return [f"--input={records}", f"--model={folder / 'model'}", "--trust_model_code"]


@pytest.fixture(scope="module", autouse=True)
def starved(flags: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[CompletedProcess[str]]]:
    """A run with memory for a single image, begun before the tests."""
    arguments = ["score", *flags, f"--output={tmp_path_factory.mktemp('starved') / 'run'}", "--log_format=json"]
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(command, *arguments, environment={LARGEST_BATCH: "1"})


def test_batches_are_halved_and_the_answers_are_the_same(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In a worker process, whose warnings arrive."""
    assert main([*flags, f"--output={tmp_path / 'whole'}"]) == 0
    monkeypatch.setenv(LARGEST_BATCH, "2")
    capfd.readouterr()
    assert main([*flags, f"--output={tmp_path / 'limited'}", "--direct_running_mode=multi_processing"]) == 0
    assert capfd.readouterr().err == "bulklabel: warning: out of memory with a batch of 4 images; continuing with 2\n"
    assert answers(tmp_path / "limited") == answers(tmp_path / "whole")


def test_what_does_not_fit_at_all_ends_the_run_in_one_line(
    flags: list[str], starved: Future[CompletedProcess[str]]
) -> None:
    done = starved.result()
    assert done.returncode == 1, done.stderr
    summary, lines = json.loads(done.stdout), [json.loads(line) for line in done.stderr.splitlines()]
    assert summary["state"] == "failed"
    place = flags[1].removeprefix("--model=")
    assert summary["error"].startswith(f"{place}/model.keras: out of memory with a batch of 2; give the process more")
    assert [line["level"] for line in lines if line["level"] != "info"] == ["warning", "error"]
