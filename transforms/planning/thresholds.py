"""The thresholds that `--threshold` means for a model."""

from collections.abc import Sequence

from bulklabel.model.errors import UserError
from bulklabel.model.labels.thresholds import DEFAULT_THRESHOLD, TUNED, parse_threshold, read_thresholds
from bulklabel.transforms.files import files


def choose_thresholds(
    threshold: str | None, model_thresholds: tuple[float, ...] | None, labels: Sequence[str]
) -> tuple[float, ...]:
    """The thresholds that `--threshold` means, in the order of the labels, 0…1.

    Args:
        threshold: a number for all, `tuned`, a thresholds file, or None for tuned where there are any, else 0.5.
        model_thresholds: the tuned ones of the model directory.
        labels: the model's.

    Raises:
        UserError: if it is none of these, or the model has no tuned thresholds.
    """
    if threshold is None:
        return model_thresholds or (DEFAULT_THRESHOLD,) * len(labels)
    if threshold == TUNED:
        if model_thresholds is None:
            raise UserError("--threshold tuned: the model directory has no tuned thresholds; give a number or a file.")
        return model_thresholds
    try:
        return (parse_threshold(threshold),) * len(labels)
    except ValueError as error:
        try:
            content = files.read(files.absolute(threshold))
        except FileNotFoundError:
            raise UserError(
                f"--threshold {threshold}: {error}; give a number from 0 to 1, `tuned`, or a thresholds file."
            ) from None
        return read_thresholds(content, labels, threshold)
