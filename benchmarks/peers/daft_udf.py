"""Scores with Daft: a class that loads the model once, with a method that takes batches."""

from typing import Any

import daft
import keras
import numpy as np
from daft import DataType, Series

from benchmarks.peers.shared import BATCH, arguments, decode, evaluate, labels_of


@daft.cls
class Predictor:
    """Predicts batches with the model that it loads once."""

    def __init__(self, folder: str) -> None:
        self.model = keras.models.load_model(f"{folder}/model.keras", compile=False)

    @daft.method.batch(return_dtype=DataType.list(DataType.float32()), batch_size=BATCH)  # type: ignore[untyped-decorator]
    def predict(self, images: Series) -> Any:
        """Returns the probabilities of each image."""
        pixels = np.stack([decode(image) for image in images.to_pylist()])
        return list(self.model.predict_on_batch(pixels))


def main() -> None:
    source, folder, output = arguments()
    labels = labels_of(folder)
    frame = daft.read_parquet(source)
    frame = frame.select(frame["labels"], Predictor(folder).predict(frame["image"]).alias("probabilities"))
    columns = [frame["probabilities"].get(index).alias(label) for index, label in enumerate(labels)]
    frame.select(frame["labels"], *columns).write_parquet(output)
    evaluate(output, labels)


if __name__ == "__main__":
    main()
