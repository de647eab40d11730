"""Golden images: a model that does not answer as it did where it was made is not used."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image

from bulklabel.model.errors import UserError
from bulklabel.model.images import decode as images
from bulklabel.model.images.png.decode import decode_png
from bulklabel.model.images.resize import Pixels
from bulklabel.model.network.keras_engine import KerasEngine
from bulklabel.model.network.precision import TENSORFLOAT32
from bulklabel.pipelines.verify import main as verify
from bulklabel.transforms.scoring.load_scorer import load_scorer
from bulklabel.transforms.scoring.model_files import load_model
from tests.conftest import score, write_parquet
from tests.support.networks import blocks, jpeg, package, save, tiny


def tampered(directory: Path, edit: Callable[[dict[str, list[Any]]], None]) -> None:
    """Change what `golden.parquet` says, and make `model.json` agree."""
    path = directory / "golden.parquet"
    table = pq.read_table(path)
    columns = table.to_pydict()
    edit(columns)
    pq.write_table(pa.table(columns, table.schema), path)
    content = json.loads((directory / "model.json").read_bytes())
    content["golden_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (directory / "model.json").write_text(json.dumps(content))


@pytest.fixture
def packaged(tmp_path: Path) -> Path:
    assert package(save(tiny(), tmp_path / "n.keras"), tmp_path / "m") == 0
    return tmp_path / "m"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    row = {"id": "a", "image": jpeg(blocks(1, 16)[0]), "labels": None}
    return write_parquet(tmp_path / "a.parquet", [row])


def test_golden_images_are_of_every_kind_and_cost_one_batch(packaged: Path) -> None:
    table = pq.read_table(packaged / "golden.parquet")
    kinds = set()
    for data in table.column("image").to_pylist():
        image = Image.open(io.BytesIO(data))
        kinds.add((image.format, image.mode, image.width == image.height))
    assert kinds >= {("PNG", "RGB", True), ("PNG", "RGBA", False), ("JPEG", "L", True), ("JPEG", "RGB", False)}
    assert len(table) <= 8
    assert (packaged / "golden.parquet").stat().st_size < 100_000
    assert len({tuple(row) for row in table.column("probabilities").to_pylist()}) == len(table)


def test_other_probabilities_stop_score(packaged: Path, record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def shift(columns: dict[str, list[Any]]) -> None:
        columns["probabilities"][2][7] += 0.25

    tampered(packaged, shift)
    assert score(record, packaged, record.parent / "run") == 2
    error = capsys.readouterr().err
    assert "the image 'jpeg' gets 0." in error
    assert "for 'label 7'" in error
    assert "versions and processor are the same" in error
    assert error.count("\n") == 1
    assert not (record.parent / "run").exists()


def shift_much(columns: dict[str, list[Any]]) -> None:
    columns["probabilities"][2][7] += 0.25


def test_what_differs_is_named(packaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tampered(packaged, shift_much)
    digest = load_model(str(packaged)).digest
    monkeypatch.setattr(KerasEngine, "device", "NVIDIA H100")
    with pytest.raises(UserError, match=r"processor differs \(was .*, is NVIDIA H100\).*with --golden_tolerance"):
        load_scorer(str(packaged), digest)
    monkeypatch.setattr("bulklabel.model.network.golden_images.engine_versions", lambda _: {"tensorflow": "99.0"})
    with pytest.raises(UserError, match=r"version differs \(tensorflow was [\d.]+, is 99.0\). Install what it was"):
        load_scorer(str(packaged), digest)


def test_more_can_be_tolerated_and_the_manifest_says_so(packaged: Path, record: Path) -> None:
    tampered(packaged, shift_much)
    run = record.parent / "run"
    assert score(record, packaged, run, "--golden_tolerance=0.3") == 0
    assert json.loads((run / "manifest.json").read_bytes())["options"]["golden_tolerance"] == 0.3
    flags = [str(run), "--sample=1", f"--model={packaged}"]
    assert verify([*flags, "--golden_tolerance=0.3"]) == 0
    assert verify(flags) == 1


def test_tensorfloat32_is_off_unless_it_is_asked_for(packaged: Path) -> None:
    digest = load_model(str(packaged)).digest
    tf.config.experimental.enable_tensor_float_32_execution(True)
    load_scorer(str(packaged), digest)
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
    if not tf.config.get_visible_devices("GPU"):
        with pytest.raises(UserError, match="--precision tensorfloat32: TensorFlow finds no GPU here"):
            load_scorer(str(packaged), digest, precision=TENSORFLOAT32)


def test_what_another_processor_changes_is_tolerated(packaged: Path, record: Path) -> None:
    def shift(columns: dict[str, list[Any]]) -> None:
        columns["probabilities"] = [[value + 5e-5 for value in row] for row in columns["probabilities"]]

    tampered(packaged, shift)
    assert score(record, packaged, record.parent / "run") == 0


def test_another_decoder_stops_score(
    packaged: Path, record: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode_otherwise(data: bytes, *arguments: Any) -> tuple[Pixels, bool]:
        pixels, missing = decode_png(data, *arguments)
        return pixels ^ np.uint8(1), missing

    monkeypatch.setattr(images, "decode_png", decode_otherwise)
    monkeypatch.setattr("bulklabel.model.network.golden_images.decoder_versions", lambda: {"pillow": "99.0"})
    assert score(record, packaged, record.parent / "run") == 2
    error = capsys.readouterr().err
    assert "the image 'png' is decoded to other pixels" in error
    assert "is 99.0" in error
    assert error.count("\n") == 1


def test_a_worker_runs_the_golden_images_too(packaged: Path) -> None:
    model = load_model(str(packaged))
    load_scorer(str(packaged), model.digest)

    def shift(columns: dict[str, list[Any]]) -> None:
        columns["probabilities"][0][0] = float("nan")

    tampered(packaged, shift)
    with pytest.raises(UserError, match="the image 'png' gets"):
        load_scorer(str(packaged), load_model(str(packaged)).digest)


def test_golden_images_that_are_missing_or_damaged_are_refused(packaged: Path) -> None:
    def empty(columns: dict[str, list[Any]]) -> None:
        for values in columns.values():
            values.clear()

    (packaged / "kept").write_bytes((packaged / "golden.parquet").read_bytes())
    (packaged / "golden.parquet").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"golden\.parquet is not the file"):
        load_model(str(packaged))
    (packaged / "golden.parquet").unlink()
    with pytest.raises(UserError, match=r"golden\.parquet is not the file"):
        load_model(str(packaged))
    (packaged / "kept").rename(packaged / "golden.parquet")
    tampered(packaged, empty)
    with pytest.raises(UserError, match="does not hold golden images"):
        load_scorer(str(packaged), load_model(str(packaged)).digest)


def test_train_makes_golden_images(model_directory: Path) -> None:
    model = load_model(str(model_directory))
    assert model.golden is not None
    names = pq.read_table(io.BytesIO(model.golden)).column("name").to_pylist()
    assert len(names) == 7
    assert "jpeg_large" in names  # it is decoded scaled
