"""ImageModelHandler: lets Beam's own `RunInference` score images with a model directory."""

from collections.abc import Mapping, Sequence
from typing import Any

from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from bulklabel.model.errors import UserError
from bulklabel.model.network import TOLERANCE
from bulklabel.transforms.files import files
from bulklabel.transforms.library.elements import ImageRecord
from bulklabel.transforms.library.image_scorer import BATCHES_PER_CALL, ImageScorer, recipe_for_model


class ImageModelHandler(ModelHandler):  # type: ignore[misc]
    """Scores `ImageRecord`s in `RunInference`; an inference is a `Prediction` or a `RejectedRecord`.

    So a bad image fails no batch. `labels` are the model's, in the order of the probabilities; the `model_id` of a
    result is the model's digest. docs/library.md has a whole pipeline.
    """

    def __init__(
        self,
        model: str,
        *,
        max_latency: float | None = None,
        trust_model_code: bool = False,
        golden_tolerance: float = TOLERANCE,
    ) -> None:
        """Reads the model directory, but not yet the network. Workers infer with exactly this model or fail.

        Args:
            model: a model directory, local or on a store; make the pipeline first if that needs its options.
            max_latency: Beam's `max_batch_duration_secs`, for streams.
            trust_model_code: whether code in the network may run.
            golden_tolerance: how far probabilities of golden images may be from those where the model was made, 0…1.

        Raises:
            UserError: if it is no model directory, or cannot be read.
        """
        self._trusted, self._tolerance = trust_model_code, golden_tolerance
        self._directory = files.absolute(model)
        self._recipe = recipe_for_model(self._directory)
        # The network computes whole batches, whether they are filled or not. Two of them at once fill all cores, but
        # no record of a stream waits longer than one takes to fill.
        size = self._recipe.batch_size * (BATCHES_PER_CALL if max_latency is None else 1)
        super().__init__(min_batch_size=size, max_batch_size=size, max_batch_duration_secs=max_latency)
        self.labels = self._recipe.labels

    def load_model(self) -> ImageScorer:
        """Loads the network, in a worker's process.

        Raises:
            UserError: as `ImageScorer` does.
        """
        return ImageScorer(self._directory, self._recipe, self._trusted, self._tolerance)

    def run_inference(
        self,
        batch: Sequence[ImageRecord],
        model: ImageScorer,
        inference_args: Mapping[str, Any] | None = None,  # noqa: ARG002 (Beam gives it)
    ) -> list[PredictionResult]:
        """Returns one result for each record, in order; `model` is what `load_model` returned."""
        digest = model.recipe.model_digest
        return [PredictionResult(*pair, digest) for pair in zip(batch, model.score(batch), strict=True)]

    def get_num_bytes(self, batch: Sequence[ImageRecord]) -> int:
        """Returns how many bytes the images of a batch have."""
        return sum(len(record.image or b"") for record in batch)

    def get_metrics_namespace(self) -> str:
        """Returns the namespace of all counters of bulklabel."""
        return "bulklabel"

    def validate_inference_args(self, inference_args: Mapping[str, Any] | None) -> None:
        """Checks that there are no arguments, since the model takes none.

        Raises:
            UserError: if there is one.
        """
        if inference_args:
            raise UserError(f"inference_args has {next(iter(inference_args))!r}; leave it out, this model takes none.")

    def update_model_path(self, model_path: str | None = None) -> None:
        """Takes another model directory from now on: `RunInference` calls this before it loads it again.

        Raises:
            UserError: if it is no model directory, or cannot be read.
        """
        if model_path and files.absolute(model_path) != self._directory:
            self._directory = files.absolute(model_path)
            self._recipe = recipe_for_model(self._directory)
