"""Scores with Beam's RunInference: Parquet, Pillow, the handler for TensorFlow, Parquet."""

from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import KeyedModelHandler, PredictionResult, RunInference
from apache_beam.ml.inference.tensorflow_inference import TFModelHandlerNumpy

from benchmarks.peers.shared import BATCH, arguments, decode, evaluate, labels_of, schema_of


def main() -> None:
    source, folder, output = arguments()
    labels = labels_of(folder)
    handler = TFModelHandlerNumpy(
        f"{folder}/model.keras", load_model_args={"compile": False}, min_batch_size=BATCH, max_batch_size=BATCH
    )

    def row(result: tuple[tuple[str, ...], PredictionResult]) -> dict[str, Any]:
        truth, prediction = result
        probabilities = prediction.inference.numpy().tolist()
        return {"labels": list(truth), **dict(zip(labels, probabilities, strict=True))}

    with beam.Pipeline(argv=[]) as root:
        _ = (
            root
            | beam.io.ReadFromParquet(source)
            | "Decode" >> beam.Map(lambda record: (tuple(record["labels"]), decode(record["image"])))
            | RunInference(KeyedModelHandler(handler))
            | "Row" >> beam.Map(row)
            | beam.io.WriteToParquet(f"{output}/predictions", schema_of(labels), file_name_suffix=".parquet")
        )
    evaluate(output, labels)


if __name__ == "__main__":
    main()
