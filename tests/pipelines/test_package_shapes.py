"""`package` takes Keras networks of the shapes that people give them, or says what is in the way."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from bulklabel.model.network.foreign_code import check_archive
from tests.support.networks import LABELS, answers_of, blocks, package, save, tiny

IMAGES = blocks(5, 16)


def features() -> tuple[Any, Any]:
    """The input and the penultimate layer of a network."""
    keras.utils.set_random_seed(2)
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(images)
    return images, keras.layers.GlobalAveragePooling2D()(x)


def in_a_dict() -> keras.Model:
    images, x = features()
    return keras.Model(images, {"labels": keras.layers.Dense(20, activation="sigmoid")(x)})


def in_a_list() -> keras.Model:
    images, x = features()
    return keras.Model(images, [keras.layers.Dense(20, activation="sigmoid")(x)])


def one_by_one() -> keras.Model:
    """A fully convolutional head."""
    images, x = features()
    x = keras.layers.Reshape((1, 1, 4))(x)
    return keras.Model(images, keras.layers.Conv2D(20, 1, activation="sigmoid")(x))


def heads(names: bool = True) -> keras.Model:
    """Three heads, of 5, 12 and 3 labels."""
    images, x = features()
    sizes = {"colour": 5, "animal": 12, "size": 3}
    parts = {name: keras.layers.Dense(size, activation="sigmoid", name=name)(x) for name, size in sizes.items()}
    return keras.Model(images, parts if names else list(parts.values()))


def fixed(batch: int) -> keras.Model:
    images = keras.Input((16, 16, 3), batch_size=batch)
    return keras.Model(images, keras.ops.reshape(tiny()(images), (batch, 20)))


@pytest.mark.parametrize("network", [in_a_dict, in_a_list, one_by_one, lambda: fixed(1), lambda: fixed(4)])
def test_the_shape_of_inputs_and_outputs_does_not_matter(network: Callable[[], keras.Model], tmp_path: Path) -> None:
    made = network()
    assert package(save(made, tmp_path / "n.keras"), tmp_path / "m") == 0
    images = IMAGES[:4].astype(np.float32)
    (answers,) = keras.tree.flatten(made.predict(images, verbose=0, batch_size=made.inputs[0].shape[0] or 4))
    assert np.allclose(answers_of(tmp_path / "m", IMAGES)[:4], answers.reshape(4, 20), atol=1e-6)


@pytest.mark.parametrize("saved", ["dict.keras", "list.keras", "folder"])
def test_heads_are_joined_in_the_order_of_the_labels(tmp_path: Path, saved: str) -> None:
    network = heads(names=saved != "list.keras")
    if saved == "folder":
        network.export(tmp_path / saved, verbose=False)
    else:
        network.save(tmp_path / saved)
    assert (
        package(tmp_path / saved, tmp_path / "m", "--output_name=animal", "--output_name=size", "--output_name=colour")
        == 0
    )
    found = network(IMAGES.astype(np.float32))
    parts = found if isinstance(found, dict) else dict(zip(["colour", "animal", "size"], found, strict=True))
    joined = np.concatenate([parts["animal"], parts["size"], parts["colour"]], axis=1)
    assert np.allclose(answers_of(tmp_path / "m", IMAGES), joined, atol=1e-6)


def test_a_network_of_one_channel_is_given_pillows_gray(tmp_path: Path) -> None:
    images = keras.Input((16, 16, 1))
    network = keras.Model(images, keras.layers.Dense(20, activation="sigmoid")(keras.layers.Flatten()(images)))
    assert package(save(network, tmp_path / "n.keras"), tmp_path / "m", "--mean=0.1307", "--std=0.3081") == 0
    colours = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    gray = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in colours])[..., None]
    expected = network.predict((gray / np.float32(255) - 0.1307) / 0.3081, verbose=0)
    assert np.allclose(answers_of(tmp_path / "m", colours), expected, atol=1e-5)


def mixed() -> keras.Model:
    """Normalised by the images of the batch."""
    images = keras.Input((16, 16, 3))
    return keras.Model(images, tiny()(images - keras.ops.mean(images, axis=0, keepdims=True)))


def scaled() -> keras.Model:
    """Normalised by the brightest image of the batch, which looks like a division by 255 wherever one is bright."""
    images = keras.Input((16, 16, 3))
    return keras.Model(images, tiny()(images / keras.ops.max(images)))


def flat() -> keras.Model:
    images = keras.Input((768,))
    return keras.Model(images, keras.layers.Dense(20, activation="sigmoid")(images))


def channels(shape: tuple[int, int, int]) -> keras.Model:
    images = keras.Input(shape)
    return keras.Model(images, keras.layers.Dense(20, activation="sigmoid")(keras.layers.Flatten()(images)))


@pytest.mark.parametrize(
    ("network", "flags", "words"),
    [
        (heads, (), "has 3 outputs, 'animal', 'colour', 'size'; name those that the labels are for"),
        (heads, ("--output_name=nose",), "--output_name nose: "),
        (lambda: channels((16, 16, 4)), (), "takes images of 4 channels; give a network that takes 3"),
        (lambda: channels((3, 16, 16)), (), "its channels first; put keras.layers.Permute((3, 1, 2)) before it"),
        (lambda: channels((16, 16, 1)), ("--mean=0,0,0", "--std=1,1,1"), "takes gray images, of one channel"),
        (flat, (), "takes (768,) for an image, and not height, width and channels"),
        (mixed, (), "otherwise for an image that is asked again beside others; save it as it is for inference"),
        (scaled, (), "and nothing that is computed over the whole batch"),
    ],
)
def test_a_refusal_names_what_is_in_the_way(
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


def test_a_saved_model_of_encoded_images_is_refused_in_one_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tiny()

    class Served(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])  # type: ignore[untyped-decorator]
        def serve(self, image_bytes: tf.Tensor) -> tf.Tensor:
            def decoded(data: tf.Tensor) -> tf.Tensor:
                return tf.image.resize(tf.io.decode_jpeg(data, channels=3), (16, 16))

            return network(tf.map_fn(decoded, image_bytes, tf.float32))

    served = Served()
    served.network = network
    tf.saved_model.save(served, str(tmp_path / "saved"), signatures=served.serve)
    for flags in ((), ("--trust_model_code",)):
        assert package(tmp_path / "saved", tmp_path / "m", *flags) == 2
        assert "takes encoded images ('image_bytes' is of bytes)" in capsys.readouterr().err


def test_an_hdf5_file_is_converted_by_what_its_refusal_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tiny()
    network.save(tmp_path / "network.h5")
    assert package(tmp_path / "network.h5", tmp_path / "m") == 2
    code = capsys.readouterr().err.split('python -c "')[1].split('"')[0]
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # noqa: S102 (what a user would run)
    assert package(tmp_path / "network.keras", tmp_path / "m") == 0
    expected = network.predict(IMAGES.astype(np.float32), verbose=0)
    assert np.allclose(answers_of(tmp_path / "m", IMAGES), expected, atol=1e-6)


def test_an_archive_of_keras_2_is_named_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"module": "keras.src.engine.functional", "class_name": "Functional", "registered_name": "Functional"}
    with zipfile.ZipFile(tmp_path / "n.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", json.dumps({**config, "config": {"name": "model", "layers": []}}))
        archive.writestr("model.weights.h5", b"")
    assert package(tmp_path / "n.keras", tmp_path / "m") == 2
    error = capsys.readouterr().err
    assert "was saved by Keras 2.15.0" in error
    assert "`network.export('folder')`, and give the folder" in error


SMALLEST = {"InceptionV3": 75, "Xception": 71, "InceptionResNetV2": 75}
"""Pixels a side of the smallest images, where that is not 32."""

FAMILIES = (
    *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionResNetV2", "InceptionV3"),
    *("MobileNet", "MobileNetV2", "MobileNetV3Small", "NASNetMobile", "ResNet50", "ResNet50V2", "VGG16", "Xception"),
)
"""The smallest network of each of Keras' families; the others are of the same layers."""


def application(name: str) -> keras.Model:
    side = SMALLEST.get(name, 32)
    build = getattr(keras.applications, name)
    return build(weights=None, classes=len(LABELS), input_shape=(side, side, 3), classifier_activation="sigmoid")


@pytest.mark.parametrize("name", FAMILIES)
def test_keras_own_networks_are_made_of_keras_own_layers(name: str) -> None:
    """Without their weights, since it is the configuration that is looked at."""
    with keras.src.backend.StatelessScope(initialize_variables=False):
        network = application(name)
    config = keras.saving.serialize_keras_object(network)
    check_archive(archive_of(config), name)


def archive_of(config: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    return buffer.getvalue()


@pytest.mark.usefixtures("small_batches")
def test_convnext_is_packaged(tmp_path: Path) -> None:
    """Small, but of the layers that Keras keeps beside its own networks."""
    convnext = keras.src.applications.convnext
    network = convnext.ConvNeXt(
        depths=[1, 1, 1, 1],
        projection_dims=[8, 8, 8, 8],
        drop_path_rate=0.1,
        weights=None,
        classes=20,
        input_shape=(32, 32, 3),
        classifier_activation="sigmoid",
        name="small",
        weights_name="small",
    )
    assert package(save(network, tmp_path / "n.keras"), tmp_path / "m") == 0
    images = blocks(3, 32)
    assert np.allclose(answers_of(tmp_path / "m", images), network.predict(images, verbose=0), atol=1e-6)
