"""Scores single records, as other people's pipelines have them, by the steps of `bulklabel score`."""

from collections.abc import Sequence

from bulklabel.model.labels.predictions import LIST, probabilities_of
from bulklabel.model.network import TOLERANCE
from bulklabel.transforms.concurrency.stage_clock import StageClock
from bulklabel.transforms.files.stores.retry import fail_fast
from bulklabel.transforms.library.elements import ImageRecord, Prediction, RejectedRecord, ScoredRecord
from bulklabel.transforms.planning.make_plan import ScoreOptions, make_recipe
from bulklabel.transforms.reading.record_tables import tables
from bulklabel.transforms.reading.records import Columns, Record
from bulklabel.transforms.run_directory.plan import Recipe
from bulklabel.transforms.scoring.decode_and_predict import BatchScorer, ScoringThreads
from bulklabel.transforms.scoring.load_scorer import load_scorer
from bulklabel.transforms.scoring.model_files import load_model

BATCHES_PER_CALL = 4
"""Batches to score in one call where records wait for it: one is decoded while two are in the network."""


class ImageScorer:
    """Scores images with a model's network, in threads that decode and threads that predict."""

    def __init__(
        self, directory: str, recipe: Recipe, trusted: bool = False, golden_tolerance: float = TOLERANCE
    ) -> None:
        """Loads the network.

        Args:
            directory: the model directory.
            recipe: what `recipe_for_model` returned for it.
            trusted: whether code in the network may run.
            golden_tolerance: how far probabilities of golden images may be from what they were, 0…1.

        Raises:
            UserError: as `load_scorer` does, also if it is not the recipe's model any more.
        """
        self.recipe = recipe
        scorer = load_scorer(directory, recipe.model_digest, trusted, tolerance=golden_tolerance)
        self._scorer = BatchScorer(recipe, scorer, ScoringThreads())

    def score(self, images: Sequence[ImageRecord]) -> list[ScoredRecord]:
        """Scores N records, any number of them; returns N predictions and rejected records, in order.

        What a record gets does not depend on the others.
        """
        scored: dict[int, ScoredRecord] = {}
        records = (Record(None, "", row, {}, image.image, ()) for row, image in enumerate(images))
        for batch in self._scorer.score(tables(records, self.recipe.read_spec), StageClock()):
            table = batch.predictions
            rows, predicted = (table.column(name).to_pylist() for name in ("position", "predicted"))
            block = probabilities_of(table, self.recipe.labels).tolist()
            for row, labels, probabilities in zip(rows, predicted, block, strict=True):
                scored[row] = Prediction(images[row].id, labels, probabilities)
            for problem in batch.rejected:
                row = problem["position"]
                reason = (problem[name] for name in ("stage", "reason", "detail"))
                scored[row] = RejectedRecord(images[row].id, *reason)
        return [scored[row] for row in range(len(images))]


def recipe_for_model(directory: str) -> Recipe:
    """Makes the recipe of a model directory, with its own thresholds, or 0.5 where it has none.

    Raises:
        UserError: if it is no model directory, or cannot be read.
    """
    with fail_fast():
        model = load_model(directory)
    return make_recipe(model, "", Columns(), ScoreOptions(layout=LIST))
