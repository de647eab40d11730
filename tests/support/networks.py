"""Networks as users have them, and `package` on them."""

import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from bulklabel.model.network.scorer import Scorer
from bulklabel.pipelines.package import main
from bulklabel.transforms.scoring.model_files import load_model

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


def save(network: keras.Model, path: Path) -> Path:
    network.save(path)
    return path


def package(path: Path, output: Path, *flags: str) -> int:
    """`bulklabel package`, for twenty labels, and pixels of 0…255 if the flags do not say otherwise."""
    labels = output.parent / "labels.txt"
    labels.write_text("\n".join(LABELS) + "\n")
    expects = () if any(flag.startswith(("--input_range", "--mean")) for flag in flags) else ("--input_range=0,255",)
    return main([f"--keras_model={path}", f"--label_file={labels}", f"--output={output}", *expects, *flags])


def answers_of(directory: Path, images: np.ndarray) -> np.ndarray:
    return Scorer(load_model(str(directory)), str(directory)).predict(images)


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()
