"""A network that needs more memory than TensorFlow may have, by a limit of TensorFlow's own."""

import json
from pathlib import Path

import keras
import pytest

from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.model_directory import Model
from bulklabel.model.network.keras_archive import network_bytes
from bulklabel.transforms.scoring.model_files import save_model
from tests.conftest import answers, collage_rows, command, score, write_parquet

LIMIT = str(330 << 20)
"""A limit of the address space would be more like life, but half of what meets it in TensorFlow aborts."""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One batch of the model's images: a failure costs the ten seconds that TensorFlow waits for others."""
    return write_parquet(tmp_path_factory.mktemp("memory") / "records.parquet", collage_rows(4))


def hungry(place: Path, repeated: int) -> Path:
    """A model directory for batches of 4, whose network keeps `repeated`² times 768 bytes of each image for a while."""
    keras.utils.set_random_seed(1)
    images = keras.Input((1024, 1024, 3))
    x = keras.layers.UpSampling2D(repeated)(keras.layers.AveragePooling2D(128)(images))
    x = keras.layers.Dense(3, activation="sigmoid")(keras.layers.GlobalMaxPooling2D()(x))
    network = network_bytes(keras.Model(images, x))
    save_model(Model(("1", "2", "3"), Preprocessing(1024, 1024), network), str(place))
    return place


def test_batches_are_halved_and_the_answers_are_the_same(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a worker process, whose warnings arrive."""
    model = hungry(tmp_path / "model", 360)  # 398 MB a batch
    assert score(records, model, tmp_path / "whole") == 0
    monkeypatch.setenv("TF_MKL_ALLOC_MAX_BYTES", LIMIT)
    flags = [f"--input={records}", f"--model={model}", f"--output={tmp_path / 'limited'}"]
    done = command("score", *flags, "--direct_running_mode=multi_processing")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "bulklabel: warning: out of memory with a batch of 4 images; going on with 2\n"
    assert answers(tmp_path / "limited") == answers(tmp_path / "whole")


def test_what_does_not_fit_at_all_ends_the_run_in_one_line(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = hungry(tmp_path / "model", 512)  # 403 MB two images
    monkeypatch.setenv("TF_MKL_ALLOC_MAX_BYTES", LIMIT)
    done = command(
        "score", f"--input={records}", f"--model={model}", f"--output={tmp_path / 'run'}", "--log_format=json"
    )
    assert done.returncode == 1, done.stderr
    summary, lines = json.loads(done.stdout), [json.loads(line) for line in done.stderr.splitlines()]
    assert summary["state"] == "failed"
    assert summary["error"].startswith(f"{model}/model.keras: out of memory with a batch of 2; give the process more")
    assert [line["level"] for line in lines if line["level"] != "info"] == ["warning", "error"]
