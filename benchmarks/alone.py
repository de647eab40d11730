"""Prints images per second, and per second of CPU time, of a network alone by TensorFlow, or of decoding alone.

python -m benchmarks.alone FOLDER RECORDS network BATCH | decoding
"""

import json
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf

from benchmarks.throughput import records_of, run_decoding


def network(folder: str, records: int, batch: int) -> Callable[[], int]:
    model = keras.models.load_model(f"{folder}/model/model.keras", compile=False)
    predict = tf.function(lambda images: model(images, training=False))
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (batch, 32, 32, 3)), tf.float32)
    predict(images)
    return lambda: sum(len(predict(images).numpy()) for _ in range(records // batch))


def decoding(folder: str, records: int) -> Callable[[], int]:
    images = pq.read_table(f"{folder}/{records}.parquet")["image"].to_pylist()
    tables = [records_of(images[first : first + 256]) for first in range(0, records, 256)]
    return lambda: run_decoding(tables)


def main(folder: str, records: int, what: str, *batch: str) -> None:
    work = network(folder, records, int(batch[0])) if what == "network" else decoding(folder, records)
    wall, processor = time.perf_counter(), time.process_time()
    done = work()
    print(json.dumps([done / (time.perf_counter() - wall), done / (time.process_time() - processor)]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
