"""Scores with Spark: `predict_batch_udf` over encoded images, a worker of Python a core."""

import os
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession
from pyspark.sql.functions import col
from pyspark.sql.types import ArrayType, FloatType

from benchmarks.peers.shared import BATCH, arguments, decode, evaluate, labels_of


def main() -> None:
    os.environ["PYSPARK_PYTHON"] = sys.executable  # the workers', which would be the first python3 on the PATH
    source, folder, output = arguments()
    labels = labels_of(folder)

    def make_predict() -> Callable[[Any], Any]:
        model = keras.models.load_model(f"{folder}/model.keras", compile=False)

        def predict(images: Any) -> Any:
            pixels = np.stack([decode(image) for image in images])
            return model.predict_on_batch(pixels)

        return predict

    spark = SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false").getOrCreate()
    score = predict_batch_udf(make_predict, return_type=ArrayType(FloatType()), batch_size=BATCH)
    scored = spark.read.parquet(source).select("labels", score("image").alias("probabilities"))
    columns = [col("probabilities")[index].alias(label) for index, label in enumerate(labels)]
    scored.select("labels", *columns).write.parquet(output)
    spark.stop()
    evaluate(output, labels)


if __name__ == "__main__":
    main()
