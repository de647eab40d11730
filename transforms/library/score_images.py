"""ScoreImages: scores the images of other people's pipelines, and leaves the rest of the work to them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from bulklabel.model.errors import UserError
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.files import files
from bulklabel.transforms.library.elements import ImageRecord, Prediction, RejectedRecord
from bulklabel.transforms.library.hold_for_batches import HoldForBatches
from bulklabel.transforms.library.image_scorer import ImageScorer, recipe_of

PREDICTIONS, REJECTED = "predictions", "rejected"

BATCHES_AT_ONCE = 4
"""So many are scored together where a runner's bundles are large: one is decoded while another is in the network."""

BYTES_AT_ONCE = 64 * 2**20
"""… or as many images as have so many bytes."""


class ScoredImages(NamedTuple):
    """What comes out: collections of `Prediction` and of `RejectedRecord`. Every record is in one of them, once."""

    predictions: "beam.PCollection[Prediction]"
    rejected: "beam.PCollection[RejectedRecord]"


class ScoreImages(beam.PTransform):  # type: ignore[misc]
    """From a collection of `ImageRecord` to `ScoredImages`, each with the timestamp and the windows of its record.

    `labels` are the model's, in the order of the probabilities.
    """

    def __init__(self, model: str, *, max_latency: float | None = None, trust_model_code: bool = False) -> None:
        """Read the model directory, but not yet the network. Workers score with exactly this model or fail.

        Args:
            model: a model directory, local or on a store; make the pipeline first if that needs its options.
            max_latency: seconds that a record may wait for others to make a batch with. Without it batches are made
                of what the runner hands over together, which in a stream may be one record.
            trust_model_code: whether code in the network may run.

        Raises:
            UserError: if it is no model directory, cannot be read, or the seconds are not above 0.
        """
        super().__init__()
        if max_latency is not None and not 0 < max_latency < float("inf"):
            raise UserError(f"max_latency is {max_latency:g}; give seconds above 0, or leave it out.")
        directory = files.absolute(model)
        self._recipe = recipe_of(directory)
        self._scorer = OncePerProcess(ImageScorer, directory, self._recipe, trust_model_code)
        self._max_latency = max_latency
        self.labels = self._recipe.labels

    def expand(self, images: "beam.PCollection[ImageRecord]") -> Any:
        """`ScoredImages`, though Beam would warn if the annotation said so.

        Records are held until they make a batch, if that is asked for; what is there in a bundle is scored.
        """
        if self._max_latency is not None:
            images = images | "HoldForBatches" >> HoldForBatches(self._recipe.batch_size, self._max_latency)
        score = beam.ParDo(ScoreInBundles(self._scorer, self._recipe.batch_size))
        scored = images | "ScoreInBundles" >> score.with_outputs(REJECTED, main=PREDICTIONS)
        return ScoredImages(scored[PREDICTIONS], scored[REJECTED])


@dataclass
class Waiting:
    """A record of which the answer goes to the same time and windows."""

    record: ImageRecord
    timestamp: Timestamp
    windows: list[BoundedWindow]


class ScoreInBundles(beam.DoFn):  # type: ignore[misc]
    """Gathers records in a bundle, of whatever windows, until they are worth scoring.

    The network is loaded with the first of them: an error in `setup` keeps Flink waiting for minutes.
    """

    def __init__(self, scorer: OncePerProcess[ImageScorer], batch_size: int) -> None:
        self._scorer = scorer
        self._records = BATCHES_AT_ONCE * batch_size

    def start_bundle(self) -> None:
        """Nothing waits."""
        self._waiting: list[Waiting] = []
        self._bytes = 0

    def process(
        self,
        record: ImageRecord,
        timestamp: Timestamp = beam.DoFn.TimestampParam,
        window: BoundedWindow = beam.DoFn.WindowParam,
    ) -> Iterator[Prediction | beam.pvalue.TaggedOutput[Literal["rejected"], RejectedRecord]]:
        """One more that waits; the answers to all that do once there are enough.

        Beam calls this for each window that a record is in, one after the other.
        """
        last = self._waiting[-1] if self._waiting else None
        if last and last.record is record and last.timestamp == timestamp and window not in last.windows:
            last.windows.append(window)
            return
        if len(self._waiting) >= self._records or self._bytes >= BYTES_AT_ONCE:
            yield from self._answers()
        self._waiting.append(Waiting(record, timestamp, [window]))
        self._bytes += len(record.image or b"")

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """The answers to those that still wait."""
        if self._waiting:
            yield from self._answers()

    def _answers(self) -> Iterator[WindowedValue | beam.pvalue.TaggedOutput[Literal["rejected"], WindowedValue]]:
        waiting = self._waiting
        self.start_bundle()
        for place, answer in zip(waiting, self._scorer.get().answers([each.record for each in waiting]), strict=True):
            Metrics.counter("bulklabel", "records").inc()
            placed = WindowedValue(answer, place.timestamp, tuple(place.windows))
            if isinstance(answer, RejectedRecord):
                Metrics.counter("bulklabel", f"rejected_{answer.reason}").inc()
                yield beam.pvalue.TaggedOutput(REJECTED, placed)
            else:
                yield placed
