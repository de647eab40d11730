"""Pipelines as other people write them around bulklabel, which run on any runner, given its flags."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.ml.inference.base import RunInference
from apache_beam.testing.test_stream import TestStream as Stream
from apache_beam.transforms.window import FixedWindows
from apache_beam.utils.timestamp import Timestamp

from bulklabel import ImageModelHandler, ImageRecord, ScoreImages
from tests.conftest import predictions_of, rejected_of

Answers = tuple[dict[str, tuple[list[str], bytes]], dict[str, tuple[str, str, str]]]
"""By id: what was predicted with the probabilities' bits, and stage, reason and detail of what was rejected."""


def run_score_images(
    options: Sequence[str], images: Path, model: Path, folder: Path, max_latency: float | None = None
) -> Answers:
    """`ScoreImages` on a Parquet file's images, with its answers written as text into a folder that workers share."""
    with beam.Pipeline(argv=[*options]) as root:
        _score_images(_read(root, images), model, folder, max_latency)
    return _answers(folder)


def run_inference(options: Sequence[str], images: Path, model: Path, folder: Path) -> Answers:
    """The same by Beam's `RunInference`."""
    with beam.Pipeline(argv=[*options]) as root:
        _infer(_read(root, images), model, folder)
    return _answers(folder)


def run_both(options: Sequence[str], images: Path, model: Path, folder: Path) -> tuple[Answers, Answers]:
    """Both in one pipeline, which is read once and starts its workers once."""
    with beam.Pipeline(argv=[*options]) as root:
        records = _read(root, images)
        _score_images(records, model, folder / "scored")
        _infer(records, model, folder / "inferred")
    return _answers(folder / "scored"), _answers(folder / "inferred")


def run_stream(options: Sequence[str], stream: Stream, hold: beam.PTransform, seen: Path) -> None:
    """A stream of records through `hold`; what goes in and comes out is appended to a file, in order.

    A third line a record says in which ten seconds it was counted, once no more of these were to come.
    """
    path = str(seen)

    def note(what: str, record: Any, timestamp: Timestamp) -> Any:
        with open(path, "a") as lines:
            lines.write(f"{what} {record.id} {float(timestamp):g}\n")
        return record

    with beam.Pipeline(argv=[*options, "--streaming"]) as root:
        records = root | stream
        records |= "In" >> beam.Map(lambda record, at=beam.DoFn.TimestampParam: note("in", record, at))
        held = records | hold
        held |= "Out" >> beam.Map(lambda record, at=beam.DoFn.TimestampParam: note("out", record, at))
        grouped = held | beam.WindowInto(FixedWindows(10)) | beam.WithKeys("all") | beam.GroupByKey()
        _ = grouped | beam.FlatMapTuple(
            lambda _, each, at=beam.DoFn.WindowParam: [note("counted", record, at.start) for record in each]
        )


def _read(root: beam.Pipeline, images: Path) -> beam.PCollection:
    rows = root | beam.io.ReadFromParquet(str(images), columns=["id", "image"])
    return rows | beam.Map(lambda row: ImageRecord(row["id"], row["image"]))


def _score_images(records: beam.PCollection, model: Path, folder: Path, max_latency: float | None = None) -> None:
    scored = records | ScoreImages(str(model), max_latency=max_latency)
    _write(scored.predictions | beam.Map(lambda p: [p.id, p.predicted, p.probabilities]), folder, "predictions")
    _write(scored.rejected | beam.Map(lambda r: [r.id, r.stage, r.reason, r.detail]), folder, "rejected")


def _infer(records: beam.PCollection, model: Path, folder: Path) -> None:
    inferences = records | RunInference(ImageModelHandler(str(model)))
    rows = inferences | "Row" >> beam.Map(lambda result: [*result.inference])
    _write(rows | "Good" >> beam.Filter(lambda row: len(row) == 3), folder, "predictions")
    _write(rows | "Bad" >> beam.Filter(lambda row: len(row) == 4), folder, "rejected")


def _write(rows: beam.PCollection, folder: Path, name: str) -> None:
    lines = rows | f"JSON {folder.name} {name}" >> beam.Map(json.dumps)
    _ = lines | f"Write {folder.name} {name}" >> beam.io.WriteToText(str(folder / name))


def _answers(folder: Path) -> Answers:
    predictions, rejected = _lines(folder, "predictions"), _lines(folder, "rejected")
    found = {row[0]: (row[1], np.array(row[2], np.float32).tobytes()) for row in predictions}
    reasons = {row[0]: tuple(row[1:]) for row in rejected}
    assert len(found) + len(reasons) == len(predictions) + len(rejected), "a record came out twice"
    return found, reasons


def _lines(folder: Path, name: str) -> list[Any]:
    return [json.loads(line) for path in folder.glob(f"{name}-*") for line in path.read_text().splitlines()]


def answers_of_file(finished: Path, images: Path) -> Answers:
    """What `score` answered to the images of one of its input's files."""
    table = predictions_of(finished)
    table = table.filter(pc.equal(table.column("source"), str(images)))
    names = [name for name in table.column_names if name.startswith("prob_")]
    block = np.stack([table.column(name).to_numpy() for name in names], axis=1)
    ids, predicted = (table.column(name).to_pylist() for name in ("id", "predicted"))
    found = {key: (labels, row.tobytes()) for key, labels, row in zip(ids, predicted, block, strict=True)}
    rejected = [row for row in rejected_of(finished) if row["source"] == str(images)]
    assert isinstance(table, pa.Table)
    assert len(found) + len(rejected) > 0
    return found, {row["id"]: (row["stage"], row["reason"], row["detail"]) for row in rejected}
