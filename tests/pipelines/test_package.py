"""`package`: a user's own network answers in `score` as it does in Keras."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image

from bulklabel.model.images.decode import decode
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.model_directory import Model
from bulklabel.model.network.keras_archive import network_bytes
from bulklabel.model.network.saved_model import network_from_saved_model
from bulklabel.model.network.scorer import Scorer
from bulklabel.transforms.scoring.model_files import load_model
from tests.conftest import metrics_of, predictions_of, score, write_parquet
from tests.support.networks import LABELS, answers_of, blocks, jpeg, package, save, tiny

SIZE = 224


@pytest.fixture(scope="module")
def mobilenet() -> keras.Model:
    """MobileNetV2 without trained weights, but with the statistics of some images, so that its answers differ."""
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNetV2(
        weights=None, classes=len(LABELS), input_shape=(SIZE, SIZE, 3), classifier_activation="sigmoid"
    )
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(blocks(8, SIZE) / 127.5 - 1, training=True)
    return network


@pytest.mark.usefixtures("small_batches")
def test_mobilenet_from_keras_to_metrics(
    mobilenet: keras.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [jpeg(np.repeat(image, 1 + row % 2, axis=1)) for row, image in enumerate(blocks(6, 300))]
    rows = [{"id": str(row), "image": file, "labels": [LABELS[row]]} for row, file in enumerate(files)]
    path = save(mobilenet, tmp_path / "mobilenet.keras")
    assert package(path, tmp_path / "m", "--input_range=-1,1", "--fit=crop") == 0
    assert score(write_parquet(tmp_path / "a.parquet", rows), tmp_path / "m", tmp_path / "run") == 0
    pixels = []
    for file in files:
        image = Image.open(io.BytesIO(file)).convert("RGB")
        left = (image.width - image.height) // 2
        box = (left, 0, left + image.height, image.height)
        pixels.append(np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box)))
    inputs = keras.applications.mobilenet_v2.preprocess_input(np.stack(pixels).astype(np.float32))
    expected = mobilenet.predict(inputs, verbose=0)
    table = predictions_of(tmp_path / "run")
    found = np.stack([table.column(f"prob_{name}").to_numpy() for name in LABELS], axis=1)
    assert expected.std(axis=0).max() > 0.01
    assert np.allclose(found, expected, atol=1e-5)
    assert metrics_of(tmp_path / "run")["counts"] == {
        "records": 6,
        "scored": 6,
        "rejected": 0,
        "with_truth": 6,
        "duplicate_ids": 0,
        "truncated": 0,
    }
    alone = keras.saving.load_model(tmp_path / "m" / "model.keras").predict(np.stack(pixels), verbose=0)
    assert np.allclose(alone, expected, atol=1e-5)
    assert "model directory" in capsys.readouterr().out


def test_rows_of_a_batch_do_not_depend_on_each_other(mobilenet: keras.Model) -> None:
    scorer = Scorer(Model(LABELS, Preprocessing(SIZE, SIZE), network_bytes(mobilenet)), "m")
    images = np.random.default_rng(0).integers(0, 256, (scorer.images_at_once, SIZE, SIZE, 3), np.uint8)
    images[:8] = blocks(8, SIZE)
    whole = scorer.predict(images)
    black = images.copy()
    black[::2] = 0
    assert np.array_equal(scorer.predict(black)[1::2], whole[1::2])
    order = np.random.default_rng(0).permutation(len(images))
    assert np.array_equal(scorer.predict(images[order]), whole[order])
    assert np.array_equal(scorer.predict(images[:5]), whole[:5])


@pytest.mark.parametrize(
    ("flags", "scaled"),
    [
        (("--input_range=0,255",), lambda pixels: pixels),
        (("--input_range=0,1",), lambda pixels: pixels / 255),
        (("--input_range=-1,1",), lambda pixels: pixels / 127.5 - 1),
        (("--input_range=-1024,1024",), lambda pixels: pixels * (2048 / 255) - 1024),
        (
            ("--mean=0.485,0.456,0.406", "--std=0.229,0.224,0.225"),
            lambda pixels: (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
        ),
    ],
)
def test_the_input_is_scaled_as_the_network_was_trained(
    tmp_path: Path, flags: tuple[str, ...], scaled: Callable[[np.ndarray], np.ndarray]
) -> None:
    network, images = tiny(), blocks(5, 16)
    assert package(save(network, tmp_path / "n.keras"), tmp_path / "m", *flags) == 0
    expected = network.predict(scaled(images.astype(np.float64)).astype(np.float32), verbose=0)
    assert np.allclose(answers_of(tmp_path / "m", images), expected, atol=1e-6)


def test_keras_own_torch_mode_is_mean_and_std(tmp_path: Path) -> None:
    network, images = tiny(), blocks(5, 16)
    flags = ("--mean=0.485,0.456,0.406", "--std=0.229,0.224,0.225")
    assert package(save(network, tmp_path / "n.keras"), tmp_path / "m", *flags) == 0
    inputs = keras.applications.densenet.preprocess_input(images.astype(np.float32))
    assert np.allclose(answers_of(tmp_path / "m", images), network.predict(inputs, verbose=0), atol=1e-6)


def test_logits_become_probabilities(tmp_path: Path) -> None:
    network, images = tiny(), blocks(5, 16)
    logits = tiny(activation=None)
    logits.set_weights(network.get_weights())
    assert package(save(network, tmp_path / "n.keras"), tmp_path / "p") == 0
    assert package(save(logits, tmp_path / "l.keras"), tmp_path / "l", "--outputs=logits") == 0
    assert np.allclose(answers_of(tmp_path / "l", images), answers_of(tmp_path / "p", images), atol=1e-6)


def test_a_saved_model_is_the_network_it_came_from(tmp_path: Path) -> None:
    network, images = tiny(side=None), blocks(5, 24)
    network.export(tmp_path / "saved", verbose=False)
    flags = ("--image_size=24", "--input_range=0,1")
    assert package(save(network, tmp_path / "n.keras"), tmp_path / "k", *flags) == 0
    assert package(tmp_path / "saved", tmp_path / "s", *flags) == 0
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["golden.parquet", "model.json", "model.keras"]
    shutil.rmtree(tmp_path / "saved")
    assert np.allclose(answers_of(tmp_path / "s", images), answers_of(tmp_path / "k", images), atol=1e-6)
    alone = keras.saving.load_model(tmp_path / "s" / "model.keras").predict(images, verbose=0)
    assert np.allclose(alone, answers_of(tmp_path / "k", images), atol=1e-6)


def test_a_saved_model_of_bytes_takes_pixels(tmp_path: Path) -> None:
    network = tiny()

    class Served(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, 16, 16, 3), tf.uint8)])  # type: ignore[untyped-decorator]
        def serve(self, images: tf.Tensor) -> tf.Tensor:
            return network(tf.cast(images, tf.float32) / 255)

    served = Served()
    served.network = network
    tf.saved_model.save(served, str(tmp_path / "saved"), signatures=served.serve)
    assert package(tmp_path / "saved", tmp_path / "m") == 0
    images = blocks(3, 16)
    expected = network.predict(images / np.float32(255), verbose=0)
    assert np.allclose(answers_of(tmp_path / "m", images), expected, atol=1e-6)


def test_packaging_twice_gives_equal_bytes(tmp_path: Path) -> None:
    path = save(tiny(), tmp_path / "n.keras")
    for name in "ab":
        assert package(path, tmp_path / name) == 0
    for name in ("model.keras", "model.json", "golden.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_preprocessing_is_written_down(tmp_path: Path) -> None:
    flags = ("--image_size=24x32", "--resize=area", "--fit=pad", "--pixel_range=0,4095")
    assert package(save(tiny(side=None), tmp_path / "n.keras"), tmp_path / "m", *flags) == 0
    content = json.loads((tmp_path / "m" / "model.json").read_bytes())
    assert content["image_size"] == [24, 32]
    expected = {"resize": "area", "fit": "pad", "decode": "exact", "pixel_range": [0, 4095]}
    assert content["preprocessing"] == expected
    model = load_model(str(tmp_path / "m"))
    assert model.preprocessing == Preprocessing(24, 32, "area", "pad", "exact", (0, 4095))
    golden = pq.read_table(tmp_path / "m" / "golden.parquet").to_pylist()
    deep = next(row for row in golden if row["name"] == "png_deep")
    for preprocessing, agrees in ((model.preprocessing, True), (Preprocessing(24, 32, "area", "pad"), False)):
        pixels = decode(deep["image"], preprocessing)
        assert (hashlib.sha256(pixels.tobytes()).hexdigest() == deep["pixels_sha256"]) is agrees


def two_inputs() -> keras.Model:
    inputs = [keras.Input((16, 16, 3)), keras.Input((16, 16, 3))]
    return keras.Model(inputs, tiny()(keras.layers.Add()(inputs)))


@pytest.mark.parametrize(
    ("network", "flags", "words"),
    [
        (lambda: tiny(outputs=3), (), "has 3 outputs for an image, but"),
        (
            tiny,
            ("--image_size=32",),
            "takes images of 16 × 16 pixels alone, and --image_size says 32 × 32",
        ),
        (lambda: tiny(side=None), (), "give --image_size"),
        (two_inputs, ("--image_size=16",), "has 2 inputs, "),
        (lambda: tiny(activation=None), ("--input_range=0,255",), "which is not a probability"),
        (tiny, ("--outputs=logits",), "ends in a sigmoid"),
        (tiny, ("--mean=0.5,0.5,0.5",), "--mean and --std go together"),
        (tiny, ("--mean=124,116,104", "--std=58,57,57"), "divide numbers for 0 to 255 by 255"),
        (tiny, ("--mean=0.5,0.5", "--std=1,1,1"), "neither three numbers"),
        (tiny, ("--input_range=0,1", "--mean=0.5,0.5,0.5"), "not allowed with argument"),
        (tiny, ("--label_file=nowhere.txt",), "no such file"),
        (tiny, ("--keras_model=nowhere.keras",), "nowhere.keras: no such file or SavedModel"),
    ],
)
def test_what_does_not_fit_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    network: Callable[[], keras.Model],
    flags: tuple[str, ...],
    words: str,
) -> None:
    assert package(save(network(), tmp_path / "n.keras"), tmp_path / "m", *flags) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "m" / "model.json").exists()


def test_other_files_say_how_to_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny().save(tmp_path / "n.h5")
    (tmp_path / "n.pkl").write_bytes(b"\x80\x04K\x01.")
    (tmp_path / "n.keras").write_bytes(b"nonsense")
    (tmp_path / "cut.keras").write_bytes(network_bytes(tiny())[:-200])
    for name, words in {
        "n.h5": "is an HDF5 file",
        "n.pkl": "is a pickle",
        "n.keras": "is not a Keras archive",
        "cut.keras": "is not a Keras archive",
    }.items():
        assert package(tmp_path / name, tmp_path / "m") == 2
        error = capsys.readouterr().err
        assert words in error
        assert "save('network.keras')" in error
        assert error.count("\n") == 1


def test_the_ops_of_many_networks_are_accepted(tmp_path: Path) -> None:
    images = keras.Input((32, 32, 3))
    x = keras.layers.SeparableConv2D(4, 3, activation="swish")(images)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Resizing(16, 16)(x)
    x = keras.layers.Dropout(0.5)(x)
    x = keras.layers.Reshape((-1, 4))(x)
    x = keras.layers.LayerNormalization()(keras.layers.MultiHeadAttention(2, 4)(x, x))
    x = keras.layers.LSTM(5)(x)
    network = keras.Model(images, keras.layers.Dense(3, activation="sigmoid")(x))
    network.export(tmp_path / "saved", verbose=False)
    frozen = network_from_saved_model(str(tmp_path / "saved"), "saved", trusted=False)
    pixels = blocks(3, 32).astype(np.float32)
    (answers,) = frozen(pixels).values()
    assert np.allclose(answers, network(pixels), atol=1e-5)


def test_a_saved_model_that_goes_on_learning_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = keras.Input((16, 16, 3))
    x = keras.layers.BatchNormalization()(keras.layers.RandomFlip()(images))
    keras.Model(images, tiny()(x)).export(tmp_path / "saved", verbose=False)
    assert package(tmp_path / "saved", tmp_path / "m") == 2
    error = capsys.readouterr().err
    assert "changes variables, as in training" in error
    assert error.count("\n") == 1


def test_augmentation_is_off(tmp_path: Path) -> None:
    images = keras.Input((16, 16, 3))
    x = keras.layers.BatchNormalization()(keras.layers.RandomBrightness(0.5)(images))
    network = keras.Model(images, tiny()(x))
    assert package(save(network, tmp_path / "n.keras"), tmp_path / "m") == 0
    expected = network.predict(blocks(3, 16), verbose=0)
    assert np.allclose(answers_of(tmp_path / "m", blocks(3, 16)), expected, atol=1e-6)
