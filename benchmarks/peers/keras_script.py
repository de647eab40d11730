"""Scores with a loop of one's own: PyArrow reads, Pillow decodes, `model.predict` predicts many batches a call."""

from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.shared import BATCH, arguments, decode, evaluate, labels_of, schema_of

RECORDS = 16 * BATCH
"""Records a call of `predict`, which its documentation says to give more than a batch."""


def main() -> None:
    source, folder, output = arguments()
    labels = labels_of(folder)
    model = keras.models.load_model(f"{folder}/model.keras", compile=False)
    Path(output).mkdir(parents=True)
    with pq.ParquetWriter(f"{output}/predictions.parquet", schema_of(labels)) as writer:
        for records in pq.ParquetFile(source).iter_batches(RECORDS):
            pixels = np.stack([decode(image) for image in records["image"].to_pylist()])
            probabilities = model.predict(pixels, batch_size=BATCH, verbose=0)
            columns = [records["labels"], *probabilities.T]
            writer.write_table(pa.table(columns, schema=schema_of(labels)))
    evaluate(output, labels)


if __name__ == "__main__":
    main()
