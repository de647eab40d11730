"""Makes the small model that comes with bulklabel, for `bulklabel demo`: `python -m benchmarks.demo_model`.

Each threshold stands in the middle of a gap between the probabilities of the demo's images, wider on both sides than
golden images may be apart. So every answer of the demo is the same wherever the model can be loaded.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.dataset as ds

from bulklabel.model.network import TOLERANCE
from bulklabel.model.network.golden_images import add_golden
from bulklabel.pipelines.demo import BATCH_SIZE, SHIPPED, make_corpus
from bulklabel.pipelines.score import main as score
from bulklabel.pipelines.train import main as train
from bulklabel.transforms.scoring.model_files import load_model, save_model

EPOCHS = 8
NEAR = 0.05
"""A threshold is moved by at most this much."""


def main() -> None:
    """Trains on one side of the demo's corpus, and settles the thresholds on the other."""
    with tempfile.TemporaryDirectory() as folder:
        for held_out in (False, True):
            make_corpus(folder, "parquet", held_out)
        flags = [f"--input={folder}/train", f"--output={folder}/model"]
        assert train([*flags, "--network=textbook", f"--epochs={EPOCHS}", f"--batch_size={BATCH_SIZE}"]) == 0
        model = load_model(f"{folder}/model")
        provenance = {**model.provenance, "inputs": ["the training side of the demo's corpus"]}
        assert score([f"--input={folder}/heldout", f"--model={folder}/model", f"--output={folder}/scores"]) == 0
        table = ds.dataset(f"{folder}/scores/predictions").to_table()
    thresholds = tuple(
        in_a_gap(table.column(f"prob_{label}").to_numpy(), tuned)
        for label, tuned in zip(model.labels, model.thresholds or (), strict=True)
    )
    made = replace(model, thresholds=thresholds, provenance=provenance)
    save_model(add_golden(made, SHIPPED), SHIPPED)
    for path in sorted(Path(SHIPPED).iterdir()):
        print(f"{path.stat().st_size:>9,} {path}")


def in_a_gap(probabilities: npt.NDArray[np.float32], threshold: float) -> float:
    """Returns the middle of the widest gap between sorted probabilities near a threshold."""
    near = np.sort(probabilities[np.abs(probabilities - threshold) < NEAR].astype(float))
    edges = np.concatenate([[threshold - NEAR], near, [threshold + NEAR]])
    widest = int(np.argmax(np.diff(edges)))
    assert edges[widest + 1] - edges[widest] > 4 * TOLERANCE
    return round(float(edges[widest] + edges[widest + 1]) / 2, 6)


if __name__ == "__main__":
    main()
