"""ScoreImages and ImageModelHandler in other people's pipelines: `score`'s answers, with their times and windows."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.ml.inference.base import ModelMetadata, RunInference
from apache_beam.testing.test_stream import TestStream as Stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, GlobalWindows, SlidingWindows, TimestampedValue

import bulklabel
from bulklabel import ImageModelHandler, ImageRecord, Prediction, RejectedRecord, ScoreImages
from bulklabel.model.errors import UserError
from bulklabel.transforms.library import hold_for_batches as holding
from bulklabel.transforms.library.hold_for_batches import HoldForBatches
from bulklabel.transforms.library.image_scorer import ImageScorer, recipe_for_model
from bulklabel.transforms.scoring.model_files import load_model, save_model
from tests.conftest import ROOT, collage_rows, untrained_model
from tests.engines.library_runs import answers_of_file, run_inference, run_score_images, run_stream
from tests.support.servers import installed

LOCAL = ["--runner=FnApiRunner"]
HOUR = 3600


@pytest.mark.parametrize("max_latency", [None, 60.0])
def test_the_answers_are_those_of_score(
    max_latency: float | None, corpus: Path, model_directory: Path, finished: Path, tmp_path: Path
) -> None:
    images = corpus / "file-0.parquet"
    scored = run_score_images(LOCAL, images, model_directory, tmp_path, max_latency)
    assert scored == answers_of_file(finished, images)
    assert len(scored[1]) == 3


def test_those_of_run_inference_too(corpus: Path, model_directory: Path, finished: Path, tmp_path: Path) -> None:
    images = corpus / "file-0.parquet"
    assert run_inference(LOCAL, images, model_directory, tmp_path) == answers_of_file(finished, images)


def test_an_answer_does_not_depend_on_its_batch(corpus: Path, model_directory: Path, finished: Path) -> None:
    images = corpus / "file-0.parquet"
    rows = pq.read_table(images, columns=["id", "image"]).slice(95, 12).to_pylist()
    records = [ImageRecord(row["id"], row["image"]) for row in rows]
    scorer = ImageScorer(str(model_directory), recipe_for_model(str(model_directory)))
    apart = [answer for record in records for answer in scorer.score([record])]
    assert scorer.score(records) == apart
    predictions, rejected = answers_of_file(finished, images)
    for answer in apart:
        if isinstance(answer, Prediction):
            bits = np.array(answer.probabilities, np.float32).tobytes()
            assert (answer.predicted, bits) == predictions[answer.id]
    assert [answer.id for answer in apart if isinstance(answer, RejectedRecord)] == ["r00100"] == sorted(rejected)[:1]
    assert scorer.score([]) == []


def test_each_answer_has_the_time_and_the_windows_of_its_record(model_directory: Path) -> None:
    """Though all are scored together, and once, however many windows they are in."""
    (row,) = collage_rows(1)
    stamped = [
        TimestampedValue(ImageRecord(f"r{at}", row["image"] if at != 15 else b"broken"), at) for at in (3, 15, 31)
    ]
    expected = [(f"r{at}", at, at // 10 * 10 - back) for at in (3, 15, 31) for back in (0, 10)]

    def placed(answer: Any, at: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam) -> Any:
        return answer.id, float(at), float(window.start)

    root = beam.Pipeline(argv=LOCAL)
    images = root | beam.Create(stamped) | beam.Map(lambda stamp: stamp) | beam.WindowInto(SlidingWindows(20, 10))
    scored = images | ScoreImages(str(model_directory))
    for name, answers in zip(scored._fields, scored, strict=True):
        placements = answers | f"Place {name}" >> beam.Map(placed) | f"All {name}" >> beam.WindowInto(GlobalWindows())
        wanted = [place for place in expected if (place[1] == 15) == (name == "rejected")]
        assert_that(placements, equal_to(wanted), label=name)
    result = root.run()
    result.wait_until_finish()
    counted = result.metrics().query(MetricsFilter().with_namespace("bulklabel"))["counters"]
    assert {each.key.metric.name: each.committed for each in counted} == {"records": 3, "rejected_not_an_image": 1}


def test_a_record_of_a_stream_waits_as_long_as_it_may(tmp_path: Path) -> None:
    """Four are a batch, and it does not wait; two that are none wait for an hour, and no longer."""

    def add(*placed: tuple[str, int]) -> None:
        stream.add_elements([TimestampedValue(ImageRecord(name, b""), at) for name, at in placed])
        settle(stream)

    stream = Stream().advance_watermark_to(0).advance_processing_time(int(time.time()))
    add(("one", 1))
    add(("two", 2), ("three", 3), ("four", 4))
    add(("early", 5), ("earlier", 3))
    stream.advance_processing_time(HOUR // 2)
    add(("before", 6))
    stream.advance_processing_time(HOUR // 2)
    settle(stream)
    add(("after", 7))
    stream.advance_watermark_to_infinity()
    run_stream(["--runner=DirectRunner"], stream, HoldForBatches(4, HOUR), tmp_path / "seen")
    seen = [line for line in (tmp_path / "seen").read_text().splitlines() if not line.startswith("counted")]
    place = {line: number for number, line in enumerate(seen)}
    assert len(seen) == len(place) == 2 * 8
    assert place["in one 1"] < place["in two 2"] < place["out one 1"] < place["in early 5"]
    for name in ("early 5", "earlier 3"):
        assert place["in before 6"] < place[f"out {name}"] < place["in after 7"]


def settle(stream: Stream) -> None:
    """Let all that is under way come out: at each event Beam's runner takes elements one step further."""
    for _ in range(20):
        stream.advance_processing_time(1)


def test_few_large_images_do_not_wait_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is the runner's state."""
    monkeypatch.setattr(holding, "MAX_HELD_BYTES", 64)
    stream = Stream().advance_watermark_to(0)
    for at in (1, 2, 3):
        stream.add_elements([TimestampedValue(ImageRecord("large", b"x" * 40), at)])
        settle(stream)
    run_stream(
        ["--runner=DirectRunner"], stream.advance_watermark_to_infinity(), HoldForBatches(9, HOUR), tmp_path / "seen"
    )
    seen = [line for line in (tmp_path / "seen").read_text().splitlines() if not line.startswith("counted")]
    assert sorted(seen[2:4]) == ["out large 1", "out large 2"]
    assert seen[4:] == ["in large 3", "out large 3"]


@pytest.fixture
def prism() -> list[str]:
    """The only local runner that holds watermarks as Beam says."""
    return ["--runner=PrismRunner", f"--prism_location={installed('prism')}", "--environment_type=LOOPBACK"]


def test_no_record_is_late_because_it_waited(prism: list[str], tmp_path: Path) -> None:
    """The second is the earlier one; while both wait the stream goes on, past the ends of their windows."""
    stream = Stream().advance_watermark_to(0)
    stream.add_elements([TimestampedValue(ImageRecord("second", b""), 15)]).advance_watermark_to(2)
    stream.add_elements([TimestampedValue(ImageRecord("first", b""), 3)]).advance_watermark_to(30)
    stream.advance_processing_time(HOUR + 60).add_elements([TimestampedValue(ImageRecord("third", b""), 31)])
    stream.advance_watermark_to(60).advance_watermark_to_infinity()
    run_stream(prism, stream, HoldForBatches(4, HOUR), tmp_path / "seen")
    counted = {line for line in (tmp_path / "seen").read_text().splitlines() if line.startswith("counted")}
    assert counted == {"counted first 0", "counted second 10", "counted third 30"}


def test_a_window_that_closes_waits_for_nothing(prism: list[str], tmp_path: Path) -> None:
    """Before the hour is over."""
    stream = Stream().advance_watermark_to(0)
    stream.add_elements([TimestampedValue(ImageRecord("first", b""), 3)]).advance_watermark_to(20)
    stream.add_elements([TimestampedValue(ImageRecord("second", b""), 21)]).advance_watermark_to_infinity()
    run_stream(prism, stream, beam.WindowInto(FixedWindows(10)) | HoldForBatches(4, HOUR), tmp_path / "seen")
    seen = (tmp_path / "seen").read_text().splitlines()
    assert sorted(line for line in seen if line.startswith("counted")) == ["counted first 0", "counted second 20"]
    assert seen.index("counted first 0") < seen.index("out second 21")


def test_workers_score_with_the_model_that_was_named_or_not_at_all(model_directory: Path, tmp_path: Path) -> None:
    place = tmp_path / "model"
    shutil.copytree(model_directory, place)
    root = beam.Pipeline(argv=LOCAL)
    _ = root | beam.Create([ImageRecord("r", b"")]) | ScoreImages(str(place))
    save_model(untrained_model(("cat",)), str(place))
    with pytest.raises(Exception, match=f"{place} changed since"):
        root.run()


def test_run_inference_may_be_given_another_model(model_directory: Path, tmp_path: Path) -> None:
    save_model(untrained_model(("cat",)), str(tmp_path / "cats"))
    (row,) = collage_rows(1)
    digest = load_model(str(tmp_path / "cats")).digest
    with beam.Pipeline(argv=LOCAL) as root:
        newest = root | "Newest" >> beam.Create([ModelMetadata(str(tmp_path / "cats"), "cats")])
        infer = RunInference(ImageModelHandler(str(model_directory)), model_metadata_pcoll=newest)
        results = root | beam.Create([ImageRecord("r", row["image"])]) | infer
        inferences = results | beam.Map(lambda result: (result.model_id, len(result.inference.probabilities)))
        assert_that(inferences, equal_to([(digest, 1)]))


def test_run_inference_is_given_enough_records_to_fill_all_cores_and_a_stream_no_more_than_a_batch(
    model_directory: Path,
) -> None:
    sizes = {"min_batch_size", "max_batch_size"}
    for latency, records in ((None, 4 * 256), (2.0, 256)):
        batches = ImageModelHandler(str(model_directory), max_latency=latency).batch_elements_kwargs()
        assert {name: batches[name] for name in sizes} == dict.fromkeys(sizes, records)


def test_mistakes_are_said_where_they_are_made(model_directory: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a model directory"):
        ScoreImages(str(tmp_path))
    with pytest.raises(UserError, match="is not a model directory"):
        ImageModelHandler(str(tmp_path))
    for seconds in (0, -1, float("nan")):
        with pytest.raises(UserError, match="give seconds above 0"):
            ScoreImages(str(model_directory), max_latency=seconds)
    with pytest.raises(UserError, match="inference_args has 'training'"):
        _ = (
            beam.Pipeline()
            | beam.Create([])
            | RunInference(ImageModelHandler(str(model_directory)), inference_args={"training": True})
        )
    with pytest.raises(beam.typehints.TypeCheckError, match="ImageRecord"):
        _ = beam.Pipeline() | beam.Create([b"an image"]) | ScoreImages(str(model_directory))


def test_nothing_is_imported_before_it_is_used() -> None:
    code = "import sys, bulklabel; sys.exit('apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
    for name in bulklabel.__all__:
        assert getattr(bulklabel, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'ScoreImage'"):
        _ = bulklabel.ScoreImage
