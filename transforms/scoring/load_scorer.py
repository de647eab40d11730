"""Loads a model's network, and checks it on the golden images before it scores anything."""

from bulklabel.model.errors import UserError
from bulklabel.model.network import TOLERANCE
from bulklabel.model.network.engine import threads_per_batch
from bulklabel.model.network.freed_memory import keep_freed_memory
from bulklabel.model.network.golden_images import check_golden
from bulklabel.model.network.import_tensorflow import import_tensorflow
from bulklabel.model.network.precision import BFLOAT16, FLOAT32, check_processor
from bulklabel.model.network.scorer import Scorer
from bulklabel.model.versions import KERAS
from bulklabel.transforms.scoring.model_files import load_model


def load_scorer(
    directory: str,
    digest: str,
    trusted: bool = False,
    precision: str = FLOAT32,
    tolerance: float = TOLERANCE,
    wrappers: bool = True,
) -> Scorer:
    """Loads the scorer of the model that a plan names, and checks it on the golden images.

    Args:
        directory: the model directory.
        digest: the model's.
        trusted: whether code in the network may run.
        precision: what the network computes in.
        tolerance: how far probabilities of golden images may be from what they were, 0…1.
        wrappers: whether Keras may have its wrappers for scikit-learn, as `import_tensorflow` has it.

    Raises:
        UserError: if the model directory is no longer that model, its network cannot be loaded, would run code
            without being trusted, gives other probabilities on this machine, or the processor has not the precision.
    """
    model = load_model(directory)
    if model.digest != digest:
        raise UserError(f"{directory} changed since the run was planned; run the command again.")
    if precision == BFLOAT16:
        check_processor()
    if model.engine == KERAS:
        import_tensorflow(wrappers, threads_per_batch())  # takes seconds
    else:
        keep_freed_memory()  # photographs need it, too
    scorer = Scorer(model, directory, trusted)
    check_golden(model, scorer, directory, tolerance)
    scorer.precision = precision
    return scorer
