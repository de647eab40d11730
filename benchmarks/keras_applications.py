"""Packages every network of `keras.applications`, each in a process of its own, and compares its answers with Keras'.

The suite looks at the layers of one network of each family; this packages all, with random weights and the smallest
images that they take. It needs some fifteen minutes, and 10 GB of memory for the largest.

    python benchmarks/keras_applications.py [NAME…]
"""

import contextlib
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

from bulklabel.model.network.scorer import Scorer
from bulklabel.pipelines.package import main as package
from bulklabel.transforms.scoring.model_files import load_model

NAMES = [name for name in dir(keras.applications) if name[0].isupper()]
SMALLEST = {"InceptionV3": 75, "Xception": 71, "InceptionResNetV2": 75}
LABELS = [f"label {number}" for number in range(20)]


def compare(name: str) -> str:
    """Returns a line: the network, its weights, the seconds that packaging takes, and how far answers are apart."""
    side = SMALLEST.get(name, 32)
    keras.utils.set_random_seed(0)
    network = getattr(keras.applications, name)(
        weights=None, classes=len(LABELS), input_shape=(side, side, 3), classifier_activation="sigmoid"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        network.save(folder / "network.keras")
        (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
        flags = [f"--keras_model={folder / 'network.keras'}", f"--label_file={folder / 'labels.txt'}"]
        started, said = time.perf_counter(), io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            code = package([*flags, f"--output={folder / 'model'}", "--input_range=0,255"])
        seconds = time.perf_counter() - started
        if code:
            return f"{name:<20} refused: {said.getvalue().strip()}"
        images = np.random.default_rng(0).integers(0, 256, (4, side, side, 3), np.uint8)
        found = Scorer(load_model(str(folder / "model")), str(folder / "model")).predict(images)
    apart = np.abs(found - network.predict(images.astype(np.float32), verbose=0)).max()
    return f"{name:<20}{side:>4} px{network.count_params():>14,} weights{seconds:>7.1f} s{apart:>10.1e} apart"


def main(names: list[str]) -> None:
    """Prints a line for each network."""
    if len(names) == 1:
        print(compare(names[0]), flush=True)
        return
    for name in names or NAMES:
        subprocess.run([sys.executable, __file__, name], check=False)


if __name__ == "__main__":
    main(sys.argv[1:])
