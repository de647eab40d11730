"""A network that needs more memory than the process may have: in a process whose address space is limited."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from model.archive import network_bytes
from model.directory import Model
from model.resizing import Preprocessing
from tests.conftest import ROOT, answers, collage_rows, score, write_parquet
from transforms.models import save_model

LIMITED = """
import resource, sys
from transforms.quiet import import_tensorflow
import_tensorflow()
from pipelines.score import main
size = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (size + (1200 << 20), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[1:]))
"""


def hungry(place: Path, repeated: int) -> Path:
    """A model directory whose network keeps `repeated`² times 14 kB of each image until it pools them."""
    keras.utils.set_random_seed(1)
    images = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(images)
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.UpSampling2D(repeated)(x))
    network = keras.Model(images, keras.layers.Dense(3, activation="sigmoid")(x))
    save_model(Model(("1", "2", "3"), Preprocessing(32, 32), network_bytes(network)), str(place))
    return place


def limited(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parquet(tmp_path_factory.mktemp("memory") / "records.parquet", collage_rows(300))


def test_batches_are_halved_and_the_answers_are_the_same(records: Path, tmp_path: Path) -> None:
    model = hungry(tmp_path / "model", 24)  # 2.1 GB a batch of 256
    done = limited(f"--input={records}", f"--model={model}", f"--output={tmp_path / 'limited'}")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("bulklabel: ")]
    assert lines[0] == "bulklabel: warning: out of memory with a batch of 256 images; going on with 128"
    assert score(records, model, tmp_path / "whole") == 0
    assert answers(tmp_path / "limited") == answers(tmp_path / "whole")


def test_what_does_not_fit_at_all_ends_the_run_in_one_line(records: Path, tmp_path: Path) -> None:
    model = hungry(tmp_path / "model", 250)  # 0.9 GB an image
    done = limited(f"--input={records}", f"--model={model}", f"--output={tmp_path / 'run'}", "--log_format=json")
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert summary["state"] == "failed"
    assert summary["error"].startswith(f"{model}/model.keras: out of memory with a batch of 2")
    assert [json.loads(line)["level"] for line in done.stderr.splitlines()].count("critical") == 0
