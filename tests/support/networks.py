"""Networks as users have them, and `package` on them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from bulklabel.model.network.scorer import Scorer
from bulklabel.pipelines.package import main
from bulklabel.transforms.scoring.model_files import load_model
from tests.conftest import predictions_of

LABELS = tuple(f"label {number}" for number in range(20))


def blocks(count: int, side: int) -> np.ndarray:
    """Coarse random images: unlike noise they look different to a network that averages."""
    cells = np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return cells.repeat(-(-side // 8), 1).repeat(-(-side // 8), 2)[:, :side, :side]


def tiny(side: int | None = 16, outputs: int = 20, activation: Any = "sigmoid") -> keras.Model:
    """A network of milliseconds, of all that has weights in this test's other networks."""
    keras.utils.set_random_seed(1)
    images = keras.Input((side, side, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(images)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(outputs, activation=activation)(x))


def quarters(height: int, width: int, labels: int, seed: int, channels: int = 3) -> keras.Model:
    """A network that looks once at each quarter of a collage, not hundreds of times as the textbook's does."""
    initializer = keras.initializers.GlorotUniform
    inputs = keras.Input((height, width, channels), name="image")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(64, 16, strides=16, activation="relu", kernel_initializer=initializer(seed))(x)
    x = keras.layers.Conv2D(labels, 1, kernel_initializer=initializer(seed + 1))(x)
    x = keras.layers.GlobalMaxPooling2D()(x)
    return keras.Model(inputs, keras.layers.Activation("sigmoid", name="probabilities")(x))


def save(network: keras.Model, path: Path) -> Path:
    network.save(path)
    return path


def package(path: Path, output: Path, *flags: str, engine: str = "keras", labels: Sequence[str] = LABELS) -> int:
    """`bulklabel package`, for twenty labels, and pixels of 0…255 if the flags do not say otherwise."""
    label_file = output.parent / "labels.txt"
    label_file.write_text("\n".join(labels) + "\n")
    expects = () if any(flag.startswith(("--input_range", "--mean")) for flag in flags) else ("--input_range=0,255",)
    return main([f"--{engine}_model={path}", f"--label_file={label_file}", f"--output={output}", *expects, *flags])


def answers_of(directory: Path, images: np.ndarray) -> np.ndarray:
    return Scorer(load_model(str(directory)), str(directory)).predict(images)


def package_as_onnx(model_directory: Path, folder: Path) -> Path:
    """A model directory of the same network, exported to ONNX by Keras."""
    model = load_model(str(model_directory))
    network = keras.saving.load_model(model_directory / "model.keras")
    network(np.zeros((1, *network.inputs[0].shape[1:]), np.float32))  # Keras exports what was called once
    network.export(folder / "network.onnx", format="onnx", verbose=False)
    assert package(folder / "network.onnx", folder / "onnx", engine="onnx", labels=model.labels) == 0
    return folder / "onnx"


def probabilities(run: Path) -> tuple[list[str], np.ndarray]:
    """The ids of a run's records in order, and their probabilities."""
    table = predictions_of(run).sort_by("id")
    columns = [name for name in table.column_names if name.startswith("prob_")]
    return table.column("id").to_pylist(), np.stack([table.column(name).to_numpy() for name in columns], axis=1)


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()
