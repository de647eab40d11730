"""One network by both engines: as Keras saves it, as it exports it to ONNX and as a SavedModel; and one of others."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

from bulklabel.transforms.demo_formats import LAYOUTS, write_layout
from tests.conftest import collage_rows, metrics_of, score, write_parquet
from tests.support import efficientnet_lite
from tests.support.networks import package, probabilities, tiny
from tests.support.onnx_networks import save_onnx

CLOSE = 1e-5
NUMBERS = [str(number) for number in range(20)]


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three model directories of one network."""
    folder = tmp_path_factory.mktemp("networks")
    network = tiny(side=32)
    network(np.zeros((1, 32, 32, 3), np.float32))  # Keras exports what was called once
    network.save(folder / "network.keras")
    network.export(folder / "saved_model", verbose=False)
    network.export(folder / "network.onnx", format="onnx", verbose=False)
    found = {}
    for name, flag in {"network.keras": "keras", "saved_model": "keras", "network.onnx": "onnx"}.items():
        found[name] = folder / f"{name}_packaged"
        assert package(folder / name, found[name], "--input_range=-1,1", engine=flag, labels=NUMBERS) == 0
    return found


@pytest.fixture(scope="module")
def oracle(packaged: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of one corpus in each format, and what the Keras network answers to it."""
    folder = tmp_path_factory.mktemp("corpus")
    for input_format in LAYOUTS:
        write_layout(input_format, str(folder / input_format), collage_rows(90), 0, 1)
    assert score(folder / "parquet", packaged["network.keras"], folder / "run") == 0
    return folder, folder / "run"


@pytest.mark.parametrize("input_format", LAYOUTS)
@pytest.mark.parametrize("name", ["network.onnx", "saved_model"])
def test_one_network_by_two_engines_in_all_formats(
    packaged: dict[str, Path], oracle: tuple[Path, Path], tmp_path: Path, name: str, input_format: str
) -> None:
    corpus, run = oracle
    assert score(corpus / input_format, packaged[name], tmp_path / "run") == 0
    ids, expected = probabilities(run)
    found_ids, found = probabilities(tmp_path / "run")
    assert found_ids == ids
    assert np.abs(found - expected).max() <= CLOSE
    assert expected.std(axis=0).max() > 100 * CLOSE
    versions = json.loads((tmp_path / "run" / "plan.json").read_bytes())["recipe"]["versions"]
    engine = {"onnxruntime"} if name == "network.onnx" else {"tensorflow", "keras"}
    assert versions.keys() & {"onnxruntime", "tensorflow", "keras"} == engine


def test_a_run_of_an_onnx_network_imports_no_tensorflow(packaged: dict[str, Path], tmp_path: Path) -> None:
    records, model = write_parquet(tmp_path / "a.parquet", collage_rows(5)), packaged["network.onnx"]
    flags = [f"--input={records}", f"--model={model}", f"--output={tmp_path / 'run'}"]
    code = f"""
import sys
from bulklabel.pipelines import plan, score, verify
assert plan.main({flags!r}) == 0
assert score.main({flags!r}) == 0
assert verify.main([{str(tmp_path / "run")!r}, "--sample=3"]) == 0
assert not sys.modules.keys() & {{"tensorflow", "keras"}}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 records scored again: no probability differs by more than 0" in done.stdout
    assert score(records, model, tmp_path / "fast", "--precision=bfloat16") == 2


def test_packaging_over_another_engines_network_leaves_one(packaged: dict[str, Path], tmp_path: Path) -> None:
    folder = packaged["network.onnx"].parent
    for name, engine in (("network.keras", "keras"), ("network.onnx", "onnx")):
        assert package(folder / name, tmp_path / "m", engine=engine) == 0
        names = sorted(path.name for path in (tmp_path / "m").iterdir())
        assert names == ["golden.parquet", "model.json", f"model.{engine}"]


@pytest.mark.usefixtures("small_batches")
def test_a_network_that_others_trained_sees_what_is_in_a_picture(tmp_path: Path) -> None:
    """The file holds PyTorch's weights; their classes are ImageNet's thousand."""
    weights = efficientnet_lite.read_weights()
    save_onnx(efficientnet_lite.to_onnx(weights, (1, 3, 224, 224)), tmp_path / "lite.onnx")
    efficientnet_lite.to_keras(weights, 2).save(tmp_path / "lite.keras")
    images = Path(sklearn.datasets.__file__).parent / "images"
    rows = [{"id": name, "image": (images / name).read_bytes(), "labels": None} for name in ("china.jpg", "flower.jpg")]
    records = write_parquet(tmp_path / "a.parquet", rows)
    labels = [str(number) for number in range(efficientnet_lite.CLASSES)]
    flags = ("--mean=0.498,0.498,0.498", "--std=0.502,0.502,0.502", "--outputs=logits")
    runs = []
    for engine in ("onnx", "keras"):
        made, run = tmp_path / engine, tmp_path / f"{engine}_run"
        assert package(tmp_path / f"lite.{engine}", made, *flags, engine=engine, labels=labels) == 0
        assert score(records, made, run) == 0
        runs.append(probabilities(run)[1])
    assert np.abs(runs[0] - runs[1]).max() <= CLOSE
    bell_cote, daisy = 442, 985
    assert runs[0].argmax(axis=1).tolist() == [bell_cote, daisy]
    assert metrics_of(tmp_path / "onnx_run")["counts"]["scored"] == 2
