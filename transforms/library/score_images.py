"""ScoreImages: scores the images of other people's pipelines."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from bulklabel.model.errors import UserError
from bulklabel.model.network import TOLERANCE
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.files import files
from bulklabel.transforms.library.elements import ImageRecord, Prediction, RejectedRecord
from bulklabel.transforms.library.hold_for_batches import HoldForBatches
from bulklabel.transforms.library.image_scorer import BATCHES_PER_CALL, ImageScorer, recipe_for_model

PREDICTIONS, REJECTED = "predictions", "rejected"

BYTES_AT_ONCE = 64 * 2**20
"""Images are scored together when they have so many bytes, even if they are fewer batches."""


class ScoredImages(NamedTuple):
    """Holds the two collections that come out of `ScoreImages`; every record is in one of them, once."""

    predictions: "beam.PCollection[Prediction]"
    rejected: "beam.PCollection[RejectedRecord]"


class ScoreImages(beam.PTransform):  # type: ignore[misc]
    """Scores a collection of `ImageRecord`; the `ScoredImages` have the timestamps and windows of their records.

    `labels` are the model's, in the order of the probabilities. docs/library.md has whole pipelines.
    """

    def __init__(
        self,
        model: str,
        *,
        max_latency: float | None = None,
        trust_model_code: bool = False,
        golden_tolerance: float = TOLERANCE,
    ) -> None:
        """Reads the model directory, but not yet the network. Workers score with exactly this model or fail.

        Args:
            model: a model directory, local or on a store; make the pipeline first if that needs its options.
            max_latency: seconds that a record may wait for others to make a batch with. Without it batches are made
                of what the runner hands over together, which in a stream may be one record.
            trust_model_code: whether code in the network may run.
            golden_tolerance: how far probabilities of golden images may be from those where the model was made, 0…1.

        Raises:
            UserError: if it is no model directory, cannot be read, or the seconds are not above 0.
        """
        super().__init__()
        if max_latency is not None and not 0 < max_latency < float("inf"):
            raise UserError(f"max_latency is {max_latency:g}; give seconds above 0, or leave it out.")
        directory = files.absolute(model)
        self._recipe = recipe_for_model(directory)
        self._scorer = OncePerProcess(ImageScorer, directory, self._recipe, trust_model_code, golden_tolerance)
        self._max_latency = max_latency
        self.labels = self._recipe.labels

    def expand(self, images: "beam.PCollection[ImageRecord]") -> Any:
        """Returns `ScoredImages`, though Beam would warn if the annotation said so."""
        if self._max_latency is not None:
            # A stream's bundles may be one record long, and the network computes whole batches, filled or not.
            images = images | "HoldForBatches" >> HoldForBatches(self._recipe.batch_size, self._max_latency)
        # Decoding and the network take whole batches, so records are gathered over a bundle and not mapped one by one.
        score = beam.ParDo(ScoreInBundles(self._scorer, self._recipe.batch_size))
        scored = images | "ScoreInBundles" >> score.with_outputs(REJECTED, main=PREDICTIONS)
        return ScoredImages(scored[PREDICTIONS], scored[REJECTED])


@dataclass
class PendingRecord:
    """Holds a record that is not scored yet, with the timestamp and windows that its prediction will have."""

    record: ImageRecord
    timestamp: Timestamp
    windows: list[BoundedWindow]


class ScoreInBundles(beam.DoFn):  # type: ignore[misc]
    """Gathers the records of a bundle, of whatever windows, and scores them a few batches at a time.

    The network is loaded at the first record and not in `setup`: an error there keeps Flink waiting for minutes.
    """

    def __init__(self, scorer: OncePerProcess[ImageScorer], batch_size: int) -> None:
        self._scorer = scorer
        self._records = BATCHES_PER_CALL * batch_size

    def start_bundle(self) -> None:
        """Starts with no record."""
        self._pending: list[PendingRecord] = []
        self._bytes = 0

    def process(
        self,
        record: ImageRecord,
        timestamp: Timestamp = beam.DoFn.TimestampParam,
        window: BoundedWindow = beam.DoFn.WindowParam,
    ) -> Iterator[Prediction | beam.pvalue.TaggedOutput[Literal["rejected"], RejectedRecord]]:
        """Takes a record, and yields what the earlier ones got once they are enough.

        Beam calls this for each window that a record is in, one after the other.
        """
        last = self._pending[-1] if self._pending else None
        if last and last.record is record and last.timestamp == timestamp and window not in last.windows:
            last.windows.append(window)
            return
        if len(self._pending) >= self._records or self._bytes >= BYTES_AT_ONCE:
            yield from self._score()
        self._pending.append(PendingRecord(record, timestamp, [window]))
        self._bytes += len(record.image or b"")

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Yields what the last records of the bundle got."""
        if self._pending:
            yield from self._score()

    def _score(self) -> Iterator[WindowedValue | beam.pvalue.TaggedOutput[Literal["rejected"], WindowedValue]]:
        pending = self._pending
        self.start_bundle()
        scored = self._scorer.get().score([item.record for item in pending])
        for item, result in zip(pending, scored, strict=True):
            Metrics.counter("bulklabel", "records").inc()
            windowed = WindowedValue(result, item.timestamp, tuple(item.windows))
            if isinstance(result, RejectedRecord):
                Metrics.counter("bulklabel", f"rejected_{result.reason}").inc()
                yield beam.pvalue.TaggedOutput(REJECTED, windowed)
            else:
                yield windowed
