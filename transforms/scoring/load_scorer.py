"""Loads a model's network, and checks it on the golden images before it scores anything."""

from typing import TYPE_CHECKING

from bulklabel.model.errors import UserError
from bulklabel.model.network.golden_images import check_golden
from bulklabel.model.network.import_tensorflow import import_tensorflow
from bulklabel.model.network.precision import BFLOAT16, FLOAT32, check_processor
from bulklabel.transforms.scoring.model_files import load_model

if TYPE_CHECKING:
    from bulklabel.model.network.scorer import Scorer


def load_scorer(directory: str, digest: str, trusted: bool = False, precision: str = FLOAT32) -> "Scorer":
    """Loads the scorer of the model that a plan names, and checks it on the golden images.

    Raises:
        UserError: if the model directory is no longer that model, its network cannot be loaded, would run code
            without being trusted, gives other probabilities on this machine, or the processor has not the precision.
    """
    model = load_model(directory)
    if model.digest != digest:
        raise UserError(f"{directory} changed since the run was planned; run the command again.")
    if precision == BFLOAT16:
        check_processor()
    import_tensorflow()  # takes seconds
    from bulklabel.model.network.scorer import Scorer

    scorer = Scorer(model, directory, trusted)
    check_golden(model, scorer, directory)
    scorer.precision = precision
    return scorer
