"""Scores with Ray Data: `map_batches` with a class that loads the model once an actor, an actor a core.

An actor asks for half a core: reading waits for ever where actors have taken all cores.
"""

import os
from typing import Any

import keras
import numpy as np
import ray

from benchmarks.peers.shared import BATCH, arguments, decode, evaluate, labels_of


class Predictor:
    """Predicts a batch in an actor."""

    def __init__(self, folder: str) -> None:
        self.model = keras.models.load_model(f"{folder}/model.keras", compile=False)
        self.labels = labels_of(folder)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns the truth and a column of probabilities a label."""
        pixels = np.stack([decode(image) for image in batch["image"]])
        probabilities = self.model.predict_on_batch(pixels)
        return {"labels": batch["labels"], **dict(zip(self.labels, probabilities.T, strict=True))}


def main() -> None:
    source, folder, output = arguments()
    ray.init(include_dashboard=False, log_to_driver=False)
    actors = ray.data.ActorPoolStrategy(size=os.cpu_count())
    predictions = ray.data.read_parquet(source).map_batches(
        Predictor, fn_constructor_args=[folder], batch_size=BATCH, compute=actors, num_cpus=0.5
    )
    predictions.write_parquet(output)
    ray.shutdown()
    evaluate(output, labels_of(folder))


if __name__ == "__main__":
    main()
