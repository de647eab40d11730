"""Chooses the thresholds that `--threshold` asks for."""

from collections.abc import Sequence

from bulklabel.model.errors import UserError
from bulklabel.model.labels.thresholds import DEFAULT_THRESHOLD, TUNED, parse_threshold, read_thresholds
from bulklabel.transforms.files import files
from bulklabel.transforms.files.text import escape_surrogates


def choose_thresholds(
    threshold: str | None, model_thresholds: tuple[float, ...] | None, labels: Sequence[str]
) -> tuple[float, ...]:
    """Returns each label's threshold (0 to 1), in the order of the labels, as `--threshold` asks for it.

    Args:
        threshold: a number for all labels, `tuned`, the path of a thresholds file, or None for the tuned thresholds if
            the model has any and else 0.5.
        model_thresholds: the tuned thresholds of the model directory, None if it has none.
        labels: the labels of the model, in order.

    Raises:
        UserError: if `threshold` is none of these, or asks for tuned thresholds that the model does not have.

    >>> choose_thresholds("0.3", None, ["cat", "dog"])
    (0.3, 0.3)
    >>> choose_thresholds(None, (0.4, 0.7), ["cat", "dog"])
    (0.4, 0.7)
    """
    if threshold is None:
        return model_thresholds or (DEFAULT_THRESHOLD,) * len(labels)
    if threshold == TUNED:
        if model_thresholds is None:
            raise UserError("--threshold tuned: the model directory has no tuned thresholds; give a number or a file.")
        return model_thresholds
    try:
        return (parse_threshold(threshold),) * len(labels)
    except ValueError:
        try:
            content = files.read(files.absolute(threshold))
        except FileNotFoundError:
            raise UserError(
                f"--threshold {threshold}: neither a number from 0 to 1, such as 0.8, nor `tuned`, nor a file that is "
                "there; give one of these."
            ) from None
        return read_thresholds(content, labels, threshold)


def threshold_source(
    threshold: str | None, thresholds: Sequence[float], model_thresholds: Sequence[float] | None, default: str
) -> str:
    """Says where thresholds come from: the flag, the model's training, or else `default`.

    >>> threshold_source("0.3", (0.3,), None, "default"), threshold_source(None, (0.4,), (0.4,), "default")
    ('--threshold 0.3', 'tuned in training')
    """
    if threshold is not None and threshold != TUNED:
        return f"--threshold {escape_surrogates(threshold)}"
    return "tuned in training" if tuple(thresholds) == model_thresholds else default
